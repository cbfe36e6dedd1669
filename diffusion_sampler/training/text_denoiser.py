"""A masked-diffusion model from a causal one, trained on with text.

What a causal checkpoint knows is kept by changing it slowly (DiffuLLaMA, Gong
et al. 2024, arXiv 2410.17891): position i goes on predicting token i + 1, now
where that is hidden, and the later half of its attention is opened bit by bit,
a random share of all pairs that grows from 0 to 1. After that it sees both
ways, and is sampled as `denoiser.Denoiser` with `shifted`. How the share grows
(linearly) and that a step's draw is one for the whole batch are ours.

`build(cfg)` reads configs/diffusion_sampler/adapt_smollm2.py.

Shapes: B records, T tokens of one.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import grain
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from corpora.text import packing, pipeline, prepare
from diffusion_sampler.evaluation import evaluate, fill_in
from diffusion_sampler.report import claims as claims_lib
from diffusion_sampler.training import denoising, masking
from engine import experiment as experiment_lib
from engine import metrics, optim, options
from lm import init as model_init
from lm import losses, transformer
from lm.checkpoints import extend

COLUMNS = (
  ('nll_bound', 'nll bound', '.3f'),
  ('before_nll_bound', 'untrained', '.3f'),
  ('before_nll', 'causal', '.3f'),
  ('accuracy', 'filled in', '.3f'),
  ('nfe', 'passes', '.2f'),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
  """Which text.

  Attributes:
    corpus: see corpora/text/sources.py.
    context: T - 1.
    batch_size: records a step, over all devices.
    eval_records: of the validation split, read during training.
    test_records: documents of the test split with a gap to fill in.
    prompt: tokens before the gap.
    gap: tokens hidden.
    after: tokens behind the gap.
  """

  corpus: str = 'wiki_summaries'
  context: int = 255
  batch_size: int = 64
  eval_records: int = 64
  test_records: int = 256
  prompt: int = 32
  gap: int = 16
  after: int = 16

  def __post_init__(self):
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      if field.type is int and value < 1:
        raise ValueError(f'data.{field.name} must be at least 1, got {value}')


class Settings(NamedTuple):
  """The config, taken apart into checked dataclasses.

  Attributes:
    init: the causal checkpoint, as lm.hub takes it.
    anneal: steps until every pair is open; 0: from the start.
    accumulate: microbatches a step.
  """

  init: str
  data: DataConfig
  model: transformer.TransformerConfig
  noise: masking.Noise
  anneal: int
  accumulate: int
  sampling: evaluate.SamplingConfig
  optim: optim.OptimConfig
  steps: int
  seed: int


def settings(cfg: Mapping[str, Any]) -> Settings:
  """Raises ValueError where a field does not fit."""
  s = Settings(
    init=cfg['init'],
    data=options.section(cfg['data'], 'data', DataConfig),
    model=options.section(cfg['model'], 'model', transformer.TransformerConfig),
    noise=options.section(cfg['noise'], 'noise', masking.Noise),
    anneal=cfg['anneal'],
    accumulate=cfg['accumulate'],
    sampling=options.section(
      cfg['sampling'], 'sampling', evaluate.SamplingConfig
    ),
    optim=options.section(cfg['optim'], 'optim', optim.OptimConfig),
    steps=cfg['run']['steps'],
    seed=cfg['run']['seed'],
  )
  if not s.init:
    raise ValueError('init must name a causal checkpoint; set --config.init')
  if s.anneal < 0:
    raise ValueError(f'anneal must not be negative, got {s.anneal}')
  if s.accumulate < 1:
    raise ValueError(f'accumulate must be at least 1, got {s.accumulate}')
  return s


def share(step, anneal: int) -> Float[Array, '']:
  """Of the later positions that are open at a step; none before the first."""
  return jnp.clip(jnp.float32(step) / anneal, 0, 1) if anneal else jnp.ones(())


def hideable(batch: Mapping[str, jax.Array]) -> Bool[Array, 'B T']:
  """Tokens that have one of their own document before them to predict them."""
  segments = batch['segments']
  same = (segments[:, 1:] == segments[:, :-1]) & (segments[:, 1:] != 0)
  return jnp.pad(same, ((0, 0), (1, 0)))


def _columns(batch: Mapping[str, jax.Array]) -> list[jax.Array]:
  """Tokens, positions and segments, which are packed in narrower types."""
  names = 'tokens', 'positions', 'segments'
  return [jnp.asarray(batch[name], jnp.int32) for name in names]


def denoising_loss(
  config: transformer.TransformerConfig,
  mask_id: int,
  opened: Float[Array, ''] | float,
  params: Any,
  batch: Mapping[str, jax.Array],
  key: Key[Array, ''],
  noise: masking.Noise,
) -> metrics.Mean:
  """`denoising.loss` with shifted targets.

  A document's first token is never hidden; a record's time is that of all
  documents in it.

  Args:
    config: of the model.
    mask_id: the mask.
    opened: the share of later positions that are seen.
    params: of the model.
    batch: 'tokens', 'segments', 'positions' [B, T] as corpora.packing makes.
    key: consumed.
    noise: see `masking.Noise`.
  """
  hide_key, open_key = jax.random.split(key)
  tokens, positions, segments = _columns(batch)
  length = tokens.shape[1]
  return denoising.loss(
    config,
    params,
    tokens,
    hideable(batch),
    hide_key,
    mask_id=mask_id,
    noise=noise,
    first=1,
    shifted=True,
    positions=positions,
    segments=segments,
    opened=jax.random.uniform(open_key, (length, length)) < opened,
  )


def causal_loss(
  config: transformer.TransformerConfig,
  params: Any,
  batch: Mapping[str, jax.Array],
  *,
  mask_id: int,
) -> metrics.Mean:
  """Nats of the same tokens to a model that reads from the left."""
  tokens_BT, positions_BT, segments_BT = _columns(batch)
  hidden = (
    transformer.Transformer(config)
    .apply({'params': params}, tokens_BT, positions_BT, segments_BT)
    .hidden
  )
  stats = losses.vocab_stats(
    hidden[:, :-1],
    transformer.unembedding(params),
    tokens_BT[:, 1:],
    excluded=mask_id,
  )
  counts = hideable(batch)[:, 1:]
  loss = jnp.where(counts, stats.lse - stats.target, 0.0)
  return metrics.Mean(total=loss.sum(), count=jnp.float32(counts.sum()))


def make_step(s: Settings, mask_id: int, optimiser):
  """(state, batch, key) -> (state, metrics)."""

  def step(state, batch, key):
    opened = share(state.step, s.anneal)
    state, logged = denoising.update(
      state,
      batch,
      jax.random.split(key, s.accumulate),
      functools.partial(denoising_loss, s.model, mask_id, opened),
      optimiser,
      noise=s.noise,
    )
    return state, logged | {'opened': opened}

  return step


def build(cfg: Mapping[str, Any]) -> experiment_lib.Experiment:
  """A masked-diffusion model made from a causal checkpoint.

  Raises:
    ValueError: a field that does not fit.
  """
  s = settings(cfg)
  return experiment_lib.Experiment(
    open=functools.partial(open_program, s),
    abstract=functools.partial(abstract, s),
    flops=functools.partial(flops_per_step, s),
    columns=COLUMNS,
    claims=claims_lib.claims,
    figures='diffusion_sampler.report.plots',
  )


def open_program(s: Settings) -> experiment_lib.Program:
  """Opens the text and ties all together; `load` reads the checkpoint.

  The end compares with the checkpoint as it came: `before_nll`, read from the
  left, and `before_nll_bound`, asked to denoise without having learned to.

  Raises:
    ValueError: another shape than the checkpoint's, or documents too short for
      the gap.
    FileNotFoundError: no such checkpoint or text.
  """
  text = prepare.prepare(s.data.corpus, tokenizer=s.init)
  tokenizer = text.tokenizer
  if tokenizer.vocab_size != s.model.vocab_size:
    raise ValueError(
      f'model.vocab_size={s.model.vocab_size} must be '
      f'{tokenizer.vocab_size}, the tokens of init={s.init} and five; change '
      '--config.model.vocab_size'
    )
  mask_id = tokenizer.mask_id
  gaps = fill_in.gaps(
    text.split('test'),
    prompt=s.data.prompt,
    gap=s.data.gap,
    after=s.data.after,
    count=s.data.test_records,
  )
  optimiser, _ = optim.make(s.optim, s.steps)

  def records(split):
    return packing.records(text.split(split), s.data.context, tokenizer.pad_id)

  def train_data():
    batches = pipeline.dataset(
      records('train'),
      batch_size=s.data.batch_size,
      seed=s.seed,
      process_index=jax.process_index(),
      process_count=jax.process_count(),
    )
    read = grain.ReadOptions(num_threads=2, prefetch_buffer_size=4)
    return batches.to_iter_dataset(read)

  def load(params, shardings):
    del params
    return extend.load(
      s.init, s.model, known=tokenizer.call_id, shardings=shardings
    )

  def some():
    return {
      name: np.array(array[: s.data.eval_records])
      for name, array in records('validation').items()
    }

  bound = denoising.bound(
    functools.partial(denoising_loss, s.model, mask_id, 1.0)
  )

  def validation(state, key):
    return {'nll_bound': bound(state.params, some(), key)}

  def test(state, key):
    checkpoint = load(None, jax.tree.map(lambda x: x.sharding, state.params))
    found = fill_in.evaluate_gaps(
      s.model, state.params, checkpoint, s.sampling, gaps, mask_id, key
    )
    read = jax.jit(functools.partial(causal_loss, s.model, mask_id=mask_id))
    few = slice(s.sampling.frames)
    return found | {
      'before_nll': float(read(checkpoint, some()).compute()),
      'before_nll_bound': bound(checkpoint, some(), key),
      'pieces': fill_in.pieces(tokenizer, found['answers']),
      'target_pieces': fill_in.pieces(tokenizer, gaps['answer'][few]),
      'prompt_pieces': fill_in.pieces(tokenizer, gaps['prompt'][few]),
    }

  return experiment_lib.Program(
    # `load` puts the checkpoint in its place.
    init=model_init.train_state(s.model, optimiser),
    step=make_step(s, mask_id, optimiser),
    train_data=train_data,
    evals={'validation': validation},
    final={'test': test},
    load=load,
  )


def abstract(s: Settings):
  """Program and a batch of shapes, without text or checkpoint."""
  optimiser, _ = optim.make(s.optim, s.steps)
  shape = (s.data.batch_size, s.data.context + 1)
  batch = {
    name: jax.ShapeDtypeStruct(shape, jnp.int32)
    for name in ('tokens', 'segments', 'positions')
  }
  made = experiment_lib.Program(
    init=model_init.train_state(s.model, optimiser),
    # Specials are the last five.
    step=make_step(s, s.model.vocab_size - 4, optimiser),
    train_data=None,
  )
  return made, batch


def flops_per_step(s: Settings) -> int:
  """Matmul FLOPs of one training step."""
  length = s.data.context + 1
  # Every position sees every other: twice the causal attention.
  return s.model.train_flops(s.data.batch_size * length, 2 * length)
