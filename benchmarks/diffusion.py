r"""Masked-diffusion sampling: what rules cost, and generation beside PyTorch.

python -m benchmarks.diffusion --out=docs/results/diffusion_speed.json

The small denoiser of configs/diffusion_sampler (or its sizes) with drawn
weights, float32:

- rule_overhead/<rule>, policy_overhead: a compiled loop of passes with the rule
  in it, over the same loop that only looks (denoiser, top-1 token and
  confidence), less 1. What else a rule asks of the statistics (entropies, a
  second distribution for KLASS) and its random keys count as its cost.
  Neighbouring runs; medians.
- generate_<case>_ratio: whole generation in tokens/s, ours over the plain loop
  of plain_diffusion.py with the same weights, tokens and passes. b1 and b16
  write the surest token at each pass (`TopK(count=1)`, as many passes as
  tokens), b16_threshold all that are 0.9 sure. Two threads each. The floor of a
  pass is its FLOPs over the measured rate of a large matmul.
- rollouts_per_second: a whole round of GRPO, compiled ahead of time.
"""

import collections
import functools
import statistics
import sys
import time

import tqdm
from absl import flags

from benchmarks import alternate
from benchmarks import diffusion_sides as sides
from engine.runs import results
from launch import cli

_OUT = flags.DEFINE_string('out', '', 'results file; none if empty')
_REPEATS = flags.DEFINE_integer('repeats', 15, 'rounds; medians are reported')


def matmul(size: int = 1024):
  """Seconds a FLOP in a plain float32 matmul here."""
  import jax

  a = jax.random.normal(jax.random.key(0), (size, size))
  product = jax.jit(lambda a: a @ a)

  def run():
    return {'seconds': sides.seconds_of(lambda: product(a)) / (2 * size**3)}

  run()
  return run


def flops_of_pass(rows: int) -> int:
  """Matmuls of one pass over prompt and answer; logits of the answer alone."""
  d, f, layers = (
    sides.MODEL['width'],
    sides.MODEL['mlp_width'],
    sides.MODEL['layers'],
  )
  length = sides.PROMPT + sides.LONG
  block = 2 * (4 * d * d + 3 * d * f) + 4 * length * d
  head = 2 * sides.LONG * sides.MODEL['vocab_size'] * d
  return rows * (length * layers * block + head)


def measured(repeats: int, params) -> dict[str, dict[str, float]]:
  """Medians of what each side says."""
  makers = {
    'overheads': sides.overheads,
    'ours': functools.partial(sides.generation, sides.samplers, params),
    'torch': functools.partial(sides.generation, sides.torch_samplers, params),
    'rounds': sides.rounds,
    'matmul': matmul,
  }
  seen = {name: collections.defaultdict(list) for name in makers}
  with alternate.sides(makers, plain=('torch',)) as running:
    for _ in tqdm.trange(repeats, desc='rounds', leave=False):
      for name, run in running.items():
        for key, value in run().items():
          seen[name][key].append(value)
  return {
    name: {key: statistics.median(values) for key, values in found.items()}
    for name, found in seen.items()
  }


def report(medians, passes) -> dict[str, float | str]:
  """Overheads, ratios, rates and the share of the floor."""
  shares = dict(medians['overheads'])
  look, policy = shares.pop('look'), shares.pop('policy')
  worst = max(shares, key=shares.get)
  out = {
    'rule_overhead': shares['threshold'],
    'rule_overhead_worst': shares[worst],
    'rule_worst': worst,
    'policy_overhead': policy,
    'look_seconds_per_pass': look,
  }
  out |= {f'rule_overhead/{name}': share for name, share in shares.items()}
  ours, theirs = medians['ours'], medians['torch']
  for name, (rows, _) in sides.CASES.items():
    floor = flops_of_pass(rows) * medians['matmul']['seconds']
    spent = ours[name] / passes[f'generate_{name}_passes']
    out |= {
      f'generate_{name}_ratio': theirs[name] / ours[name],
      f'generate_{name}_tokens_per_second': rows * sides.LONG / ours[name],
      f'generate_{name}_tokens_per_second_torch': rows
      * sides.LONG
      / theirs[name],
      f'generate_{name}_floor_seconds_per_pass': floor,
      f'generate_{name}_share_of_floor': floor / spent,
    }
  return out | {
    'matmul_gflops': 1e-9 / medians['matmul']['seconds'],
    'rollouts_per_second': sides.BATCH / medians['rounds']['seconds'],
    'round_seconds': medians['rounds']['seconds'],
    'round_passes': medians['rounds']['nfe'],
  }


def main() -> None:
  began = time.monotonic()
  params = sides.weights()
  out = sides.compare(params)
  out |= report(measured(_REPEATS.value, params), out)
  for name, value in out.items():
    shown = value if isinstance(value, str) else f'{value:,.4g}'
    print(f'{name:<44} {shown}')
  if _OUT.value:
    results.write(
      _OUT.value,
      out,
      command=' '.join(['python -m benchmarks.diffusion', *sys.argv[1:]]),
      seconds=time.monotonic() - began,
      seeds=[0],
    )


if __name__ == '__main__':
  cli.main(main)
