r"""Our logits and greedy continuations beside those of transformers.

python -m benchmarks.logits --out=docs/results/logits.json

Both read the same GGUF, float32, and 50 openings of Wikipedia articles of 4 to
100 tokens; ours decodes all 50 in one batch, theirs one by one. Reported: the
largest difference of a logit over the largest logit, and on which share of the
prompts 64 greedy tokens are the same; and the same difference for what
transformers computes from a folder that `weights.export` wrote. Gemma joins
with --accept_licence=gemma.
"""

import gc
import pathlib
import sys
import tempfile
import time

import numpy as np
from absl import flags

from engine import assets
from engine.runs import results
from launch import cli

_OUT = flags.DEFINE_string('out', '', 'results file; none if empty')
_ACCEPT = flags.DEFINE_string(
  'accept_licence', '', "'gemma' after reading its terms; adds Gemma 3 270M"
)
_PROMPTS = flags.DEFINE_integer('prompts', 50, 'prompts')
_NEW = flags.DEFINE_integer('new_tokens', 64, 'greedy tokens a prompt')


def prompts_of(tokenizer, count: int) -> list[list[int]]:
  """Openings of held-out articles, of different lengths."""
  from corpora.text import sources

  documents = sources.open('wiki_summaries', 'test')
  lengths = np.linspace(4, 100, count).astype(int)
  ids = (tokenizer(d['text'])['input_ids'] for d in documents)
  return [next(i for i in ids if len(i) >= n)[:n] for n in lengths]


def theirs(path, count: int, new: int):
  """Prompts, logits at all their positions and greedy continuations."""
  import torch
  import transformers

  torch.manual_seed(0)
  where = dict(gguf_file=path.name)
  tokenizer = transformers.AutoTokenizer.from_pretrained(path.parent, **where)
  model = transformers.AutoModelForCausalLM.from_pretrained(
    path.parent, dtype=torch.float32, **where
  ).eval()
  # All new tokens are wanted, whatever stands among them.
  model.generation_config.eos_token_id = None
  out = []
  for ids in prompts_of(tokenizer, count):
    tokens = torch.tensor([ids])
    with torch.no_grad():
      logits = model(tokens).logits[0].numpy()
      grown = model.generate(
        tokens,
        attention_mask=torch.ones_like(tokens),
        do_sample=False,
        max_new_tokens=new,
        pad_token_id=0,
      )
    out.append((ids, logits, grown[0, len(ids) :].tolist()))
  return out


def logits_of_export(loaded, prompts) -> list[np.ndarray]:
  """What transformers computes from the folder that we write."""
  import torch
  import transformers

  from lm.checkpoints import weights

  with tempfile.TemporaryDirectory() as temporary:
    folder = pathlib.Path(temporary) / 'exported'
    weights.export(folder, *loaded)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
  with torch.no_grad():
    return [model(torch.tensor([ids])).logits[0].numpy() for ids in prompts]


def compare(path, count: int, new: int) -> dict[str, float]:
  """Largest relative error and the share of equal continuations."""
  import jax
  import jax.numpy as jnp

  from lm import transformer
  from lm.checkpoints import weights
  from lm.decoding import generate

  peers = theirs(path, count, new)
  gc.collect()
  loaded = weights.load(path)
  model = transformer.Transformer(loaded.config)
  table = transformer.unembedding(loaded.params)

  @jax.jit
  def full(params, tokens):
    return model.apply({'params': params}, tokens).hidden[0] @ table.T

  grown = generate.sample(
    loaded.config,
    loaded.params,
    [ids for ids, _, _ in peers],
    jax.random.key(0),
    max_new_tokens=new,
    temperature=0.0,
  ).tokens[:, 0]
  exported = logits_of_export(loaded, [ids for ids, _, _ in peers])
  errors, same, export_errors = [], 0, []
  for row, (ids, want, continuation) in enumerate(peers):
    padded = np.zeros((1, 128), np.int32)
    padded[0, : len(ids)] = ids
    got = np.asarray(full(loaded.params, jnp.asarray(padded)))[: len(ids)]
    errors.append(np.abs(got - want).max() / np.abs(want).max())
    export_errors.append(
      np.abs(exported[row] - want).max() / np.abs(want).max()
    )
    same += grown[row].tolist() == continuation
  return {
    'max_relative_error': float(max(errors)),
    'equal_continuations': same / len(peers),
    'export_max_relative_error': float(max(export_errors)),
  }


def main() -> None:
  began = time.monotonic()
  names = ['smollm2_135m_instruct']
  if _ACCEPT.value == 'gemma':
    names.append('gemma3_270m')
  out = {'prompts': _PROMPTS.value, 'new_tokens': _NEW.value}
  for name in names:
    path = assets.fetch(name, accept_licence=_ACCEPT.value)
    for key, value in compare(path, _PROMPTS.value, _NEW.value).items():
      out[f'{name}/{key}'] = value
  for name, value in out.items():
    print(f'{name:<44} {value:,.4g}')
  if _OUT.value:
    results.write(
      _OUT.value,
      out,
      command=' '.join(['python -m benchmarks.logits', *sys.argv[1:]]),
      seconds=time.monotonic() - began,
      seeds=[],
    )


if __name__ == '__main__':
  cli.main(main)
