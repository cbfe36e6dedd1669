"""The sides of benchmarks.diffusion: what is run, without a clock around it.

Each maker builds and warms up in a process of its own and returns a function
that runs once and gives what it measured.
"""

import functools
import statistics
import time
from typing import Any

import numpy as np

MODEL = dict(vocab_size=274, layers=3, width=64, heads=2, mlp_width=128)
POLICY = dict(width=32, mlp_width=128, heads=2, time_features=32)
PROMPT, MASK = 17, 273
# Overheads and rounds: the puzzles' sizes.
ANSWER, BATCH, PASSES = 16, 128, 20
GROUP = 8
# Generation: answers as of a long puzzle, (batch, threshold or one a pass).
LONG = 64
CASES = {'b1': (1, None), 'b16': (16, None), 'b16_threshold': (16, 0.9)}
THREADS = 2
# The required options of rules that have some.
OPTIONS = {name: dict(steps=8) for name in ('llada', 'dream', 'ancestral')}


def layout(answer: int):
  """One block: full diffusion."""
  from diffusion_sampler.sampling import canvas

  return canvas.Layout(prompt=PROMPT, answer=answer, block=answer, mask_id=MASK)


def weights() -> dict[str, Any]:
  """Parameters of the denoiser, NumPy.

  Drawn wider than at the start of training, so that positions differ in
  confidence and some are sure.
  """
  import flax.linen as nn
  import jax
  import jax.numpy as jnp

  from lm import transformer

  model = transformer.Transformer(transformer.TransformerConfig(**MODEL))
  tokens = jnp.zeros((1, 8), jnp.int32)
  params = nn.unbox(model.init(jax.random.key(0), tokens)['params'])

  def wider(path, x):
    if path[0].key == 'embedding':
      return np.asarray(8 * x)
    return np.asarray(2 * x if path[-1].key == 'kernel' else x)

  return jax.tree_util.tree_map_with_path(wider, params)


def prompts(rows: int) -> np.ndarray:
  """Random tokens, no mask."""
  return np.random.default_rng(0).integers(0, MASK, (rows, PROMPT), np.int32)


def denoiser(params):
  from diffusion_sampler.sampling import denoiser as denoiser_lib
  from lm import transformer

  return denoiser_lib.of_transformer(
    transformer.TransformerConfig(**MODEL), params
  )


def policy_rule(sizes: dict):
  """A policy as it begins."""
  import jax
  import jax.numpy as jnp

  from diffusion_sampler.policy import actions, network
  from diffusion_sampler.policy import rule as policy_rule

  config = network.PolicyConfig(**sizes)
  net = network.Policy(config).init(
    jax.random.key(1),
    jnp.zeros((1, 4, 1)),
    jnp.zeros((1, 4), bool),
    jnp.zeros(1),
  )
  return policy_rule.PolicyRule(
    params=net['params'], config=config, action=actions.ActionConfig()
  )


def rules_by_name() -> dict[str, Any]:
  """Every kind of rule, and the policy."""
  from diffusion_sampler.sampling import rules

  out = {
    name: kind(**OPTIONS.get(name, {})) for name, kind in rules.KINDS.items()
  }
  return out | {'policy': policy_rule(POLICY)}


def passes_with(rule, denoiser, params):
  """A compiled loop of PASSES passes, with a rule or none.

  Nothing is ever written, so that all passes cost the same; but what would be
  depends on all that was computed, so that all of it is.
  """
  import jax
  import jax.numpy as jnp

  from diffusion_sampler.sampling import canvas as canvas_lib
  from diffusion_sampler.sampling import denoiser as denoiser_lib

  here = layout(ANSWER)

  @jax.jit
  def loop(params, start, keys):
    model = denoiser(params)
    present = denoiser_lib.present_mask(None, start.tokens, PROMPT)
    reach = rule.passes if rule else 0

    def one(number, carry):
      now, before, past = carry
      stats, hidden = denoiser_lib.look(
        model, now, here, present, keys, 0.0, before=before
      )
      write = stats.confidence > 2.0  # never, which XLA cannot know
      if reach:
        past = jnp.concatenate([stats.divergence, past])[:reach]
        stats, before = stats.replace(divergence=past), hidden
      if rule:
        _, rule_keys = denoiser_lib.pass_keys(keys, now.nfe + number)
        masked, block = now.masked(here), now.where(here)
        write &= rule(stats, masked, block, rule_keys)
      answer = jnp.where(write, stats.token, now.answer(here))
      tokens = jnp.concatenate([now.tokens[:, :PROMPT], answer], axis=1)
      return now.replace(tokens=tokens), before, past

    before = jnp.zeros((BATCH, ANSWER, MODEL['width'])) if reach else None
    past = jnp.full((reach, BATCH, ANSWER), jnp.inf) if reach else None
    return jax.lax.fori_loop(0, PASSES, one, (start, before, past))[0].tokens

  start = canvas_lib.blank(jnp.asarray(prompts(BATCH)), here)
  keys = jax.random.split(jax.random.key(0), BATCH)
  return functools.partial(loop, params, start, keys)


def seconds_of(call) -> float:
  import jax

  began = time.perf_counter()
  jax.block_until_ready(call())
  return time.perf_counter() - began


def overheads():
  """Shares that each rule adds to looking, and seconds of a pass that looks."""
  params = weights()
  plain = passes_with(None, denoiser, params)
  loops = {
    name: passes_with(rule, denoiser, params)
    for name, rule in rules_by_name().items()
  }

  def run():
    shares, looks = {}, []
    for name, loop in loops.items():
      looks.append(seconds_of(plain))
      shares[name] = seconds_of(loop) / looks[-1] - 1.0
    return shares | {'look': statistics.median(looks) / PASSES}

  run()
  return run


def rule_of(threshold: float | None):
  from diffusion_sampler.sampling import rules

  if threshold is None:
    return rules.TopK(count=1)
  return rules.Threshold(threshold=threshold)


def samplers(params) -> dict[str, Any]:
  """Ours: a compiled sampler a case, giving `decode.Decoded`."""
  import jax
  import jax.numpy as jnp

  from diffusion_sampler.sampling import decode

  @functools.partial(jax.jit, static_argnums=1)
  def run(params, threshold, prompts, keys):
    return decode.sample(
      denoiser(params), rule_of(threshold), layout(LONG), prompts, keys
    )

  return {
    name: functools.partial(
      run,
      jax.tree.map(jnp.asarray, params),
      threshold,
      jnp.asarray(prompts(rows)),
      jax.random.split(jax.random.key(0), rows),
    )
    for name, (rows, threshold) in CASES.items()
  }


def torch_samplers(params) -> dict[str, Any]:
  """Theirs: the same, giving tokens and passes."""
  import torch

  from benchmarks import plain_diffusion
  from lm import transformer

  torch.set_num_threads(THREADS)
  model = plain_diffusion.of_params(
    transformer.TransformerConfig(**MODEL), params
  )
  return {
    name: functools.partial(
      plain_diffusion.generate,
      model,
      torch.tensor(prompts(rows), dtype=torch.long),
      LONG,
      MASK,
      threshold,
    )
    for name, (rows, threshold) in CASES.items()
  }


def generation(make, params):
  """A side: seconds of each case."""
  cases = make(params)

  def run():
    return {name: seconds_of(call) for name, call in cases.items()}

  run()
  return run


def compare(params) -> dict[str, float]:
  """Largest relative difference of logits; passes of each case.

  Raises:
    ValueError: the sides do not write the same tokens in as many passes.
  """
  import jax.numpy as jnp
  import torch

  from benchmarks import plain_diffusion
  from lm import transformer

  tokens = np.concatenate([prompts(4), np.full((4, LONG), MASK)], axis=1)
  ours = denoiser(params)
  present = jnp.ones(tokens.shape, bool)
  mine = ours.hidden(jnp.asarray(tokens), present) @ ours.table.T
  model = plain_diffusion.of_params(
    transformer.TransformerConfig(**MODEL), params
  )
  with torch.inference_mode():
    peer = model(torch.tensor(tokens)).numpy()
  error = np.abs(np.asarray(mine) - peer).max() / np.abs(peer).max()
  if error > 1e-4:
    raise ValueError(f'logits differ by {error:.2g} of the largest one')
  out = {'logits_max_relative_error': float(error)}
  peers = torch_samplers(params)
  for name, call in samplers(params).items():
    decoded, (answer, passes) = call(), peers[name]()
    same = np.array_equal(decoded.answer, answer.numpy())
    if not same or decoded.nfe.max() != passes:
      raise ValueError(
        f'{name}: other tokens, or {int(decoded.nfe.max())} passes to {passes}'
      )
    out[f'generate_{name}_passes'] = passes
  return out


def rounds():
  """Seconds of a round of GRPO, with the share of passes that were needed."""
  import flax.linen as nn
  import jax

  from diffusion_sampler.policy import actions, grpo, network
  from diffusion_sampler.training import puzzle_policy
  from engine import optim
  from lm import transformer

  s = puzzle_policy.Settings(
    policy=network.PolicyConfig(**POLICY),
    action=actions.ActionConfig(),
    grpo=grpo.GrpoConfig(group=GROUP, iterations=2),
    optim=optim.OptimConfig(),
    steps=1000,
    seed=0,
  )
  optimiser, _ = optim.make(s.optim, s.steps * s.grpo.iterations)
  config = transformer.TransformerConfig(**MODEL)
  world = puzzle_policy.World(
    denoiser=denoiser,
    layout=layout(ANSWER),
    # Right by chance: half of a group is, and every update teaches.
    right=lambda prompts, answers, targets: answers.sum(-1) % 2 == 0,
  )
  init = puzzle_policy.make_init(s, config, optimiser)
  state = jax.jit(lambda key: nn.unbox(init(key)))(jax.random.key(0))
  few = prompts(BATCH // GROUP)
  batch = {'prompt': few, 'answer': np.zeros((len(few), ANSWER), np.int32)}
  step = puzzle_policy.make_step(s, world, optimiser)
  # Ahead of time: what was compiled cannot compile again.
  step = jax.jit(step, donate_argnums=0)
  step = step.lower(state, batch, jax.random.key(0)).compile()
  number = 0

  def run():
    nonlocal state, number
    number += 1
    began = time.perf_counter()
    state, out = step(state, batch, jax.random.key(number))
    nfe = float(out['nfe'].compute())
    seconds = time.perf_counter() - began
    if not out['grad_norm'] > 0:
      raise ValueError('a round without an update was to be timed')
    return {'seconds': seconds, 'nfe': nfe}

  run()
  return run
