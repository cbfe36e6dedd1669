"""GRPO on an unmasking policy as an experiment (sections 4 to 7).

A step is a round: roll out, reward, and as many updates as
`grpo.iterations`. The denoiser is part of the state's parameters, frozen.
`build(cfg)` reads configs/diffusion_sampler/policy_chain.py and
puzzles.py:policy_*.

Shapes: B prompts a round, G + E rollouts a prompt, R = B (G + E) rows, M
passes, P prompt columns, L answer positions.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import einops
import jax
import jax.numpy as jnp

from diffusion_sampler.evaluation import evaluate, rewards
from diffusion_sampler.policy import actions, grpo, rollout, rule
from diffusion_sampler.policy import network as policy
from diffusion_sampler.report import claims as claims_lib
from diffusion_sampler.sampling import canvas as canvas_lib
from diffusion_sampler.sampling import denoiser as denoiser_lib
from diffusion_sampler.sampling import rules
from diffusion_sampler.training import setup
from engine import experiment as experiment_lib
from engine import metrics, optim, options
from lm import transformer

# Only the policy is trained.
PART = optim.Part(
  take=lambda params: params['policy'],
  put=lambda params, part: params | {'policy': part},
)


class Settings(NamedTuple):
  """The config, taken apart into checked dataclasses."""

  policy: policy.PolicyConfig
  action: actions.ActionConfig
  grpo: grpo.GrpoConfig
  optim: optim.OptimConfig
  steps: int
  seed: int


def settings(cfg: Mapping[str, Any]) -> Settings:
  """Raises ValueError where a field does not fit."""
  return Settings(
    policy=options.section(cfg['policy'], 'policy', policy.PolicyConfig),
    action=options.section(cfg['action'], 'action', actions.ActionConfig),
    grpo=options.section(cfg['grpo'], 'grpo', grpo.GrpoConfig),
    optim=options.section(cfg['optim'], 'optim', optim.OptimConfig),
    steps=cfg['run']['steps'],
    seed=cfg['run']['seed'],
  )


# (prompts, answers, batch) -> right; rows of both follow the batch's rows.
Reward = Callable[..., jax.Array]


class World(NamedTuple):
  """Where a policy acts.

  Attributes:
    denoiser: (params of the frozen model) -> Denoiser.
    layout: of the policy's rollouts.
    right: whether answers are right: (prompts, answers, targets) -> bool [R].
  """

  denoiser: Callable[[Any], denoiser_lib.Denoiser]
  layout: canvas_lib.Layout
  right: Reward


def _repeat(x, count: int):
  return einops.repeat(x, 'b ... -> (b r) ...', r=count)


def collect(
  s: Settings, world: World, params: Any, batch: Mapping, key: jax.Array
) -> tuple[grpo.Batch, dict[str, Any]]:
  """Rollouts of all prompts, rewarded: a batch for updates, and metrics.

  Args:
    s: settings.
    world: denoiser, layout and reward.
    params: 'policy' and 'denoiser'.
    batch: 'prompt' [B, P], 'answer' [B, L], optionally 'present' [B, P].
    key: consumed.
  """
  g = s.grpo
  denoiser = world.denoiser(params['denoiser'])
  policy_key, *expert_keys = jax.random.split(key, 1 + len(g.experts))
  prompts, present = batch['prompt'], batch.get('present')
  count = prompts.shape[0]
  run = functools.partial(
    rollout.rollout,
    denoiser,
    s.policy,
    params['policy'],
    s.action,
    temperature=g.temperature,
  )
  rows = None if present is None else _repeat(present, g.group)
  canvas, trajectory = run(
    world.layout,
    _repeat(prompts, g.group),
    jax.random.split(policy_key, count * g.group),
    prompt_present=rows,
    fallback=g.fallback,
  )
  # Groups first, so that an expert's rollout can join each.
  group = jax.tree.map(
    lambda x: einops.rearrange(x, 'm (b g) ... -> m b g ...', g=g.group),
    trajectory,
  )
  answer = _grouped(canvas.answer(world.layout), g.group)
  nfe = _grouped(canvas.nfe, g.group)
  for threshold, expert_key in zip(g.experts, expert_keys, strict=True):
    layout = dataclasses.replace(world.layout, block=g.expert_block)
    expert, steps = run(
      layout,
      prompts,
      jax.random.split(expert_key, count),
      act=rollout.by_rule(rules.Threshold(threshold=threshold)),
      count_all=True,
      prompt_present=present,
    )
    group = jax.tree.map(
      lambda a, b: jnp.concatenate([a, b[:, :, None]], axis=2), group, steps
    )
    answer = jnp.concatenate([answer, expert.answer(layout)[:, None]], axis=1)
    nfe = jnp.concatenate([nfe, expert.nfe[:, None]], axis=1)
  flat = functools.partial(einops.rearrange, pattern='b g ... -> (b g) ...')
  right = world.right(
    _repeat(prompts, g.size), flat(answer), _repeat(batch['answer'], g.size)
  )
  reward = grpo.reward(g, right, flat(nfe), world.layout.answer)
  is_expert = jnp.tile(jnp.arange(g.size) >= g.group, count)
  made = grpo.Batch(
    trajectory=jax.tree.map(
      lambda x: einops.rearrange(x, 'm b g ... -> m (b g) ...'), group
    ),
    advantage=grpo.advantages(reward, g.size),
    expert=is_expert,
  )
  own = (~is_expert).astype(jnp.float32)
  of = metrics.Mean.of
  decided = trajectory.counted & trajectory.active[..., None]
  logged = {
    'reward': of(reward, own),
    'accuracy': of(right, own),
    'nfe': of(flat(nfe), own),
    'left_masked': of(
      canvas.masked(world.layout), jnp.ones_like(canvas.masked(world.layout))
    ),
    'unmasked': of(trajectory.place >= 0, decided),
    'empty_pass': of((trajectory.place < 0).all(-1), trajectory.active),
  }
  if g.experts:
    logged['expert_accuracy'] = of(right, is_expert)
  return made, logged


def _grouped(x, group: int):
  return einops.rearrange(x, '(b g) ... -> b g ...', g=group)


def make_step(s: Settings, world: World, optimiser, part: optim.Part = PART):
  """(state, batch, key) -> (state, metrics): one round, training `part`."""

  def step(state, batch, key):
    made, logged = collect(s, world, state.params, batch, key)
    teaches = (jnp.abs(made.advantage) > grpo.NOTHING).any()
    passes = made.trajectory.active.sum().astype(jnp.float32)
    first = state

    def update(state):
      grads, terms = grpo.gradients(
        s.grpo, s.policy, s.action, state.params['policy'], made
      )
      state, norms = optim.apply(
        optimiser, state, part.take({'policy': grads}), part
      )
      return state, (terms.loss, terms.clipped / passes, norms['grad_norm'])

    def stay(state):
      return state, (jnp.float32(0),) * 3

    state, terms = jax.lax.scan(
      lambda state, _: jax.lax.cond(teaches, update, stay, state),
      state,
      length=s.grpo.iterations,
    )
    # A step of the loop is a round, whatever the number of updates.
    state = state.replace(step=first.step + 1)
    names = ('loss', 'clipped', 'grad_norm')
    # Of the last update: in the first nothing can be clipped.
    logged |= {n: x[-1] for n, x in zip(names, terms, strict=True)}
    return state, logged

  return step


def make_init(s: Settings, model: transformer.TransformerConfig, optimiser):
  """key -> TrainState; the denoiser is drawn, `load` puts the real one in."""

  def init(key):
    policy_key, denoiser_key = jax.random.split(key)
    shape = (1, 4)
    net = policy.Policy(s.policy).init(
      policy_key,
      jnp.zeros((*shape, s.policy.confidences)),
      jnp.zeros(shape, bool),
      jnp.zeros(1),
    )['params']
    frozen = transformer.Transformer(model).init(
      denoiser_key, jnp.zeros((1, 8), jnp.int32)
    )['params']
    return experiment_lib.TrainState(
      step=jnp.int32(0),
      params={'policy': net, 'denoiser': frozen},
      opt_state=optimiser.init(net),
    )

  return init


def world_of(
  task: setup.Task, model: transformer.TransformerConfig, block: int
) -> World:
  """A puzzle and its denoiser."""
  return World(
    denoiser=functools.partial(denoiser_lib.of_transformer, model),
    layout=task.layout(block),
    right=functools.partial(rewards.correct, task.puzzle),
  )


def trained(s: Settings, params: Any) -> rule.PolicyRule:
  """The policy as a rule, with its fallback."""
  return rule.PolicyRule(params=params, config=s.policy, action=s.action)


def build(cfg: Mapping[str, Any]) -> experiment_lib.Experiment:
  """GRPO on an unmasking policy for a puzzle.

  Raises:
    ValueError: a field that does not fit.
  """
  s, task = settings(cfg), setup.task(cfg)
  sampling = options.section(
    cfg['sampling'], 'sampling', evaluate.SamplingConfig
  )
  denoiser, block = cfg['denoiser'], cfg['block']
  return experiment_lib.Experiment(
    open=lambda: open_program(s, task, sampling, denoiser, block),
    columns=claims_lib.COLUMNS,
    claims=claims_lib.claims,
    figures='diffusion_sampler.report.plots',
  )


def open_program(
  s: Settings,
  task: setup.Task,
  sampling: evaluate.SamplingConfig,
  denoiser: str,
  block: int,
) -> experiment_lib.Program:
  """Reads the denoiser, opens the puzzle, ties all together.

  Raises:
    ValueError: the denoiser was trained on another vocabulary.
    FileNotFoundError: no finished denoiser.
  """
  model, frozen = setup.frozen_denoiser(denoiser, task)
  world = world_of(task, model, block)
  optimiser, _ = optim.make(s.optim, s.steps * s.grpo.iterations)

  def load(params, shardings):
    placed = jax.device_put(frozen, shardings['denoiser'])
    return params | {'denoiser': placed}

  def test(state, key):
    return evaluate.evaluate(
      task,
      model,
      state.params['denoiser'],
      sampling,
      key,
      trained=trained(s, state.params['policy']),
    )

  return experiment_lib.Program(
    init=make_init(s, model, optimiser),
    step=make_step(s, world, optimiser),
    train_data=lambda: task.train_data(s.seed),
    final={'test': test},
    load=load,
  )
