r"""Decoding and scoring beside transformers, same weights, same machine.

python -m benchmarks.decode --out=docs/results/decode.json
python -m benchmarks.decode --model=qwen2_5_coder_1_5b_instruct \
  --types=bfloat16,int8 --new=17 --shared=2 --questions=8 --repeats=3 \
  --out=docs/results/decode_qwen.json

Theirs are read from a folder that `weights.export` wrote. Each side lives in a
process of its own, they take turns, and medians over the rounds are compared:

- decode_bN: N prompts of 64 tokens, --new tokens of each, greedy; tokens a
  second of decoding alone (reading the prompts is measured apart and taken
  off), and of the whole call;
- shared_prefix: 50 samples of each of --shared prompts of 64 tokens, 16 new;
- choice_scoring: 4 continuations of 4 tokens of each of --questions prefixes of
  128. Theirs is a forward pass of every sequence in batches of 32 with logits
  at the last positions only;
- first_token: one prompt of 64 tokens to its first token, warm.

A ratio is theirs over ours in seconds, in the first of --types, or in the type
that it names: *_bf16 compares with their bfloat16, *_int8 our int8 with it too.
The first type does every task, later ones decode only.

`chain_share` is a decoding step of ours over the bare matmuls of it in one loop
(decode_sides.chain), `engine_share` a step of the engine for continuous
batching over one of `generate.sample`. The floor of a step is the larger of the
weights' bytes over the measured bandwidth and its FLOPs over the measured rate
of a large matmul. `error_<type>` is what a type changes beside the first:
benchmarks/decode_error.py.
"""

import collections
import functools
import multiprocessing
import pathlib
import statistics
import sys
import tempfile
import time

import tqdm
from absl import flags

from benchmarks import alternate, decode_error
from benchmarks import decode_sides as sides
from engine import assets
from engine.runs import results
from launch import cli

_MODEL = flags.DEFINE_string('model', 'smollm2_135m_instruct', 'an asset')
_TYPES = flags.DEFINE_list('types', ['float32', 'bfloat16', 'int8'], 'ours')
_OUT = flags.DEFINE_string('out', '', 'results file; none if empty')
_REPEATS = flags.DEFINE_integer('repeats', 5, 'rounds; medians are reported')
_ROWS = flags.DEFINE_list('rows', ['1', '8', '32'], 'rows that are decoded')
_NEW = flags.DEFINE_integer('new', 64, 'tokens that are decoded')
_SHARED = flags.DEFINE_integer('shared', 8, 'prompts of 50 samples')
_QUESTIONS = flags.DEFINE_integer('questions', 64, 'with 4 choices each')
_OURS_ONLY = flags.DEFINE_bool('ours_only', False, 'measure our side alone')

# Types in the names of ratios.
_SHORT = {'float32': 'f32', 'bfloat16': 'bf16', 'int8': 'int8'}
# Slots of the engine whose step is compared; one of --rows.
ENGINE_ROWS = 8


def measured(makers, repeats: int) -> dict[str, dict[str, float]]:
  """Medians of what each side says of each task."""
  seen = {name: collections.defaultdict(list) for name in makers}
  with alternate.sides(makers) as running:
    for _ in tqdm.trange(repeats, desc='rounds'):
      for name, run in running.items():
        for task, seconds in run().items():
          seen[name][task].append(seconds)
  return {
    name: {task: statistics.median(s) for task, s in tasks.items()}
    for name, tasks in seen.items()
  }


def machine(types) -> dict[str, float]:
  """What this machine can do: FLOP/s of a large matmul, bytes/s of a sum."""
  import jax
  import jax.numpy as jnp

  def best(f, *args):
    jax.block_until_ready(f(*args))
    times = []
    for _ in range(7):
      began = time.perf_counter()
      jax.block_until_ready(f(*args))
      times.append(time.perf_counter() - began)
    return min(times)

  out = {}
  for dtype in types:
    a = jnp.ones((2048, 2048), dtype)
    exact = jnp.int32 if dtype == 'int8' else jnp.float32
    multiply = jax.jit(
      functools.partial(jnp.matmul, preferred_element_type=exact)
    )
    out[f'flops_per_s_{dtype}'] = 2 * 2048**3 / best(multiply, a, a)
  big = jnp.ones(2**27)
  out['bytes_per_s'] = big.nbytes / best(jax.jit(jnp.sum), big)
  return out


def report(seconds, can, config, work: sides.Work) -> dict[str, float]:
  """Ratios, rates, shares of the chain and of the floor."""
  out = {
    f'seconds/{side}/{task}': value
    for side, tasks in seconds.items()
    for task, value in tasks.items()
  }

  def step(side, rows, kind=''):
    tasks = seconds[side]
    whole = tasks[f'{kind}whole_b{rows}'] - tasks[f'{kind}prefill_b{rows}']
    return whole / (work.new - 1)

  multiplied = config.multiplied()
  for side in seconds:
    who, dtype = side.split('_')
    for rows in work.rows:
      out[f'ms_per_step_b{rows}/{side}'] = 1e3 * step(side, rows)
      out[f'decode_b{rows}_tokens_per_s/{side}'] = rows / step(side, rows)
      if who == 'ours':
        if rows > 1:
          share = step(side, rows) / step(side, rows, 'chain_')
          out[f'chain_share_b{rows}/{dtype}'] = share
        size = {'float32': 4, 'bfloat16': 2, 'int8': 1}[dtype]
        floor = max(
          2 * multiplied * rows / can[f'flops_per_s_{dtype}'],
          multiplied * size / can['bytes_per_s'],
        )
        out[f'share_of_floor_b{rows}/{dtype}'] = floor / step(side, rows)
  first = _TYPES.value[0]
  most = step(f'ours_{first}', ENGINE_ROWS, 'engine_')
  out['engine_share'] = most / step(f'ours_{first}', ENGINE_ROWS)
  out['chain_share'] = max(
    out[f'chain_share_b{rows}/{first}'] for rows in work.rows if rows > 1
  )
  for dtype, name in (
    ('float32', 'f32'),
    ('bfloat16', 'bf16'),
    ('int8', 'int8'),
  ):
    peer = f'theirs_{"bfloat16" if dtype == "int8" else dtype}'
    if f'ours_{dtype}' in seconds and peer in seconds:
      for rows in work.rows:
        ratio = step(peer, rows) / step(f'ours_{dtype}', rows)
        out[f'decode_b{rows}_ratio_{name}'] = ratio
  if f'theirs_{first}' in seconds:
    mine, peer = seconds[f'ours_{first}'], seconds[f'theirs_{first}']
    for name, task in (
      ('shared_prefix_ratio', 'shared'),
      ('choice_scoring_ratio', 'choices'),
      ('first_token_ratio', 'first_token'),
    ):
      out[name] = peer[task] / mine[task]
  return {**out, **can}


def _makers(folder: pathlib.Path, work: sides.Work):
  decoding = sides.decoding(work)
  others = ['shared', 'choices', 'first_token']
  out = {}
  for i, dtype in enumerate(_TYPES.value):
    # Of one row XLA copies all kernels in every call, and ours does not.
    chains = [f'chain_{n}' for n in decoding if not n.endswith('_b1')]
    ours = [*decoding, *chains]
    if not i:
      ours += [f'engine_{n}_b{ENGINE_ROWS}' for n in ('prefill', 'whole')]
      ours += others
    out[f'ours_{dtype}'] = functools.partial(
      sides.ours, _MODEL.value, dtype, work, tuple(ours)
    )
    if dtype != 'int8' and not _OURS_ONLY.value:
      theirs = decoding if i else [*decoding, *others]
      out[f'theirs_{dtype}'] = functools.partial(
        sides.theirs, folder, dtype, work, tuple(theirs)
      )
  return out


def _export(folder: pathlib.Path, model: str, dtype: str) -> None:
  """What theirs is read from; by a process whose memory goes with it."""
  from lm.checkpoints import weights

  loaded = weights.load(assets.fetch(model), param_dtype=dtype, dtype=dtype)
  weights.export(folder, *loaded, dtype=dtype)


def main() -> None:
  began = time.monotonic()
  from lm.checkpoints import weights

  work = sides.Work(
    rows=tuple(map(int, _ROWS.value)),
    new=_NEW.value,
    shared=_SHARED.value,
    questions=_QUESTIONS.value,
  )
  source = weights.open_source(assets.fetch(_MODEL.value))
  _, config = source.config()
  with tempfile.TemporaryDirectory() as temporary:
    folder = pathlib.Path(temporary) / 'exported'
    if not _OURS_ONLY.value:
      export = functools.partial(_export, folder, _MODEL.value, _TYPES.value[0])
      context = multiprocessing.get_context('spawn')
      process = context.Process(target=export)
      process.start()
      process.join()
      if process.exitcode:
        raise RuntimeError(f'the export ended with {process.exitcode}')
    seconds = measured(_makers(folder, work), _REPEATS.value)
  out = report(seconds, machine(_TYPES.value), config, work)
  out |= decode_error.compare(_MODEL.value, _TYPES.value)
  for name, value in out.items():
    print(f'{name:<48} {value:,.4g}')
  if _OUT.value:
    results.write(
      _OUT.value,
      out,
      command=' '.join(['python -m benchmarks.decode', *sys.argv[1:]]),
      seconds=time.monotonic() - began,
      seeds=[0],
    )


if __name__ == '__main__':
  cli.main(main, keep_memory=False)
