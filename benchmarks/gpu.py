r"""Decoding, a training step and a denoising pass on an accelerator.

python -m benchmarks.gpu --out=docs/results/gpu_h100.json
python -m benchmarks.gpu --size=tiny --chip=cpu          # does it run?

One device, bfloat16, random weights, under eight minutes on an H100:

- decode_bN: milliseconds a step of `generate.sample` after 64 tokens, the shape
  of Qwen2.5-Coder-1.5B, N rows; `decode_bN/bandwidth` is the share of the
  chip's memory bandwidth that reading weights and cache once a step takes;
- engine_b32: the same of the engine for continuous batching;
- train: a whole LaCy step (selection, metrics, AdamW with float32 state) of a
  1.1B Llama on packed documents; `train/mfu` is model FLOPs over peak;
- denoise: a pass of the same decoder shape, unmasking by the threshold rule
  that writes one position a pass; `denoise/mfu` likewise.

Peaks are the maker's, dense bfloat16. Times are medians, dispatch included.
"""

import functools
import statistics
import sys
import time

import numpy as np
from absl import flags

from engine.runs import results
from launch import cli, dry_run

# Memory bandwidth in bytes a second, as the maker states it. 'cpu' has none:
# shares are then left out.
BANDWIDTH = {'a100': 2.04e12, 'h100': 3.35e12, 'h200': 4.8e12, 'b200': 8e12}

_CHIP = flags.DEFINE_enum('chip', 'h100', (*BANDWIDTH, 'cpu'), 'whose peaks')
_SIZE = flags.DEFINE_enum('size', 'full', ('full', 'tiny'), 'of the models')
_OUT = flags.DEFINE_string('out', '', 'results file; none if empty')
_REPEATS = flags.DEFINE_integer('repeats', 5, 'medians are reported')

PROMPT, NEW = 64, 65
_QWEN = dict(
  vocab_size=151_936,
  layers=28,
  width=1536,
  heads=12,
  kv_heads=2,
  mlp_width=8960,
  tied=False,
  qkv_bias=True,
)
_LLAMA = dict(
  vocab_size=32_768, layers=16, width=2048, heads=16, mlp_width=5632
)
_TINY = dict(vocab_size=512, layers=2, width=64, heads=2, mlp_width=128)


def _seconds(run, repeats: int) -> float:
  run()  # compiles
  times = []
  for _ in range(repeats):
    began = time.perf_counter()
    run()
    times.append(time.perf_counter() - began)
  return statistics.median(times)


def model(sizes: dict):
  """A bfloat16 config with fused kernels, and random parameters."""
  import flax.linen as nn
  import jax
  import jax.numpy as jnp

  from lm import transformer

  config = transformer.TransformerConfig(**sizes, fused=True, dtype='bfloat16')
  init = transformer.Transformer(config).init

  @jax.jit
  def draw(key):
    params = nn.unbox(init(key, jnp.zeros((1, 2), jnp.int32))['params'])
    return jax.tree.map(lambda x: x.astype(jnp.bfloat16), params)

  return config, draw(jax.random.key(0))


def decode(sizes: dict, rows: tuple[int, ...], repeats: int):
  """Seconds of a step by number of rows, and of the engine at the middle."""
  import jax

  from lm.decoding import continuous_batching, generate

  config, params = model(sizes)

  def prompts(count):
    rng = np.random.default_rng(0)
    return rng.integers(5, config.vocab_size, (count, PROMPT)).tolist()

  def sample(count, new):
    generate.greedy(config, params, prompts(count), max_new_tokens=new)

  def engine(count, new):
    with continuous_batching.Engine(config, params, slots=count) as running:
      asked = [
        running.submit(prompt, max_new_tokens=new, temperature=0.0)
        for prompt in prompts(count)
      ]
      jax.block_until_ready([future.result() for future in asked])

  def step(what, count):
    short, long = (
      _seconds(functools.partial(what, count, new), repeats) for new in (1, NEW)
    )
    return (long - short) / (NEW - 1)

  out = {f'decode_b{count}': step(sample, count) for count in rows}
  middle = rows[len(rows) // 2]
  out[f'engine_b{middle}'] = step(engine, middle)
  return config, out


def train(sizes: dict, batch: int, context: int, repeats: int):
  """Seconds of a LaCy step, and its matmul FLOPs."""
  import flax.linen as nn
  import jax

  from benchmarks import lacy_batch
  from engine import optim
  from lacy import experiment
  from lm import init as init_lib

  cfg = lacy_batch.config()
  cfg['model'] = sizes | dict(dtype='bfloat16', scan_layers=True, remat=True)
  cfg['data'] |= dict(
    vocab_size=sizes['vocab_size'], batch_size=batch, context=context
  )
  s = experiment.settings(cfg)
  optimiser, _ = optim.make(s.optim, s.steps)
  fed = jax.device_put(lacy_batch.of(cfg))
  init = init_lib.train_state(s.model, optimiser)
  state = jax.jit(lambda key: nn.unbox(init(key)))(jax.random.key(0))
  call_id = sizes['vocab_size'] - 5
  step = jax.jit(experiment.make_step(s, call_id, optimiser), donate_argnums=0)

  def run():
    nonlocal state
    state, out = step(state, fed, jax.random.key(1))
    jax.block_until_ready((state, out))

  return _seconds(run, repeats), experiment.build(cfg).flops()


def denoise(sizes: dict, batch: int, answer: int, repeats: int):
  """Seconds of a pass over [batch, PROMPT + answer], and its FLOPs."""
  import jax
  import jax.numpy as jnp

  from diffusion_sampler.sampling import canvas, decode, denoiser, rules

  config, params = model(sizes)
  layout = canvas.Layout(
    prompt=PROMPT, answer=answer, block=answer, mask_id=config.vocab_size - 1
  )
  prompts = jnp.ones((batch, PROMPT), jnp.int32)
  keys = jax.random.split(jax.random.key(0), batch)

  @jax.jit
  def fill_in(params):
    # No confidence is above 1: one position a pass, the surest.
    rule = rules.Threshold(threshold=2.0)
    one = denoiser.of_transformer(config, params)
    return decode.sample(one, rule, layout, prompts, keys).nfe

  seconds = _seconds(lambda: jax.block_until_ready(fill_in(params)), repeats)
  flops = 2 * config.multiplied() * batch * (PROMPT + answer)
  return seconds / answer, flops


def main() -> None:
  began = time.monotonic()
  import jax

  tiny, repeats = _SIZE.value == 'tiny', _REPEATS.value
  rows = (1, 2, 4) if tiny else (1, 32, 256)
  config, steps = decode(_TINY if tiny else _QWEN, rows, repeats)
  train_s, train_flops = train(
    _TINY if tiny else _LLAMA, *((2, 64) if tiny else (8, 2048)), repeats
  )
  denoise_s, denoise_flops = denoise(
    _TINY if tiny else _QWEN, *((2, 8) if tiny else (16, 64)), repeats
  )
  out = {f'{name}/ms': 1e3 * seconds for name, seconds in steps.items()}
  out |= {'train/ms': 1e3 * train_s, 'denoise/ms': 1e3 * denoise_s}
  chip = _CHIP.value
  if chip != 'cpu':
    peak = dry_run.CHIPS[chip] * 1e12
    slot = 4 * config.layers * config.kv_heads * config.head_dim
    for name, seconds in steps.items():
      cache = int(name.partition('_b')[2]) * (PROMPT + NEW) * slot
      moved = 2 * config.multiplied() + cache
      out[f'{name}/bandwidth'] = moved / seconds / BANDWIDTH[chip]
    out['train/mfu'] = train_flops / train_s / peak
    out['denoise/mfu'] = denoise_flops / denoise_s / peak
  device = jax.devices()[0].device_kind
  print(f'{device}, peaks of {chip}')
  for name, value in out.items():
    print(f'{name:<24} {value:,.4g}')
  if _OUT.value:
    results.write(
      _OUT.value,
      out | {'device': device, 'chip': chip},
      command=' '.join(['python -m benchmarks.gpu', *sys.argv[1:]]),
      seconds=time.monotonic() - began,
      seeds=[0],
    )


if __name__ == '__main__':
  cli.main(main, keep_memory=False)
