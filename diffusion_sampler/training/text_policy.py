"""GRPO on an unmasking policy, on a large model and questions in words.

The paper's own setting (sections 4 to 8): LLaDA-8B on GSM8K and MATH. The round
is that of `puzzle_policy`; what differs is the denoiser, a checkpoint of others
that is read onto the mesh, and the reward, which is computed from decoded text.
`build(cfg)` reads configs/diffusion_sampler/llada_8b_gsm8k_pod.py.

Shapes: B prompts a round, R rows, P prompt columns, L answer positions.
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import grain
import jax
import jax.numpy as jnp
import numpy as np

from corpora.text import pipeline
from diffusion_sampler.evaluation import evaluate, text
from diffusion_sampler.report import claims as claims_lib
from diffusion_sampler.sampling import denoiser as denoiser_lib
from diffusion_sampler.training import puzzle_policy, setup
from engine import checkpoint, optim, options
from engine import experiment as experiment_lib
from lm import transformer
from lm.checkpoints import extend, families, hub, weights

# Instead of a checkpoint: a denoiser that is drawn and knows nothing.
RANDOM = 'random'
# Whose runs are denoisers of text.
ADAPTED = 'diffusion_sampler.training.text_denoiser'


class Settings(NamedTuple):
  """The config, taken apart into checked dataclasses.

  Attributes:
    policy: what `puzzle_policy` needs.
    data: questions and the space for answers.
    model: the denoiser's shape.
    sampling: what is measured at the end.
    denoiser: a checkpoint, as lm.hub takes it, the workdir of a run of
      `text_denoiser`, or 'random'.
    param_dtype: of the denoiser's parameters in memory; `model.dtype` is what
      it computes in.
    shifted: whether position i predicts token i + 1 (Dream, adapted ones).
    block: of rollouts; 0: the whole answer.
  """

  policy: puzzle_policy.Settings
  data: text.DataConfig
  model: transformer.TransformerConfig
  sampling: evaluate.SamplingConfig
  denoiser: str
  param_dtype: str
  shifted: bool
  block: int


def settings(cfg: Mapping[str, Any]) -> Settings:
  """Raises ValueError where a field does not fit."""
  s = Settings(
    policy=puzzle_policy.settings(cfg),
    data=options.section(cfg['data'], 'data', text.DataConfig),
    model=options.section(cfg['model'], 'model', transformer.TransformerConfig),
    sampling=options.section(
      cfg['sampling'], 'sampling', evaluate.SamplingConfig
    ),
    denoiser=cfg['denoiser'],
    param_dtype=cfg['param_dtype'],
    shifted=cfg['shifted'],
    block=cfg['block'],
  )
  for name in ('mask_id', 'eos_id'):
    if not 0 <= getattr(s.data, name) < s.model.vocab_size:
      raise ValueError(
        f'data.{name}={getattr(s.data, name)} must lie in the vocabulary of '
        f'model.vocab_size={s.model.vocab_size}; change --config.data.{name}'
      )
  if s.param_dtype not in ('float32', 'bfloat16'):
    raise ValueError(
      f'param_dtype must be float32 or bfloat16, got {s.param_dtype!r}'
    )
  if s.model.fused:
    raise ValueError(
      'model.fused is not read into shards; set --config.model.fused=False'
    )
  if not s.denoiser:
    raise ValueError(
      f'denoiser must name a checkpoint, or be {RANDOM!r}; set '
      '--config.denoiser'
    )
  return s


def make_init(s: Settings, optimiser):
  """key -> TrainState: float32 policy, the denoiser in `param_dtype`."""
  whole = puzzle_policy.make_init(s.policy, s.model, optimiser)

  def init(key):
    state = whole(key)
    frozen = jax.tree.map(
      lambda x: x.astype(s.param_dtype), state.params['denoiser']
    )
    return state.replace(params=state.params | {'denoiser': frozen})

  return init


def make_step(s: Settings, grade, optimiser):
  """The round of `puzzle_policy`, graded by `grade` on the host."""
  world = puzzle_policy.World(
    denoiser=functools.partial(_denoiser, s),
    layout=s.data.layout(s.block),
    right=text.rewards(grade),
  )
  return puzzle_policy.make_step(s.policy, world, optimiser)


def _denoiser(s: Settings, params: Any) -> denoiser_lib.Denoiser:
  return denoiser_lib.of_transformer(s.model, params, shifted=s.shifted)


def _check_checkpoint(s: Settings, family: families.Family, found) -> None:
  extend.check_shape(s.model, found, s.denoiser)
  if found.vocab_size != s.model.vocab_size:
    raise ValueError(
      f'model.vocab_size must be {found.vocab_size}, as in the checkpoint '
      f'{s.denoiser}, got {s.model.vocab_size}; change '
      '--config.model.vocab_size'
    )
  if family.causal:
    raise ValueError(
      f'denoiser={s.denoiser} must be a masked-diffusion model, got a '
      f'{family.name}; change --config.denoiser'
    )
  if s.shifted != (family.name == 'dream'):
    raise ValueError(
      f'shifted must be {not s.shifted} for a {family.name}, got {s.shifted}; '
      'change --config.shifted'
    )


def _adapted(s: Settings, shardings: Any) -> Any:
  """The denoiser of a run of `text_denoiser`, whose targets are shifted."""
  run = setup.finished(s.denoiser, 'denoiser')
  found = run.config['experiment']
  if found != ADAPTED:
    raise ValueError(
      f'denoiser={s.denoiser} must be a run of {ADAPTED}, got one of {found}; '
      'change --config.denoiser'
    )
  if not s.shifted:
    raise ValueError(
      f'shifted must be True for a run of {ADAPTED}, got False; change '
      '--config.shifted'
    )
  for name, theirs in run.config['model'].items():
    ours = getattr(s.model, name)
    if name not in ('dtype', 'remat') and ours != theirs:
      raise ValueError(
        f'model.{name} must be {theirs}, as in the run {s.denoiser}, got '
        f'{ours}; change --config.model.{name}'
      )
  return jax.tree.map(
    lambda x, there: jax.device_put(x.astype(s.param_dtype), there),
    run.params,
    shardings,
  )


def load(s: Settings, params: Any, shardings: Any) -> Any:
  """`params` with the checkpoint's denoiser, tensor by tensor onto the mesh.

  Raises:
    ValueError: another shape or another kind of model.
    FileNotFoundError: no such checkpoint.
  """
  if checkpoint.exists(s.denoiser):
    return params | {'denoiser': _adapted(s, shardings['denoiser'])}
  path = hub.resolve(s.denoiser)
  _check_checkpoint(s, *weights.open_source(path).config())
  frozen = weights.load(
    path,
    param_dtype=s.param_dtype,
    shardings=shardings['denoiser'],
    scan_layers=s.model.scan_layers,
  ).params
  return params | {'denoiser': frozen}


# Evaluation, on the mesh of the run.


def evaluate_samplers(
  s: Settings,
  params: Mapping[str, Any],
  arrays: Mapping[str, np.ndarray],
  grade: text.Grader,
  key: jax.Array,
) -> dict[str, Any]:
  """All samplers at all block lengths, on questions of the test.

  Returns:
    what `evaluate.compare` does; 'texts' [n, frames], what each sampler wrote
    first; and the same by token, 'pieces' [n, frames, L] behind
    'prompt_pieces' [frames, P]. A question has no level.
  """
  trained = puzzle_policy.trained(s.policy, params['policy'])

  write = evaluate.writer(
    s.sampling,
    evaluate.Decoder(s.model, params['denoiser'], s.data.layout, s.shifted),
    {name: arrays[name] for name in ('prompt', 'present')},
    key,
  )

  def measured(rule, block, cache):
    found = write(rule, block, cache)
    return found | {'correct': grade(found['answer'], arrays['answer'])}

  level = np.zeros(len(arrays['answer']), np.int32)
  made = evaluate.compare(
    s.sampling, s.data.answer, measured, level, trained=trained
  )
  texts = [
    [grade.text(answer) for answer in rows] for rows in made['answers'].tolist()
  ]
  few = slice(s.sampling.frames)
  before = text.pieces(grade.codec, arrays['prompt'][few])
  return made | {
    'texts': np.array(texts),
    'pieces': text.pieces(grade.codec, made['answers']),
    'prompt_pieces': np.where(arrays['present'][few], before, ''),
  }


# The experiment.


def build(cfg: Mapping[str, Any]) -> experiment_lib.Experiment:
  """GRPO on an unmasking policy for questions in words.

  Raises:
    ValueError: a field that does not fit.
  """
  s = settings(cfg)
  return experiment_lib.Experiment(
    open=functools.partial(open_program, s),
    abstract=functools.partial(abstract, s),
    flops=functools.partial(flops_per_step, s),
    columns=claims_lib.COLUMNS,
    claims=claims_lib.claims,
    figures='diffusion_sampler.report.plots',
  )


def open_program(s: Settings) -> experiment_lib.Program:
  """Reads the questions, ties all together; `load` reads the checkpoint.

  Raises:
    ValueError: a question that does not fit.
    FileNotFoundError: no such questions, or no such checkpoint.
  """
  codec = text.codec(s.data)
  if codec.vocab_size > s.model.vocab_size:
    raise ValueError(
      f'model.vocab_size={s.model.vocab_size} must be at least the '
      f'{codec.vocab_size} of data.tokenizer={s.data.tokenizer}; change '
      '--config.data.tokenizer'
    )
  arrays, graders = {}, {}
  for split in ('train', 'test'):
    questions = text.read(s.data, split)
    arrays[split] = text.prompts(s.data, codec, questions)
    graders[split] = text.Grader(
      codec=codec, mask_id=s.data.mask_id, questions=questions
    )
  optimiser, _ = optim.make(
    s.policy.optim, s.policy.steps * s.policy.grpo.iterations
  )

  def train_data():
    batches = pipeline.dataset(
      arrays['train'],
      batch_size=s.data.batch_size,
      seed=s.policy.seed,
      process_index=jax.process_index(),
      process_count=jax.process_count(),
    )
    read = grain.ReadOptions(num_threads=1, prefetch_buffer_size=4)
    return batches.to_iter_dataset(read)

  def test(state, key):
    return evaluate_samplers(
      s, state.params, arrays['test'], graders['test'], key
    )

  return experiment_lib.Program(
    init=make_init(s, optimiser),
    step=make_step(s, graders['train'], optimiser),
    train_data=train_data,
    final={'test': test},
    load=None if s.denoiser == RANDOM else functools.partial(load, s),
  )


def _no_grade(answers, rows):
  raise ValueError('a dry run grades nothing')


def abstract(s: Settings):
  """Program and a batch of shapes, without questions or checkpoint."""
  optimiser, _ = optim.make(
    s.policy.optim, s.policy.steps * s.policy.grpo.iterations
  )
  shape = (s.data.batch_size, s.data.prompt)
  batch = {
    'prompt': jax.ShapeDtypeStruct(shape, jnp.int32),
    'present': jax.ShapeDtypeStruct(shape, jnp.bool_),
    'answer': jax.ShapeDtypeStruct(shape[:1], jnp.int32),
  }
  made = experiment_lib.Program(
    init=make_init(s, optimiser),
    step=make_step(s, _no_grade, optimiser),
    train_data=None,
  )
  return made, batch


def flops_per_step(s: Settings) -> int:
  """At most: matmul FLOPs of a round in which some row needs all L passes.

  The denoiser's forward passes over whole sequences, attention both ways and
  the unembedding of answer positions. A round ends with its slowest row, so
  that fewer passes are proportionally fewer FLOPs. The policy, a 20,000th of
  that for the paper's sizes, is left out.
  """
  m, length = s.model, s.data.prompt + s.data.answer
  projections = 2 * (m.heads + m.kv_heads) * m.head_dim + 3 * m.mlp_width
  layer = 2 * m.width * projections + 4 * length * m.heads * m.head_dim
  head = 2 * s.data.answer * m.vocab_size * m.width
  rows = s.data.batch_size * s.policy.grpo.size
  passes = s.data.layout(s.block).most_passes
  return rows * passes * (length * m.layers * layer + head)
