"""Records made by hand, and a tiny model that can be asked, for tests."""

import pathlib
import shutil

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from calibration.recording import log
from corpora.questions.question import Question
from lm import transformer
from lm.checkpoints import families, weights
from tests import files

# Of a question, see `votes`.
SAMPLES = 20
# As the tokenizer of the peers.
CONFIG = transformer.TransformerConfig(
  vocab_size=420, layers=2, width=16, heads=4, kv_heads=2, mlp_width=24
)


def question(number=0, **changes):
  """A sum whose answer is `number` + 1."""
  fields = dict(
    id=f'addition_1-1+{number}-0',
    prompt=f'What is 1 plus {number}?',
    answers=(str(number + 1),),
    source='graded/addition_1',
  )
  return Question(**(fields | changes))


def said(asked, samples, **changes):
  """A record of these texts, each as its UTF-8 bytes and one token to end it.

  Every token has half of the mass; the greedy answer is the first sample.
  """
  rows = [np.array([*text.encode(), 0], np.int32) for text in samples]
  tokens = np.concatenate(rows)
  greedy = rows[0]
  halves = np.log(np.full(len(greedy), 0.5, np.float32))
  fields = dict(
    question=asked,
    group=asked.id,
    prompt=f'Q: {asked.prompt}\nA:',
    samples=tuple(samples),
    tokens=tokens,
    logprobs=np.log(np.full(len(tokens), 0.5, np.float32)),
    lengths=np.array([len(row) for row in rows], np.int32),
    ended=np.ones(len(rows), bool),
    greedy=samples[0],
    greedy_tokens=greedy,
    greedy_logprobs=halves,
    greedy_entropies=-halves,
    greedy_ended=True,
    prompt_hidden=np.arange(3, dtype=np.float32),
    answer_hidden=np.ones(3, np.float32),
    candidates=(),
    candidate_logprobs=np.zeros(0, np.float32),
  )
  return log.Said(**(fields | changes))


def votes(number, top, right, style='concise', **changes):
  """`top` of 20 samples give one answer, the rest two others.

  The share is the same in each half of the samples.
  """
  answer = str(100 + number)
  wrong = [str(300 + 200 * i + number) for i in range(3)]
  first, rest = (answer if right else wrong[2]), SAMPLES - top
  half = [first] * (top // 2) + wrong[:2] * (rest // 4)
  texts = half + half
  if style == 'cot':
    texts = [f'Well. The answer is {text}.' for text in texts]
  asked = question(99 + number, answers=(answer,))
  hidden = np.zeros(4, np.float32)
  hidden[0] = top / SAMPLES
  return said(asked, texts, prompt_hidden=hidden, **changes)


def calibrated(style='concise'):
  """Confidences 0.6 and 0.8, and so many of 20 questions right at each."""
  return tuple(
    votes(20 * (top == 16) + i, top, i < top, style)
    for top in (12, 16)
    for i in range(20)
  )


def too_sure(style='concise'):
  """0.8 throughout, and half of 40 questions right."""
  return tuple(votes(i, 16, i < 20, style) for i in range(40))


@jax.jit
def params(seed=0):
  """Random, and so far from the start that answers differ by prompt."""
  boxed = transformer.Transformer(CONFIG).init(
    jax.random.key(seed), jnp.zeros((1, 2), jnp.int32)
  )['params']
  return jax.tree.map(
    lambda p: p + 0.3 * jax.random.normal(jax.random.key(p.size), p.shape),
    nn.unbox(boxed),
  )


def export(folder: pathlib.Path, seed=0) -> pathlib.Path:
  """A checkpoint of that model with a tokenizer."""
  weights.export(folder, families.find('llama'), CONFIG, params(seed))
  for name in ('tokenizer.json', 'tokenizer_config.json'):
    shutil.copy(files.TOKENS / name, folder)
  return folder
