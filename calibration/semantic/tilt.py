"""Tilts, by which a calibrated model gains nothing, on enumerated models.

arXiv 2511.04869, docs/papers/semantic_calibration.md section 3. A model f is
tilted by a witness w, (f * w)[z] = softmax_z(w[z] + log f[z]). The family W_B
moves the mass of the top semantic class by an amount that depends on its
confidence alone: w_x(z) = tau(c(x)) 1[B_x(z) = k*(x)]. The form of w is our
reading; that f is B-confidence-calibrated iff no w of W_B lowers its loss is
the paper's Theorem 6, the token-wise form its Theorem 9.

Shapes: B prompts, Z = V^T answers in lexicographic order, T tokens of an
answer, V vocabulary, K classes. Logarithms in nats. The gain of the best tilt
over many answers is `binned.loss_gap`.
"""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax.scipy import special
from jaxtyping import Array, Bool, Float, Int

ScoreFn = Callable[[Array], Array]  # tokens_BT -> logits_BTV
# A [V^i, V] for each depth i: log-probabilities of the token after each prefix.
Conditionals = Sequence[Array]

# Answers that `conditionals` may enumerate; beyond this memory is the limit.
MOST = 1 << 20


@jax.jit
def tilted(
  log_f: Float[Array, '*B Z'], w: Float[Array, '*B Z']
) -> Float[Array, '*B Z']:
  """Log-probabilities of f * w; `log_f` need not be normalised."""
  return jax.nn.log_softmax(w + log_f, axis=-1)


@functools.partial(jax.jit, static_argnums=2)
def push_forward(
  probs: Float[Array, '*B Z'], classes: Int[Array, '*B Z'], count: int
) -> Float[Array, '*B K']:
  """pi_x(k), the mass of the answers that B sends to each of `count` classes.

  Answers whose class lies outside [0, count) are left out: pi then sums to less
  than one.
  """
  member = jax.nn.one_hot(classes, count, dtype=probs.dtype)
  return jnp.einsum('...z,...zk->...k', probs, member)


@jax.jit
def top(
  pi: Float[Array, '*B K'],
) -> tuple[Int[Array, '*B'], Float[Array, '*B']]:
  """The semantic prediction k* and its confidence c; the first of equals."""
  return jnp.argmax(pi, axis=-1), jnp.max(pi, axis=-1)


@functools.partial(jax.jit, static_argnums=(0, 1))
def answers(vocab: int, length: int) -> Int[Array, 'Z T']:
  """All answers in lexicographic order."""
  places = vocab ** jnp.arange(length - 1, -1, -1)
  return jnp.arange(vocab**length)[:, None] // places % vocab


def conditionals(
  score_fn: ScoreFn, prompt: Int[Array, ' P'], *, vocab: int, length: int
) -> tuple[Array, ...]:
  """Next-token log-probabilities after every prefix of an answer.

  Args:
    score_fn: tokens [B, P + i] to logits [B, P + i, V], causal. An answer that
      ends early goes on in a way that the model and B agree on.
    prompt: at least one token.
    vocab: V.
    length: T, tokens of an answer.

  Raises:
    ValueError: there are more than `MOST` answers, or the prompt is empty.
  """
  if vocab**length > MOST or vocab < 2 or length < 1:
    raise ValueError(
      f'vocab ** length must be at most {MOST} with vocab >= 2 and length >= '
      f'1, got {vocab} ** {length}; take a smaller vocabulary or length'
    )
  if not prompt.size:
    raise ValueError('prompt must hold one token at least, got none')
  out = []
  for i in range(length):
    prefixes = answers(vocab, i) if i else jnp.zeros((1, 0), jnp.int32)
    ahead = jnp.broadcast_to(prompt, (len(prefixes), prompt.size))
    tokens = jnp.concatenate([ahead, prefixes.astype(prompt.dtype)], axis=1)
    out.append(jax.nn.log_softmax(score_fn(tokens)[:, -1]))
  return tuple(out)


@jax.jit
def joint(tree: Conditionals) -> Float[Array, ' Z']:
  """Log-probability of every answer."""
  total = jnp.zeros(1)
  for log_p in tree:
    total = (total[:, None] + log_p).reshape(-1)
  return total


@jax.jit
def intermediate(
  tree: Conditionals, hit: Bool[Array, ' Z']
) -> tuple[Array, ...]:
  """g_i(z_<=i) = Pr[B(z) = k* | z_<=i] for i = 0..T, [V^i] each.

  By dynamic programming from the leaves; g_0 is the confidence. `hit` is True
  for the answers of the class.
  """
  g = hit.astype(jnp.float32)
  out = [g]
  for log_p in reversed(tree):
    g = jnp.sum(jnp.exp(log_p) * g.reshape(log_p.shape), axis=-1)
    out.append(g)
  return tuple(reversed(out))


@jax.jit
def reweighted(
  tree: Conditionals, g: Sequence[Array], t: float | Float[Array, '']
) -> tuple[Array, ...]:
  """Theorem 9: the next-token probabilities of the model tilted by t 1[B = k*].

  p_t(z_i | z_<i) = p(z_i | z_<i) (1 + (e^t - 1) g_i) / (1 + (e^t - 1) g_{i-1})
  """
  gain = [jnp.log1p(jnp.expm1(t) * g_i) for g_i in g]
  return tuple(
    log_p + gain[i + 1].reshape(log_p.shape) - gain[i][:, None]
    for i, log_p in enumerate(tree)
  )


@jax.jit
def loss_change(
  t: Float[Array, '...'], conf: Float[Array, '...'], acc: Float[Array, '...']
) -> Float[Array, '...']:
  """Delta(t) = -t acc + log(1 - c + c e^t), nats an answer; convex in t.

  Here and below shapes broadcast.
  """
  return jnp.logaddexp(jnp.log1p(-conf), jnp.log(conf) + t) - t * acc


@jax.jit
def tilted_confidence(
  t: Float[Array, '...'], conf: Float[Array, '...']
) -> Float[Array, '...']:
  """sigmoid(logit(c) + t)."""
  return special.expit(special.logit(conf) + t)


@jax.jit
def loss_slope(
  t: Float[Array, '...'], conf: Float[Array, '...'], acc: Float[Array, '...']
) -> Float[Array, '...']:
  """d Delta / dt: tilted confidence less accuracy, c - acc at t = 0."""
  return tilted_confidence(t, conf) - acc


@jax.jit
def best_tilt(
  conf: Float[Array, '...'], acc: Float[Array, '...']
) -> Float[Array, '...']:
  """t* = logit(acc) - logit(c); infinite where acc is 0 or 1."""
  return special.logit(acc) - special.logit(conf)


@jax.jit
def bernoulli_kl(
  acc: Float[Array, '...'], conf: Float[Array, '...']
) -> Float[Array, '...']:
  """KL(Bern(acc) || Bern(c)), the gain of the best tilt: -Delta(t*).

  At least 2 (acc - c)^2 (Pinsker). Zero if both are 0 or both are 1.
  """
  return special.rel_entr(acc, conf) + special.rel_entr(1 - acc, 1 - conf)
