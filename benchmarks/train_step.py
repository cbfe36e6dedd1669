r"""Training tokens per second beside PyTorch and transformers.

python -m benchmarks.train_step --out=docs/results/train_step.json

Both sides train a Llama of the shape of configs/lacy/wiki.py in float32 with
clipped AdamW on the same number of tokens, each in a process of its own,
taking turns; medians. Ours is the whole LaCy step (selection, metrics, packed
documents with segment masks); theirs is plain next-token training on unpacked
records, which asks less of it. Each is started as its users start it: ours by
a launcher, which has malloc keep its memory, theirs by plain Python;
`ratio_vs_torch_same_malloc` gives them that malloc too. `lacy_overhead` is
LaCy's step over ours with plain cross-entropy.
"""

import functools
import sys
import time

from absl import flags

from benchmarks import alternate, lacy_batch
from engine.runs import results
from launch import cli

_OUT = flags.DEFINE_string('out', '', 'results file; none if empty')
_REPEATS = flags.DEFINE_integer('repeats', 15, 'rounds; medians are reported')
_STEPS = flags.DEFINE_integer('steps', 5, 'steps a round and side')

CALL_ID = 8187


def ours(rule: str, steps: int):
  """Our side: seconds a step."""
  import flax.linen as nn
  import jax

  from engine import optim
  from lacy import experiment
  from lm import init as init_lib

  s = experiment.settings(lacy_batch.config(rule))
  optimiser, _ = optim.make(s.optim, s.steps)
  batch = jax.device_put(lacy_batch.of(lacy_batch.config(rule)))
  state = nn.unbox(init_lib.train_state(s.model, optimiser)(jax.random.key(0)))
  step = experiment.make_step(s, CALL_ID, optimiser)
  step = jax.jit(step, donate_argnums=0)

  def run():
    nonlocal state
    began = time.perf_counter()
    for i in range(steps):
      state, out = step(state, batch, jax.random.key(i))
    jax.block_until_ready((state, out))
    return (time.perf_counter() - began) / steps

  run()
  return run


def torch_side(steps: int):
  """Their side: seconds a step of transformers' Llama with fused AdamW."""
  import torch
  import transformers

  cfg = lacy_batch.config()
  model, data, optim = cfg['model'], cfg['data'], cfg['optim']
  torch.manual_seed(0)
  llama = transformers.LlamaForCausalLM(
    transformers.LlamaConfig(
      vocab_size=model['vocab_size'],
      hidden_size=model['width'],
      intermediate_size=model['mlp_width'],
      num_hidden_layers=model['layers'],
      num_attention_heads=model['heads'],
      num_key_value_heads=model['heads'],
      max_position_embeddings=data['context'],
      tie_word_embeddings=True,
    )
  ).train()
  optimiser = torch.optim.AdamW(
    llama.parameters(),
    lr=optim['peak_lr'],
    betas=(optim['b1'], optim['b2']),
    weight_decay=optim['weight_decay'],
    fused=True,
  )
  shape = data['batch_size'], data['context']
  tokens = torch.randint(0, model['vocab_size'] - 5, shape)

  def run():
    began = time.perf_counter()
    for _ in range(steps):
      optimiser.zero_grad()
      loss = llama(input_ids=tokens, labels=tokens).loss
      loss.backward()
      torch.nn.utils.clip_grad_norm_(llama.parameters(), optim['clip_norm'])
      optimiser.step()
      loss.item()
    return (time.perf_counter() - began) / steps

  run()
  return run


def matmul(size: int = 1024):
  """The floor's yardstick: FLOP/s of a plain float32 matmul here."""
  import jax

  a = jax.random.normal(jax.random.key(0), (size, size))
  product = jax.jit(lambda a: a @ a)

  def run():
    began = time.perf_counter()
    for _ in range(10):
      out = product(a)
    out.block_until_ready()
    return (time.perf_counter() - began) / 10 / (2 * size**3)

  run()
  return run


def main() -> None:
  began = time.monotonic()
  steps = _STEPS.value
  seconds = alternate.medians(
    {
      'lacy': functools.partial(ours, 'lacy', steps),
      'torch': functools.partial(torch_side, steps),
      'torch_same_malloc': functools.partial(torch_side, steps),
      'standard': functools.partial(ours, 'standard', steps),
      'matmul': matmul,
    },
    repeats=_REPEATS.value,
    plain=('torch',),
  )
  from lacy import experiment

  cfg = lacy_batch.config()
  tokens = cfg['data']['batch_size'] * cfg['data']['context']
  flops = experiment.build(cfg).flops()
  floor = flops * seconds['matmul']
  out = {
    'ratio_vs_torch': seconds['torch'] / seconds['lacy'],
    'ratio_vs_torch_same_malloc': (
      seconds['torch_same_malloc'] / seconds['lacy']
    ),
    'lacy_overhead': seconds['lacy'] / seconds['standard'] - 1.0,
    'tokens_per_second': tokens / seconds['lacy'],
    'tokens_per_second_standard': tokens / seconds['standard'],
    'tokens_per_second_torch': tokens / seconds['torch'],
    'flops_per_step': flops,
    'matmul_gflops': 1e-9 / seconds['matmul'],
    'floor_seconds_per_step': floor,
    'share_of_floor': floor / seconds['lacy'],
  }
  for name, value in out.items():
    print(f'{name:<28} {value:,.4g}')
  if _OUT.value:
    results.write(
      _OUT.value,
      out,
      command=' '.join(['python -m benchmarks.train_step', *sys.argv[1:]]),
      seconds=time.monotonic() - began,
      seeds=[0],
    )


if __name__ == '__main__':
  cli.main(main)
