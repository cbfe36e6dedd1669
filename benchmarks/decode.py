r"""Decoding and scoring beside transformers, same weights, same machine.

python -m benchmarks.decode --out=docs/results/decode.json

SmolLM2-135M, read by theirs from a folder that `weights.export` wrote. Each
side lives in a process of its own, they take turns, and medians over the
rounds are compared:

- decode_b32: 32 prompts of 64 tokens, 64 new ones, greedy; tokens a second of
  decoding alone (reading the prompts is measured apart and taken off), and of
  the whole call;
- shared_prefix: 50 samples of each of 8 prompts of 64 tokens, 16 new ones;
- choice_scoring: 64 x 4 continuations of 4 tokens, 128 tokens shared by the 4.
  Theirs is a forward pass of every sequence in batches of 32 with logits at
  the last positions only. --questions of the 64 are timed;
- first_token: one prompt of 64 tokens to its first token, warm.

A ratio is theirs over ours in seconds; *_bf16 compares our fastest number type
with their bfloat16. `error_bf16` is what bfloat16 changes: the mean difference
of log-probabilities of the tokens that float32 drew, and the share of those
that bfloat16 draws too. The floor of a decoding step is the larger of the
weights' bytes over the measured bandwidth and its FLOPs over the measured
rate of a large matmul; `share_of_floor` says how much of that is reached.
"""

import collections
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
from engine import assets
from engine.runs import results
from launch import cli

_OUT = flags.DEFINE_string('out', '', 'results file; none if empty')
_REPEATS = flags.DEFINE_integer('repeats', 5, 'rounds; medians are reported')
_QUESTIONS = flags.DEFINE_integer('questions', 64, 'of 64 that are timed')
_OURS_ONLY = flags.DEFINE_bool('ours_only', False, 'measure our side alone')

ASSET = 'smollm2_135m_instruct'
PROMPT, NEW, ROWS = 64, 64, 32
SHARED, SAMPLES, SHORT = 8, 50, 16
PREFIX, CHOICES, CHOICE = 128, 4, 4
TASKS = ('prefill_b32', 'whole_b32', 'shared', 'choices', 'first_token')


def tokens(*shape: int) -> np.ndarray:
  """Random ids below the specials' and rare ones' range."""
  return np.random.default_rng(0).integers(100, 40_000, shape)


def ours(dtype: str, questions: int, tasks: tuple[str, ...]):
  """Our side: seconds of each task."""
  import jax

  from launch import setup
  from lm.checkpoints import weights
  from lm.decoding import generate, scoring

  setup.compile_cache()
  model = weights.load(
    assets.fetch(ASSET), fused=True, dtype=dtype, param_dtype=dtype
  )

  def draw(rows, new, **kwargs):
    generate.sample(
      model.config,
      model.params,
      tokens(rows, PROMPT).tolist(),
      jax.random.key(0),
      max_new_tokens=new,
      **kwargs,
    )

  def choices():
    ids = tokens(questions, PREFIX + CHOICES * CHOICE)
    options = ids[:, PREFIX:].reshape(questions, CHOICES, CHOICE)
    scoring.score(
      model.config, model.params, ids[:, :PREFIX].tolist(), options.tolist()
    )

  return _runner(
    {
      'prefill_b32': functools.partial(draw, ROWS, 1, temperature=0.0),
      'whole_b32': functools.partial(draw, ROWS, NEW, temperature=0.0),
      'shared': functools.partial(draw, SHARED, SHORT, num_samples=SAMPLES),
      'choices': choices,
      'first_token': functools.partial(draw, 1, 1, temperature=0.0),
    },
    tasks,
    warm=tasks,  # compiles
  )


def theirs(
  folder: pathlib.Path, dtype: str, questions: int, tasks: tuple[str, ...]
):
  """Their side: seconds of each task."""
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
    ids = tokens(questions, PREFIX + CHOICES * CHOICE)
    options = ids[:, PREFIX:].reshape(questions * CHOICES, CHOICE)
    prefix = np.repeat(ids[:, :PREFIX], CHOICES, 0)
    whole = torch.tensor(np.concatenate([prefix, options], 1))
    with torch.inference_mode():
      for rows in whole.split(ROWS):
        out = model(rows, logits_to_keep=CHOICE + 1).logits[:, :-1].float()
        out.log_softmax(-1).gather(-1, rows[:, -CHOICE:, None])

  return _runner(
    {
      'prefill_b32': functools.partial(draw, ROWS, 1, do_sample=False),
      'whole_b32': functools.partial(draw, ROWS, NEW, do_sample=False),
      'shared': functools.partial(
        draw,
        SHARED,
        SHORT,
        do_sample=True,
        top_k=0,
        num_return_sequences=SAMPLES,
      ),
      'choices': choices,
      'first_token': functools.partial(draw, 1, 1, do_sample=False),
    },
    tasks,
    warm=('first_token',),
  )


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


def machine() -> dict[str, float]:
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
  for dtype in ('float32', 'bfloat16'):
    a = jnp.ones((2048, 2048), dtype)
    multiply = jax.jit(
      functools.partial(jnp.matmul, preferred_element_type=jnp.float32)
    )
    out[f'flops_per_s_{dtype}'] = 2 * 2048**3 / best(multiply, a, a)
  big = jnp.ones(2**27)
  out['bytes_per_s'] = big.nbytes / best(jax.jit(jnp.sum), big)
  return out


def compare_types(count: int = 16) -> dict[str, float]:
  """What bfloat16 changes in greedy continuations of article openings."""
  from corpora.text import sources
  from lm.checkpoints import pretrained_tokenizer, weights
  from lm.decoding import generate, scoring

  path = assets.fetch(ASSET)
  tokenizer = pretrained_tokenizer.CheckpointTokenizer.load(path)
  documents = sources.open('wiki_summaries', 'test')
  prompts = [
    tokenizer.encode(document['text'])[:32]
    for _, document in zip(range(count), documents, strict=False)
  ]
  drawn, logprobs = {}, {}
  for dtype in ('float32', 'bfloat16'):
    model = weights.load(path, fused=True, dtype=dtype, param_dtype=dtype)
    out = generate.greedy(
      model.config, model.params, prompts, max_new_tokens=32
    )
    drawn[dtype] = np.asarray(out.tokens[:, 0])
    scores = scoring.score(
      model.config,
      model.params,
      prompts,
      [[row] for row in drawn['float32'].tolist()],
    )
    logprobs[dtype] = np.array([s[0].logprobs for s in scores])
  difference = np.abs(logprobs['float32'] - logprobs['bfloat16'])
  same = drawn['float32'] == drawn['bfloat16']
  return {
    'error_bf16/mean_abs_logprob': float(difference.mean()),
    'error_bf16/first_token_equal': float(same[:, 0].mean()),
    'error_bf16/tokens_equal': float(same.mean()),
  }


def report(seconds, can, parameters: int) -> dict[str, float]:
  """Ratios, rates and the share of the floor."""
  out = {}
  rates = {}
  for side, tasks in seconds.items():
    for task, value in tasks.items():
      out[f'seconds/{side}/{task}'] = value
    decoding = tasks['whole_b32'] - tasks['prefill_b32']
    rates[side] = ROWS * (NEW - 1) / decoding
    out[f'decode_b32_tokens_per_s/{side}'] = rates[side]
    out[f'whole_b32_tokens_per_s/{side}'] = ROWS * NEW / tasks['whole_b32']
  for dtype in ('float32', 'bfloat16'):
    if f'ours_{dtype}' not in seconds:
      continue
    flops = 2 * parameters * ROWS / can[f'flops_per_s_{dtype}']
    moved = parameters * (4 if dtype == 'float32' else 2) / can['bytes_per_s']
    floor = max(flops, moved)
    step = ROWS / rates[f'ours_{dtype}']
    out |= {
      f'floor_ms_per_step/{dtype}': 1e3 * floor,
      f'ms_per_step/{dtype}': 1e3 * step,
      f'share_of_floor/{dtype}': floor / step,
    }
  if 'theirs_float32' in seconds:
    mine, peer = seconds['ours_float32'], seconds['theirs_float32']
    fastest = max(rates['ours_float32'], rates['ours_bfloat16'])
    out |= {
      'decode_b32_ratio_f32': rates['ours_float32'] / rates['theirs_float32'],
      'decode_b32_ratio_bf16': fastest / rates['theirs_bfloat16'],
      'whole_b32_ratio_f32': peer['whole_b32'] / mine['whole_b32'],
      'shared_prefix_ratio': peer['shared'] / mine['shared'],
      'choice_scoring_ratio': peer['choices'] / mine['choices'],
      'first_token_ratio': peer['first_token'] / mine['first_token'],
    }
  return {**out, **can}


def main() -> None:
  began = time.monotonic()
  from lm.checkpoints import weights

  model = weights.load(assets.fetch(ASSET))
  parameters, half = model.config.parameters(), ('prefill_b32', 'whole_b32')
  with tempfile.TemporaryDirectory() as temporary:
    folder = pathlib.Path(temporary) / 'exported'
    weights.export(folder, *model)
    del model
    makers = {
      f'ours_{dtype}': functools.partial(ours, dtype, _QUESTIONS.value, tasks)
      for dtype, tasks in (('float32', TASKS), ('bfloat16', half))
    }
    if not _OURS_ONLY.value:
      for dtype, tasks in (('float32', TASKS), ('bfloat16', half)):
        makers[f'theirs_{dtype}'] = functools.partial(
          theirs, folder, dtype, _QUESTIONS.value, tasks
        )
    seconds = measured(makers, _REPEATS.value)
  out = report(seconds, machine(), parameters) | compare_types()
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
  cli.main(main)
