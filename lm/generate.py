"""Sampling continuations of many prompts at once.

Prompts of uneven length are padded at the front, in buckets, and the padding
is seen by nobody: a row's result does not depend on the others. Samples of one
prompt share its prefill. The loop ends with the last unfinished row.

Shapes: B prompts, G samples a prompt, R = B G rows, T prompt positions, M new
tokens, V vocabulary.
"""

import functools
from collections.abc import Callable, Sequence

import einops
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Int

from lm import sampling, transformer

# (logits [R, V], step, tokens so far [R, M]) -> logits [R, V]
Process = Callable[[Array, Array, Array], Array]


class Samples(struct.PyTreeNode):
  """Continuations; beyond `lengths` tokens are -1 and log-probabilities 0.

  `logprobs` are the model's own, at temperature 1 and without cuts. The token
  that stopped a row is its last.
  """

  tokens: Int[Array, 'B G M']
  logprobs: Float[Array, 'B G M']
  lengths: Int[Array, 'B G']


def bucket(length: int) -> int:
  """The length that prompts are padded to: one compilation each."""
  return max(16, 1 << (length - 1).bit_length())


def pad_front(prompts: Sequence[Sequence[int]]):
  """Prompts as int32 [B, T], and the length [B] of what precedes each."""
  lengths = [len(prompt) for prompt in prompts]
  if not lengths or not all(lengths):
    raise ValueError(
      f'expected prompts of at least one token, came lengths {lengths}'
    )
  width = bucket(max(lengths))
  tokens = np.zeros((len(prompts), width), np.int32)
  for row, prompt in enumerate(prompts):
    tokens[row, width - len(prompt) :] = prompt
  return jnp.asarray(tokens), width - jnp.asarray(lengths, jnp.int32)


def sample(
  config: transformer.TransformerConfig,
  params,
  prompts: Sequence[Sequence[int]],
  key: jax.Array,
  *,
  max_new_tokens: int,
  temperature: float | Array = 1.0,
  top_k: int = 0,
  top_p: float = 1.0,
  num_samples: int = 1,
  stop: Sequence[int] = (),
  process: Process | None = None,
) -> Samples:
  """Draws `num_samples` continuations of each prompt.

  Args:
    config: of the model.
    params: of the model.
    prompts: ids; at least one each.
    key: one, folded with the number of the prompt; or an array [B] of keys,
      with which a prompt draws the same in whatever batch it stands.
    max_new_tokens: M.
    temperature: 0 is greedy. One for all, one a prompt [B], or one a prompt
      and step [B, M].
    top_k: draws from the k most probable; 0 from all.
    top_p: draws from the fewest that hold this mass.
    num_samples: G.
    stop: ids after which a row is finished.
    process: changes the logits before the draw; a pure function, compiled
      with the loop (pass the same object again to avoid compiling again).

  Raises:
    ValueError: an empty prompt, or a temperature of another shape.
  """
  tokens_BT, pad_B = pad_front(prompts)
  batch, steps = len(prompts), max_new_tokens
  if key.ndim == 0:
    key = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(batch))
  heat = jnp.asarray(temperature, jnp.float32)
  if heat.shape not in ((), (batch,), (batch, steps)):
    raise ValueError(
      f'temperature must be one number, [{batch}] or [{batch}, {steps}], got '
      f'the shape {list(heat.shape)}'
    )
  heat = heat.reshape(heat.shape + (1,) * (2 - heat.ndim))
  return _sample(
    config,
    params,
    tokens_BT,
    pad_B,
    key,
    jnp.broadcast_to(heat, (batch, steps)),
    num_samples=num_samples,
    top_k=top_k,
    top_p=top_p,
    stop=tuple(stop),
    process=process,
  )


def _repeat(cache, count, axis):
  def more(tree):
    return jax.tree.map(lambda a: jnp.repeat(a, count, axis), tree)

  return cache.replace(
    keys=more(cache.keys),
    values=more(cache.values),
    pad=jnp.repeat(cache.pad, count),
  )


@functools.partial(
  jax.jit,
  static_argnums=0,
  static_argnames=('num_samples', 'top_k', 'top_p', 'stop', 'process'),
)
def _sample(
  config,
  params,
  tokens_BT,
  pad_B,
  keys_B,
  heat_BM,
  *,
  num_samples,
  top_k,
  top_p,
  stop,
  process,
):
  model = transformer.Transformer(config)
  table_VD = transformer.unembedding(params)
  (batch, length), steps = tokens_BT.shape, heat_BM.shape[1]
  rows = batch * num_samples
  cache = transformer.Cache.create(config, batch, length + steps)
  cache = cache.replace(pad=pad_B)
  out = model.apply({'params': params}, tokens_BT, cache=cache)
  cache = _repeat(out.cache, num_samples, 1 if config.scan_layers else 0)
  hidden_RD = jnp.repeat(out.hidden[:, -1], num_samples, 0)
  heat_RM = jnp.repeat(heat_BM, num_samples, 0)
  each = jax.vmap(jax.random.fold_in, (None, 0))
  keys_BG = jax.vmap(each, (0, None))(keys_B, jnp.arange(num_samples))
  keys_R = keys_BG.reshape(rows)

  def choose(step, hidden_RD, tokens_RM, logprobs_RM, done_R):
    logits_RV = jnp.einsum(
      'rd,vd->rv',
      hidden_RD,
      table_VD.astype(hidden_RD.dtype),
      preferred_element_type=jnp.float32,
    )
    changed_RV = logits_RV
    if process is not None:
      changed_RV = process(logits_RV, step, tokens_RM)
    token_R = sampling.draw(
      jax.vmap(jax.random.fold_in, (0, None))(keys_R, step),
      changed_RV,
      heat_RM[:, step],
      top_k=top_k,
      top_p=top_p,
    )
    logprob_R = sampling.token_logprob(logits_RV, token_R)
    tokens_RM = tokens_RM.at[:, step].set(jnp.where(done_R, -1, token_R))
    logprobs_RM = logprobs_RM.at[:, step].set(jnp.where(done_R, 0.0, logprob_R))
    ends_R = jnp.isin(token_R, jnp.array(stop, jnp.int32))
    return token_R, tokens_RM, logprobs_RM, done_R | ends_R

  def body(carry):
    step, cache, token_R, *rest = carry
    out = model.apply({'params': params}, token_R[:, None], cache=cache)
    token_R, *rest = choose(step, out.hidden[:, 0], *rest)
    return step + 1, out.cache, token_R, *rest

  def going(carry):
    return (carry[0] < steps) & ~carry[-1].all()

  tokens_RM = jnp.full((rows, steps), -1, jnp.int32)
  first = choose(
    0, hidden_RD, tokens_RM, jnp.zeros((rows, steps)), jnp.zeros(rows, bool)
  )
  carry = jax.lax.while_loop(going, body, (jnp.int32(1), cache, *first))
  _, _, _, tokens_RM, logprobs_RM, _ = carry

  def split(a):
    return einops.rearrange(a, '(b g) ... -> b g ...', g=num_samples)

  return Samples(
    tokens=split(tokens_RM),
    logprobs=split(logprobs_RM),
    lengths=split((tokens_RM >= 0).sum(-1)),
  )
