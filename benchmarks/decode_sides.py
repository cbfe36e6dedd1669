"""Both sides of benchmarks/decode.py: what is asked of each, timed.

A side is made in a process of its own; it returns a function that runs every
task once and gives the seconds of each.
"""

import dataclasses
import functools
import pathlib
import statistics
import time

import numpy as np

PROMPT = 64
SAMPLES, SHORT = 50, 16
PREFIX, CHOICES, CHOICE = 128, 4, 4
# Rows of one batch of their choices.
_BATCH = 32


@dataclasses.dataclass(frozen=True)
class Work:
  """How much is asked: see the flags of benchmarks/decode.py."""

  rows: tuple[int, ...]
  new: int
  shared: int
  questions: int


def decoding(work: Work) -> list[str]:
  """Names of the tasks that give the rate of decoding."""
  kinds = ('prefill', 'whole')
  return [f'{kind}_b{rows}' for rows in work.rows for kind in kinds]


def tokens(*shape: int) -> np.ndarray:
  """Random ids below the specials' and rare ones' range."""
  return np.random.default_rng(0).integers(100, 40_000, shape)


def chain(config, params, x, steps):
  """The bare matmuls of `steps` decoding steps, one after the other.

  Kernels and vocabulary as the model holds them, in one loop. What lies between
  them is left out: norms, rotation, attention, the choice of a token. It is the
  floor of a step.
  """
  import jax
  import jax.numpy as jnp

  from lm import transformer

  def dot(x, kernel, inputs):
    kernel = kernel.reshape(-1, inputs)
    exact = jnp.int32 if kernel.dtype == jnp.int8 else jnp.float32
    return jax.lax.dot_general(
      x.astype(kernel.dtype),
      kernel,
      (((1,), (1,)), ((), ())),
      preferred_element_type=exact,
    ).astype(x.dtype)

  mixed = config.heads * config.head_dim
  table = transformer.unembedding(params)

  def step(_, x):
    for layer in range(config.layers):
      block = params[f'layer_{layer}']
      for name, inputs, kept in (
        ('qkv', config.width, mixed),
        ('out', mixed, config.width),
        ('gate_up', config.width, config.mlp_width),
        ('down', config.mlp_width, config.width),
      ):
        x = dot(x, block[name]['kernel'], inputs)[:, :kept]
        x = x * jnp.asarray(inputs**-0.5, x.dtype)
    return x + dot(x, table, config.width)[:, : config.width]

  return jax.lax.fori_loop(0, steps, step, x)


def ours(asset: str, dtype: str, work: Work, tasks: tuple[str, ...]):
  """Our side: seconds of each task."""
  import jax
  import jax.numpy as jnp

  from engine import assets
  from launch import setup
  from lm.checkpoints import weights
  from lm.decoding import continuous_batching, generate, scoring

  setup.compile_cache()
  model = weights.load(
    assets.fetch(asset), fused=True, dtype=dtype, param_dtype=dtype
  )
  config, params = model.config, model.params
  run_chain = jax.jit(chain, static_argnums=0)

  def draw(rows, new, **kwargs):
    prompts = tokens(rows, PROMPT).tolist()
    key = jax.random.key(0)
    generate.sample(config, params, prompts, key, max_new_tokens=new, **kwargs)

  def engine(rows, new):
    with continuous_batching.Engine(config, params, slots=rows) as running:
      asked = [
        running.submit(prompt, max_new_tokens=new, temperature=0.0)
        for prompt in tokens(rows, PROMPT).tolist()
      ]
      for future in asked:
        future.result()

  def multiply(rows, steps):
    x = jnp.ones((rows, config.width), config.activations)
    jax.block_until_ready(run_chain(config, params, x, steps))

  def choices():
    ids = tokens(work.questions, PREFIX + CHOICES * CHOICE)
    options = ids[:, PREFIX:].reshape(work.questions, CHOICES, CHOICE)
    scoring.score(config, params, ids[:, :PREFIX].tolist(), options.tolist())

  known = {
    'shared': functools.partial(draw, work.shared, SHORT, num_samples=SAMPLES),
    'choices': choices,
    'first_token': functools.partial(draw, 1, 1, temperature=0.0),
  }
  for rows in work.rows:
    for kind, what in (('', draw), ('engine_', engine), ('chain_', multiply)):
      extra = {'temperature': 0.0} if what is draw else {}
      for name, new in (('prefill', 1), ('whole', work.new)):
        known[f'{kind}{name}_b{rows}'] = functools.partial(
          what, rows, new, **extra
        )
  return _runner(known, tasks, warm=tasks)  # compiles


def theirs(
  folder: pathlib.Path, dtype: str, work: Work, tasks: tuple[str, ...]
):
  """Their side, transformers: seconds of each task."""
  import torch
  import transformers

  model = transformers.AutoModelForCausalLM.from_pretrained(
    folder, dtype=getattr(torch, dtype)
  ).eval()
  torch.manual_seed(0)
  model.generation_config.eos_token_id = None

  def draw(rows, new, **kwargs):
    prompt = torch.tensor(tokens(rows, PROMPT))
    with torch.inference_mode():
      model.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        max_new_tokens=new,
        min_new_tokens=new,
        pad_token_id=0,
        **kwargs,
      )

  def choices():
    ids = tokens(work.questions, PREFIX + CHOICES * CHOICE)
    options = ids[:, PREFIX:].reshape(work.questions * CHOICES, CHOICE)
    prefix = np.repeat(ids[:, :PREFIX], CHOICES, 0)
    whole = torch.tensor(np.concatenate([prefix, options], 1))
    with torch.inference_mode():
      for rows in whole.split(_BATCH):
        out = model(rows, logits_to_keep=CHOICE + 1).logits[:, :-1].float()
        out.log_softmax(-1).gather(-1, rows[:, -CHOICE:, None])

  known = {
    'shared': functools.partial(
      draw,
      work.shared,
      SHORT,
      do_sample=True,
      top_k=0,
      num_return_sequences=SAMPLES,
    ),
    'choices': choices,
    'first_token': functools.partial(draw, 1, 1, do_sample=False),
  }
  for rows in work.rows:
    for name, new in (('prefill', 1), ('whole', work.new)):
      known[f'{name}_b{rows}'] = functools.partial(
        draw, rows, new, do_sample=False
      )
  return _runner(known, tasks, warm=('first_token',))


def _runner(known, tasks, warm):
  def run(tasks=tasks):
    seconds = {}
    for name in tasks:
      # The short one several times: it is over before a clock's noise is.
      times = []
      for _ in range(5 if name == 'first_token' else 1):
        began = time.perf_counter()
        known[name]()
        times.append(time.perf_counter() - began)
      seconds[name] = statistics.median(times)
    return seconds

  run(warm)
  return run
