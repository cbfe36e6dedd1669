r"""SelfReflect: scores a second, beside a transformers pass a masked word.

python -m benchmarks.selfreflect --out=docs/results/selfreflect_speed.json

Questions about capitals, ten answers with gaps and ten told, invented
(`_SHARES`), nine summaries (calibration/selfreflect/constructions.py). Both
sides read the same ids with the same judge in the same dtype.

- speed_ratio: scores of summaries a second, ours over theirs, which reads the
  whole prompt anew for every masked word of every answer and every context, as
  the release does. Logits are made only where the word is predicted. Words of
  equal answers are timed once and counted as often as they occur.
- speed_ratio_distinct: theirs, too, would read equal answers once.
- difference: largest of two scores.
- floor_share: the matmuls of the tokens that we read, each context once and
  each gap once, at the machine's rate for a large matmul, over our seconds.

Sides have processes of their own and take turns; seconds are medians.
"""

import functools
import pathlib
import statistics
import sys
import tempfile
import time

import numpy as np
import tqdm
from absl import flags

from benchmarks import alternate
from engine.runs import results
from launch import cli

_OUT = flags.DEFINE_string('out', '', 'results file; none if empty')
_JUDGE = flags.DEFINE_string('judge', 'smollm2_135m_instruct', 'an asset')
_DTYPE = flags.DEFINE_string('dtype', 'float32', 'float32 or bfloat16')
_QUESTIONS = flags.DEFINE_integer('asked', 6, 'questions')
_ROUNDS = flags.DEFINE_integer('rounds', 3, 'of both sides')

# Of ten answers, how many are the first, the second, ...
_SHARES = (5, 3, 2)


def questions(count: int):
  """(question, answers with gaps, answers told, summaries), [count]."""
  from calibration.selfreflect import constructions, conversation
  from corpora.questions import world_facts

  # One wording a country, and no capital twice.
  by_name = {one.answers[0]: one for one in world_facts.questions('capital')}
  asked, names = list(by_name.values()), list(by_name)
  rng = np.random.default_rng(0)
  out = []
  for number in rng.permutation(len(asked) - len(_SHARES))[:count]:
    texts = names[number : number + len(_SHARES)]
    ten = [t for t, n in zip(texts, _SHARES, strict=True) for _ in range(n)]
    found = constructions.options(ten, ten)
    other = [constructions.Option(names[number - 1], 1.0)]
    made = constructions.make(found, other, samples=10, number=int(number))
    summaries = [*made.texts.values(), conversation.listed(ten)]
    told = [ten[i] for i in rng.permutation(10)]
    out.append((asked[number].prompt, ten, told, summaries))
  return out


def ours(judge: str, dtype: str, count: int):
  """Our side: seconds, scores [questions, summaries]."""
  from calibration.selfreflect import masking, metric
  from launch import setup
  from lm.checkpoints import decoder

  setup.compile_cache()
  asked = questions(count)
  found = metric.Judge(model=decoder.open_decoder(judge, dtype=dtype))

  def run():
    began = time.perf_counter()
    scores = [
      found(
        question, summaries, masking.tasks(ten, masking.stop_words()), told
      ).of('tv@5')
      for question, ten, told, summaries in asked
    ]
    return time.perf_counter() - began, np.array(scores)

  run()  # compiles
  return run


def theirs(folder: pathlib.Path, judge: str, dtype: str, count: int):
  """Their side: seconds, scores, and how often a gap occurs."""
  import torch
  import transformers

  from calibration.selfreflect import conversation, masking
  from engine import assets
  from lm.checkpoints import pretrained_tokenizer, weights
  from lm.judging import turns

  source = weights.open_source(assets.fetch(judge))
  tokenizer = pretrained_tokenizer.CheckpointTokenizer.load(source)
  model = transformers.AutoModelForCausalLM.from_pretrained(
    folder, dtype=getattr(torch, dtype)
  ).eval()

  def soft(question, context, task):
    text = turns.render(
      tokenizer, conversation.messages(question, context, task)
    )
    (one,) = conversation.fill(tokenizer, [text], [task.word])
    size = len(one.word)
    ids = torch.tensor([one.ids[:-1]])
    logits = model(ids, logits_to_keep=size).logits[0].float()
    return torch.softmax(logits / 5.0, -1)

  def score(question, ten, told, summaries):
    tasks = masking.tasks(ten, masking.stop_words())
    reference = conversation.reference(told)
    want = [soft(question, reference, task) for task in tasks]
    out = []
    for summary in summaries:
      total = weight = 0.0
      for (task, often), q in zip(tasks.items(), want, strict=True):
        p = soft(question, conversation.Context(summary), task)
        total += often * 0.5 * (p - q).abs().sum().item()
        weight += often * len(p)
      out.append(total / weight)
    return out

  asked = questions(count)
  often = statistics.fmean(
    sum(tasks.values()) / len(tasks)
    for _, ten, _, _ in asked
    for tasks in [masking.tasks(ten, masking.stop_words())]
  )

  def run():
    began = time.perf_counter()
    with torch.inference_mode():
      scores = [score(*one) for one in asked]
    return time.perf_counter() - began, np.array(scores), often

  with torch.inference_mode():
    score(*asked[0])
  return run


def tokens_read(judge: str, count: int) -> tuple[int, int]:
  """(tokens, predictions) of our side, without padding."""
  from calibration.selfreflect import conversation, masking, metric
  from engine import assets
  from lm.checkpoints import pretrained_tokenizer, weights
  from lm.judging import turns

  source = weights.open_source(assets.fetch(judge))
  tokenizer = pretrained_tokenizer.CheckpointTokenizer.load(source)
  read = predicted = 0
  for question, ten, told, summaries in questions(count):
    tasks = list(masking.tasks(ten, masking.stop_words()))
    contexts = [
      conversation.reference(told),
      *map(conversation.Context, summaries),
    ]
    for context in contexts:
      texts = [
        turns.render(tokenizer, conversation.messages(question, context, task))
        for task in tasks
      ]
      row = conversation.fill(tokenizer, texts, [task.word for task in tasks])
      shared = metric.shared_tokens(row)
      read += shared + sum(len(one.ids) - 1 - shared for one in row)
      predicted += sum(len(one.word) for one in row)
  return read, predicted


def matmul_rate(dtype: str) -> float:
  """FLOP/s of a large product, the best of five."""
  import jax
  import jax.numpy as jnp

  a = jnp.ones((2048, 2048), dtype)
  multiply = jax.jit(
    functools.partial(jnp.matmul, preferred_element_type=jnp.float32)
  )
  jax.block_until_ready(multiply(a, a))
  seconds = []
  for _ in range(5):
    began = time.perf_counter()
    jax.block_until_ready(multiply(a, a))
    seconds.append(time.perf_counter() - began)
  return 2 * 2048**3 / min(seconds)


def main() -> None:
  from engine import assets
  from lm.checkpoints import weights

  began = time.monotonic()
  judge, dtype, count = _JUDGE.value, _DTYPE.value, _QUESTIONS.value
  loaded = weights.load(assets.fetch(judge), param_dtype=dtype, dtype=dtype)
  config = loaded.config
  with tempfile.TemporaryDirectory() as temporary:
    folder = pathlib.Path(temporary) / 'exported'
    weights.export(folder, *loaded, dtype=dtype)
    del loaded
    makers = {
      'ours': functools.partial(ours, judge, dtype, count),
      'theirs': functools.partial(theirs, folder, judge, dtype, count),
    }
    seen = {name: [] for name in makers}
    with alternate.sides(makers) as running:
      for _ in tqdm.trange(_ROUNDS.value, desc='rounds', leave=False):
        for name, run in running.items():
          seen[name].append(run())
  mine, other = (
    statistics.median(row[0] for row in seen[side]) for side in makers
  )
  scores, theirs_scores = (seen[side][-1][1] for side in makers)
  read, predicted = tokens_read(judge, count)
  table = config.vocab_size * config.width
  flops = 2 * (read * (config.multiplied() - table) + predicted * table)
  rate = matmul_rate(dtype)
  out = {
    'speed_ratio': other * seen['theirs'][-1][2] / mine,
    'speed_ratio_distinct': other / mine,
    'scores_per_s/ours': scores.size / mine,
    'scores_per_s/theirs': scores.size / other,
    'difference': float(np.abs(scores - theirs_scores).max()),
    'floor_share': flops / rate / mine,
    'judge': judge,
    'dtype': dtype,
    'summaries': scores.shape[1],
    'asked': count,
  }
  for name, value in out.items():
    print(f'{name:<24} {value if isinstance(value, str) else f"{value:.4g}"}')
  if _OUT.value:
    results.write(
      _OUT.value,
      out,
      command=' '.join(['python -m benchmarks.selfreflect', *sys.argv[1:]]),
      seconds=time.monotonic() - began,
      seeds=[0],
    )


if __name__ == '__main__':
  cli.main(main, keep_memory=False)
