"""From next-token logits to a token: temperature, top-k, top-p, greedy.

Pure functions of arrays, used by decoders inside jit. Shapes: B rows, V
vocabulary.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from lm import inference, ops

# Entries of a vocabulary that are summed before they are searched.
_RUN = 256
# Tokens ranked before all are.
_FEW = 1024


def keep_top_k(logits: Float[Array, 'B V'], top_k: int) -> Float[Array, 'B V']:
  """All but the `top_k` largest become `ops.NEVER`; ties with the last stay.

  Args:
    logits: in nats, up to a constant a row.
    top_k: 0 keeps all.
  """
  if not 0 < top_k < logits.shape[-1]:
    return logits
  least_B1 = jax.lax.top_k(logits, top_k)[0][:, -1:]
  return jnp.where(logits >= least_B1, logits, ops.NEVER)


def keep_top_p(
  logits: Float[Array, 'B V'], top_p: float | Float[Array, ' B']
) -> Float[Array, 'B V']:
  """Keeps the fewest most probable tokens that hold `top_p` of the mass.

  The one that passes `top_p` is kept, so there is always one; ties with the
  last stay. An array gives each row its own, and nothing is ranked where none
  is below 1.
  """
  return _keep_top_p(logits, jnp.broadcast_to(top_p, logits.shape[:1]))


# Jitted by itself, as what follows, so that it is traced once and not at each
# of the four places of a sampling loop that call it.
@jax.jit
def _keep_top_p(logits, top_p):
  def cut(logits, count):
    best_BK, _ = jax.lax.top_k(logits, count)
    lse_B1 = jax.nn.logsumexp(logits, axis=-1, keepdims=True)
    ranked_BK = jnp.exp(best_BK - lse_B1)
    before_BK = jnp.cumsum(ranked_BK, -1) - ranked_BK
    kept_BK = (before_BK < top_p[:, None]).at[:, 0].set(True)
    least_B = jnp.where(kept_BK, best_BK, jnp.inf).min(-1)
    least_B = jnp.where(top_p < 1, least_B, -jnp.inf)
    kept_BV = logits >= least_B[:, None]
    return jnp.where(kept_BV, logits, ops.NEVER), ranked_BK.sum(-1)

  def first_few(logits):
    # Ranking the whole vocabulary costs more than the model; a few nearly
    # always hold the mass.
    size = logits.shape[-1]
    few_BV, mass_B = cut(logits, min(_FEW, size))
    enough = ((mass_B >= top_p) | (top_p >= 1)).all()
    return jax.lax.cond(
      enough, lambda z: few_BV, lambda z: cut(z, size)[0], logits
    )

  return jax.lax.cond(
    (top_p < 1).any(), first_few, lambda logits: logits, logits
  )


@jax.jit
def _inverse_cdf(keys_B, logits_BV):
  """Tokens by one uniform number a row, and the log of the summed exponentials.

  Gumbel noise would ask for V random numbers a row, which on CPU cost more
  than the model. Here it is two levels of cumulative sums; those over runs of
  256 keep the rounding of float32 small.
  """
  batch, size = logits_BV.shape
  most_B1 = logits_BV.max(-1, keepdims=True)
  p_BV = jnp.exp(logits_BV - most_B1)
  p_BV = jnp.pad(p_BV, ((0, 0), (0, -size % _RUN)))
  runs_BnR = p_BV.reshape(batch, -1, _RUN)

  def find(target_B, mass_BN):
    """The first entry whose cumulative mass passes the target, never empty."""
    ends_BN = jnp.cumsum(mass_BN, -1)
    index_B = jnp.sum(ends_BN <= target_B[:, None], -1)
    ids_N = jnp.arange(mass_BN.shape[-1])
    last_B = jnp.max(jnp.where(mass_BN > 0, ids_N, 0), -1)
    index_B = jnp.minimum(index_B, last_B)
    before_BN = jnp.pad(ends_BN, ((0, 0), (1, 0)))
    return index_B, before_BN[jnp.arange(batch), index_B]

  mass_Bn = runs_BnR.sum(-1)
  u_B = jax.vmap(jax.random.uniform)(keys_B)
  total_B = mass_Bn.sum(-1)
  target_B = u_B * total_B
  run_B, before_B = find(target_B, mass_Bn)
  inside_BR = runs_BnR[jnp.arange(batch), run_B]
  place_B, _ = find(target_B - before_B, inside_BR)
  tokens_B = (run_B * _RUN + place_B).astype(jnp.int32)
  return tokens_B, most_B1[:, 0] + jnp.log(total_B)


def draw(
  keys: Key[Array, ' B'],
  logits: Float[Array, 'B V'],
  temperature: Float[Array, ' B'],
  *,
  top_k: int = 0,
  top_p: float | Float[Array, ' B'] = 1.0,
  own: Float[Array, 'B V'] | None = None,
) -> tuple[Int[Array, ' B'], Float[Array, ' B']]:
  """One token a row, and its log-probability.

  That is the model's own, see `token_logprob`. A row depends on its own key,
  logits and temperature only: whatever else is in the batch, it draws the same.

  Args:
    keys: one a row; consumed.
    logits: next-token scores; cast to float32.
    temperature: divides the logits before the cuts; 0 takes the largest
      (the lowest id of equals).
    top_k: see `keep_top_k`; 0 keeps all.
    top_p: see `keep_top_p`; 1 keeps all.
    own: the model's logits, where `logits` are changed ones.
  """
  logits = logits.astype(jnp.float32)
  hot_B = temperature > 0

  def drawn():
    scaled_BV = logits / jnp.where(hot_B, temperature, 1.0)[:, None]
    scaled_BV = keep_top_p(keep_top_k(scaled_BV, top_k), top_p)
    return _inverse_cdf(keys, scaled_BV)[0]

  def scored(choose):
    def branch():
      tokens_B = choose()
      return tokens_B, token_logprob(logits if own is None else own, tokens_B)

    return branch

  def as_it_is():
    # The sum that a draw takes is the one that a log-probability asks for.
    tokens_B, lse_B = _inverse_cdf(keys, logits)
    return tokens_B, _picked(logits, tokens_B) - lse_B

  # Each pass over the vocabulary costs: a batch of one kind pays for one.
  largest = functools.partial(inference.argmax, logits)
  branches = [
    scored(largest),
    scored(lambda: jnp.where(hot_B, drawn(), largest())),
    scored(drawn),
  ]
  kind = hot_B.any().astype(jnp.int32) + hot_B.all()
  if own is None and not 0 < top_k < logits.shape[-1]:
    branches.append(as_it_is)
    kind += ((temperature == 1) & (jnp.asarray(top_p) >= 1)).all()
  return jax.lax.switch(kind, branches)


@jax.jit
def token_logprob(
  logits: Float[Array, 'B V'], tokens: Int[Array, ' B']
) -> Float[Array, ' B']:
  """log p(token) of the model itself, at temperature 1 and without cuts."""
  logits = logits.astype(jnp.float32)
  return _picked(logits, tokens) - jax.nn.logsumexp(logits, axis=-1)


def _picked(logits_BV, tokens_B):
  return jnp.take_along_axis(logits_BV, tokens_B[:, None], -1)[:, 0]


def entropy(logits: Float[Array, 'B V']) -> Float[Array, ' B']:
  """Of the model's next-token distribution, in nats, float32."""
  logp_BV = jax.nn.log_softmax(logits.astype(jnp.float32))
  return -jnp.sum(jnp.exp(logp_BV) * logp_BV, axis=-1)
