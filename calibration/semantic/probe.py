"""Can the model's own distribution over answers be told from the question?

arXiv 2511.04869, docs/papers/semantic_calibration.md sections 3.4 and 5: a
probe reads the question alone and predicts pi_x, the distribution of the
model's own samples over semantic classes. Its gap, KL(pi_x || q(x)), says how
hard the witnesses of W_B are to represent. There are two probes: softmax
regression on the last hidden state of the prompt, and rank-8 LoRA (lm/lora.py)
under the same head. The paper states rank, input and target; optimiser, head,
classes and stopping are ours.

Shapes: Q questions, P tokens, D width, C classes. In nats.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct
from jaxtyping import Array, Bool, Float, Int

from engine import optim
from lm import lora, ops

# (params, prompt [B, P]) -> last hidden state of each prompt [B, D].
Read = Callable[[Any, Array], Array]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProbeConfig:
  """How probes are fitted.

  Attributes:
    penalty: on squared weights of the linear probe, in nats.
    iterations: steps of L-BFGS.
    rank: of LoRA.
    steps: of Adam, for LoRA.
    batch: questions a step.
    rate: learning rate of Adam.
    left_out: share of the training questions that chooses the best step.
    look: steps between two of these choices.
  """

  penalty: float = 1e-4
  iterations: int = 100
  rank: int = 8
  steps: int = 200
  batch: int = 128
  rate: float = 3e-3
  left_out: float = 0.2
  look: int = 10

  def __post_init__(self):
    for name in ('iterations', 'rank', 'steps', 'batch', 'look'):
      if getattr(self, name) < 1:
        raise ValueError(
          f'probe.{name} must be at least 1, got {getattr(self, name)}'
        )
    if not 0.0 < self.left_out < 1.0:
      raise ValueError(f'probe.left_out must be in (0, 1), got {self.left_out}')


class Head(struct.PyTreeNode):
  """Softmax regression on standardised features."""

  centre: Float[Array, ' D']
  scale: Float[Array, ' D']
  weight: Float[Array, 'D C']
  bias: Float[Array, ' C']


class Report(NamedTuple):
  """Means over questions. `ce` = `entropy` + `kl`; `kl` is the gap.

  Attributes:
    ce: -sum pi log q.
    entropy: of pi.
    kl: KL(pi || q).
  """

  ce: Float[Array, '']
  entropy: Float[Array, '']
  kl: Float[Array, '']


def top_classes(
  pi: Float[Array, 'Q C'], train: Bool[Array, ' Q'], keep: int
) -> tuple[Float[Array, 'Q k'], Int[Array, ' keep']]:
  """The `keep` classes with most mass in training, and all others as one.

  Args:
    pi: rows may sum to less than one; the rest belongs to the others.
    train: True for the questions that choose the classes.
    keep: at most C.

  Returns:
    The mass of each class, with the others in the last column; and the numbers
    of the classes.
  """
  mass = jnp.sum(jnp.where(train[:, None], pi, 0.0), axis=0)
  _, chosen = jax.lax.top_k(mass, keep)
  kept = pi[:, chosen]
  rest = jnp.maximum(1.0 - kept.sum(1, keepdims=True), 0.0)
  return jnp.concatenate([kept, rest], axis=1), chosen


@functools.partial(jax.jit, static_argnums=1)
def by_rank(pi: Float[Array, 'Q C'], keep: int) -> Float[Array, 'Q k']:
  """Mass by rank, for questions that each have their own classes.

  With `keep` = 1 this is (c, 1 - c): the probe predicts the confidence alone.
  """
  kept, _ = jax.lax.top_k(pi, keep)
  rest = jnp.maximum(1.0 - kept.sum(1, keepdims=True), 0.0)
  return jnp.concatenate([kept, rest], axis=1)


def _log_q(head, x, valid):
  z = ((x - head.centre) / head.scale) @ head.weight + head.bias
  return jax.nn.log_softmax(jnp.where(valid, z, ops.NEVER))


def _cross_entropy(log_q, pi):
  return -jnp.sum(jnp.where(pi > 0, pi * log_q, 0.0), axis=-1)


@jax.jit
def report(
  log_q: Float[Array, 'Q C'],
  pi: Float[Array, 'Q C'],
  weights: Float[Array, ' Q'] | Bool[Array, ' Q'],
) -> Report:
  """Cross-entropy, entropy and gap, as means over questions with weights."""
  share = weights.astype(jnp.float32)
  share = share / share.sum()
  ce = jnp.sum(share * _cross_entropy(log_q, pi))
  log_pi = jnp.log(jnp.where(pi > 0, pi, 1.0))
  entropy = jnp.sum(share * _cross_entropy(log_pi, pi))
  return Report(ce=ce, entropy=entropy, kl=ce - entropy)


@jax.jit
def constant(
  pi: Float[Array, 'Q C'], train: Bool[Array, ' Q']
) -> Float[Array, 'Q C']:
  """The log of the mean over training questions: a prediction without input."""
  mean = jnp.mean(pi, axis=0, where=train[:, None])
  log_q = jnp.log(jnp.maximum(mean, 1e-9))
  return jnp.broadcast_to(log_q - jax.nn.logsumexp(log_q), pi.shape)


@functools.partial(jax.jit, static_argnames='config')
def fit_linear(
  x: Float[Array, 'Q D'],
  pi: Float[Array, 'Q C'],
  train: Bool[Array, ' Q'],
  valid: Bool[Array, 'Q C'],
  *,
  config: ProbeConfig,
) -> Head:
  """Softmax regression to soft labels.

  Args:
    x: hidden states.
    pi: targets.
    train: True for the training questions; others may hold anything finite.
    valid: False where a question has no such class: padding of class counts.
    config: see `ProbeConfig`.
  """
  count = train.sum()
  weight_Q = train / count
  centre = weight_Q @ x
  scale = jnp.sqrt(weight_Q @ (x - centre) ** 2) + 1e-6

  def loss(free):
    head = Head(centre, scale, *free)
    ce = weight_Q @ _cross_entropy(_log_q(head, x, valid), pi)
    return ce + 0.5 * config.penalty * jnp.sum(head.weight**2)

  free = jnp.zeros((x.shape[1], pi.shape[1])), jnp.zeros(pi.shape[1])
  return Head(centre, scale, *optim.lbfgs(loss, free, config.iterations))


@jax.jit
def predict(
  head: Head, x: Float[Array, 'Q D'], valid: Bool[Array, 'Q C']
) -> Float[Array, 'Q C']:
  """log q(x)."""
  return _log_q(head, x, valid)


class Tuned(struct.PyTreeNode):
  """The trained parameters: LoRA's updates by path, and the head's weights."""

  updates: Any
  weight: Float[Array, 'D C']
  bias: Float[Array, ' C']


@functools.partial(jax.jit, static_argnames=('read', 'config'))
def _tune(
  read, base, head, updates, tokens, pi, fit, check, valid, key, config
):
  """log q of the step that is best on `check`; the start counts, too."""
  optimiser = optax.adam(optax.cosine_decay_schedule(config.rate, config.steps))
  every = jnp.arange(len(tokens))
  order = jnp.argsort(~fit)  # questions that are learned from, in front

  def log_q(tuned, rows):
    params = lora.put(base, tuned.updates, first_row=0)
    now = head.replace(weight=tuned.weight, bias=tuned.bias)
    return _log_q(now, read(params, tokens[rows]), valid[rows])

  def loss(tuned, rows):
    return jnp.mean(_cross_entropy(log_q(tuned, rows), pi[rows]))

  def gap(tuned):
    return report(log_q(tuned, every), pi, check).kl

  def step(number, carry):
    tuned, state, best, least = carry
    drawn = jax.random.randint(
      jax.random.fold_in(key, number), (config.batch,), 0, fit.sum()
    )
    grads = jax.grad(loss)(tuned, order[drawn])
    moves, state = optimiser.update(grads, state)
    tuned = optax.apply_updates(tuned, moves)
    looks = (number + 1) % config.look == 0
    now = jax.lax.cond(looks, gap, lambda _: jnp.inf, tuned)
    best = jax.tree.map(lambda a, b: jnp.where(now < least, a, b), tuned, best)
    return tuned, state, best, jnp.minimum(now, least)

  first = Tuned(updates, head.weight, head.bias)
  carry = first, optimiser.init(first), first, gap(first)
  _, _, best, _ = jax.lax.fori_loop(0, config.steps, step, carry)
  return log_q(best, every)


def _left_out(key, groups, held_out, share):
  """The training questions that choose when to stop: a share of the groups."""
  there = np.unique(groups[~held_out])
  if len(there) < 2:
    raise ValueError(
      'two groups to learn from are needed at least, got '
      f'{len(there)}: LoRA stops by one that it did not learn from'
    )
  few = min(max(round(share * len(there)), 1), len(there) - 1)
  chosen = np.asarray(jax.random.permutation(key, len(there)))[:few]
  return ~held_out & np.isin(groups, there[chosen])


class Probed(NamedTuple):
  """Reports on held-out questions; `constant` reads no question."""

  constant: Report
  linear: Report
  lora: Report


def probe(
  key: Array,
  read: Read,
  params: Any,
  tokens: Int[Array, 'Q P'],
  pi: Float[Array, 'Q C'],
  held_out: Bool[Array, ' Q'],
  valid: Bool[Array, 'Q C'] | None = None,
  groups: Int[Array, ' Q'] | None = None,
  *,
  config: ProbeConfig,
) -> Probed:
  """Fits both probes, and reports on held-out questions.

  Args:
    key: consumed here.
    read: returns the last hidden state of a prompt; jitted here, so pass the
      same function for the same model.
    params: the model's parameters; frozen.
    tokens: prompts.
    pi: the model's own distributions; rows sum to one.
    held_out: True for the questions to report on.
    valid: classes that a question has; None for all.
    groups: equal for questions that are left out together when LoRA's stopping
      is chosen, such as one question in several wordings.
    config: see `ProbeConfig`.

  Raises:
    ValueError: there are too few questions, or rows of `pi` do not sum to one.
  """
  total = np.sum(np.asarray(pi), -1)
  if not np.allclose(total, 1.0, atol=1e-3):
    raise ValueError(
      f'rows of pi must sum to 1, got {total.min():.4f} to {total.max():.4f}; '
      'add the mass of all other answers as a class (top_classes does)'
    )
  out = np.asarray(held_out)
  if not out.any():
    raise ValueError('a held-out question is needed at least, got none')
  if valid is None:
    valid = jnp.asarray(np.ones(pi.shape, bool))
  names = np.arange(len(out)) if groups is None else np.asarray(groups)
  split_key, lora_key, step_key = jax.random.split(key, 3)
  check = _left_out(split_key, names, out, config.left_out)
  fit, check = jnp.asarray(~out & ~check), jnp.asarray(check)
  others = jnp.asarray(~out)
  x = jax.jit(read)(params, tokens)
  whole = fit_linear(x, pi, others, valid, config=config)
  begin = fit_linear(x, pi, fit, valid, config=config)
  begun = jax.jit(lora.init, static_argnums=2)
  base = begun(lora_key, params, lora.LoraConfig(rank=config.rank))
  updates = {
    name: leaf
    for name, leaf in lora.take(base, first_row=0).items()
    if name.rpartition('/')[2].startswith('lora_')
  }
  tuned = _tune(
    read, base, begin, updates, tokens, pi, fit, check, valid, step_key, config
  )
  return Probed(
    constant=report(constant(pi, others), pi, held_out),
    linear=report(predict(whole, x, valid), pi, held_out),
    lora=report(tuned, pi, held_out),
  )
