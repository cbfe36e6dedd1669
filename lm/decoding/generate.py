"""Sampling continuations of many prompts at once.

Prompts of uneven length are padded at the front, in buckets, and the padding
is seen by nobody: a row's result does not depend on the others. Samples of one
prompt share its prefill, and its keys and values lie beneath them, once.
Finished rows leave the batch when they are half of it, and the loop ends with
the last unfinished one.

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

from lm import cache as caches
from lm import transformer
from lm.decoding import sampling

# A batch of fewer rows costs hardly less.
FEWEST_ROWS = 8

# (logits [R, V], step, tokens so far [R, M]) -> logits [R, V]
Process = Callable[[Array, Array, Array], Array]


class Samples(struct.PyTreeNode):
  """Continuations; beyond `lengths` tokens are -1 and log-probabilities 0.

  `logprobs` are the model's own, at temperature 1 and without cuts; `entropies`
  are of the same distributions, in nats, where they were asked for. The token
  that stopped a row is its last. The arrays are on the host: to cut a
  continuation to its length compiles nothing.
  """

  tokens: Int[np.ndarray, 'B G M']
  logprobs: Float[np.ndarray, 'B G M']
  lengths: Int[np.ndarray, 'B G']
  entropies: Float[np.ndarray, 'B G M'] | None = None


def bucket(length: int) -> int:
  """The length that prompts are padded to: one compilation each."""
  return max(16, 1 << (length - 1).bit_length())


def pad_front(
  prompts: Sequence[Sequence[int]], *, rows: int = 0, most: int = 2**30
):
  """Prompts as int32 [B, T] and the padding [B] before each, on the host.

  Up to `rows`, rows of one token fill the batch. T is a bucket, but not above
  `most`.
  """
  lengths = [len(prompt) for prompt in prompts]
  if not lengths or not all(lengths):
    raise ValueError(
      f'expected prompts of at least one token, came lengths {lengths}'
    )
  width = max(lengths)
  width = max(width, min(bucket(width), most))
  lengths += [1] * (rows - len(lengths))
  tokens = np.zeros((len(lengths), width), np.int32)
  for row, prompt in enumerate(prompts):
    tokens[row, width - len(prompt) :] = prompt
  return tokens, width - np.array(lengths, np.int32)


def sample(
  config: transformer.TransformerConfig,
  params,
  prompts: Sequence[Sequence[int]],
  key: jax.Array,
  *,
  max_new_tokens: int,
  temperature: float | np.ndarray | Array = 1.0,
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
    ValueError: an empty prompt, a temperature of another shape, or nothing
      to draw.
  """
  tokens_BT, pad_B = pad_front(prompts)
  batch, steps = len(prompts), max_new_tokens
  if steps < 1 or num_samples < 1:
    raise ValueError(
      f'max_new_tokens and num_samples must be at least 1, got {steps} and '
      f'{num_samples}'
    )
  heat = np.asarray(temperature, np.float32)
  if heat.shape not in ((), (batch,), (batch, steps)):
    raise ValueError(
      f'temperature must be one number, [{batch}] or [{batch}, {steps}], got '
      f'the shape {list(heat.shape)}'
    )
  heat = heat.reshape(heat.shape + (1,) * (2 - heat.ndim))
  state, base = _begin(
    config,
    params,
    tokens_BT,
    pad_B,
    key,
    np.broadcast_to(heat, (batch, steps)),
    num_samples=num_samples,
  )
  return finish(
    config,
    params,
    state,
    batch,
    top_k=top_k,
    top_p=top_p,
    stop=tuple(stop),
    process=process,
    base=base,
  )


def greedy(
  config: transformer.TransformerConfig,
  params,
  prompts: Sequence[Sequence[int]],
  *,
  max_new_tokens: int,
  stop: Sequence[int] = (),
) -> Samples:
  """The most probable token at each step; G is 1. See `sample`."""
  key = jax.random.key(0)  # never used
  return sample(
    config,
    params,
    prompts,
    key,
    max_new_tokens=max_new_tokens,
    temperature=0.0,
    stop=stop,
  )


class _State(struct.PyTreeNode):
  """Rows in mid-decoding; `hidden` is what the next token follows from.

  The cache is without what lies beneath it: a state is donated, and that is
  of other batches too.
  """

  step: Int[Array, '']
  hidden: Float[Array, 'R D']
  cache: caches.Cache
  keys: Array
  heat: Float[Array, 'R M']
  tokens: Int[Array, 'R M']
  logprobs: Float[Array, 'R M']
  entropies: Float[Array, 'R M'] | None
  done: Array

  def rows(self, index_R):
    """Those rows only."""
    cache, step = self.cache.rows(index_R), self.step
    arrays = self.replace(cache=None, step=None)
    arrays = jax.tree.map(lambda a: a[index_R], arrays)
    return arrays.replace(cache=cache, step=step)


@functools.partial(jax.jit, static_argnums=0, static_argnames=('num_samples',))
def _begin(config, params, tokens_BT, pad_B, key, heat_BM, *, num_samples):
  """Reads the prompts; one row a sample from here on."""
  (batch, length), steps = tokens_BT.shape, heat_BM.shape[1]
  if key.ndim == 0:
    key = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(batch))
  model = transformer.Transformer(config)
  size = length + room(num_samples, steps)
  cache = caches.Cache.create(config, batch, size, pad_B)
  out = model.apply({'params': params}, tokens_BT, cache=cache)
  return begin(
    config,
    out.hidden[:, -1],
    out.cache,
    key,
    heat_BM,
    num_samples=num_samples,
  )


def room(num_samples: int, steps: int) -> int:
  """Slots that `begin` asks for behind a prompt: samples have their own."""
  return steps if num_samples == 1 else 0


def begin(
  config,
  hidden_BD,
  cache,
  keys_B,
  heat_BM,
  *,
  num_samples,
  entropy=False,
  idle_B=None,
) -> tuple[_State, caches.Cache | None]:
  """Rows that go on from what has been read; inside jit.

  Args:
    config: of the model.
    hidden_BD: what the first new token follows from.
    cache: has read it, with `room` for more.
    keys_B: one a prompt; sample g of it draws with the key folded with g.
    heat_BM: temperatures.
    num_samples: G rows a prompt.
    entropy: whether entropies are kept.
    idle_B: prompts of which nothing is drawn; none if absent.

  Returns:
    The rows, and what lies beneath them: the `base` of `finish`.
  """
  batch, steps = heat_BM.shape
  index_R = jnp.repeat(jnp.arange(batch), num_samples)
  each = jax.vmap(jax.random.fold_in, (None, 0))
  keys_BG = jax.vmap(each, (0, None))(keys_B, jnp.arange(num_samples))
  rows = batch * num_samples
  base = cache.base
  if num_samples > 1:
    cache, base = caches.Cache.create(config, rows, steps), cache
  state = _State(
    step=jnp.int32(0),
    hidden=hidden_BD[index_R],
    cache=cache.replace(base=None),
    keys=keys_BG.reshape(rows),
    heat=heat_BM[index_R],
    tokens=jnp.full((rows, steps), -1, jnp.int32),
    logprobs=jnp.zeros((rows, steps)),
    entropies=jnp.zeros((rows, steps)) if entropy else None,
    done=jnp.zeros(rows, bool) if idle_B is None else idle_B[index_R],
  )
  return state, base


@functools.partial(
  jax.jit,
  static_argnums=0,
  static_argnames=('top_k', 'top_p', 'stop', 'process'),
  donate_argnums=2,
)
def _run(config, params, state, until, base, *, top_k, top_p, stop, process):
  """Steps until at most `until` rows are unfinished, or all steps are done."""
  model = transformer.Transformer(config)
  table_VD = transformer.unembedding(params)
  steps = state.tokens.shape[1]
  stop_ids = jnp.array(stop, jnp.int32)

  def choose(s):
    logits_RV = logits_of(s.hidden, table_VD)
    changed_RV, own_RV = logits_RV, None
    if process is not None:
      changed_RV, own_RV = process(logits_RV, s.step, s.tokens), logits_RV
    token_R, logprob_R = sampling.draw(
      jax.vmap(jax.random.fold_in, (0, None))(s.keys, s.step),
      changed_RV,
      s.heat[:, s.step],
      top_k=top_k,
      top_p=top_p,
      own=own_RV,
    )
    if s.entropies is not None:
      entropy_R = jnp.where(s.done, 0.0, sampling.entropy(logits_RV))
      s = s.replace(entropies=s.entropies.at[:, s.step].set(entropy_R))
    s = s.replace(
      step=s.step + 1,
      tokens=s.tokens.at[:, s.step].set(jnp.where(s.done, -1, token_R)),
      logprobs=s.logprobs.at[:, s.step].set(jnp.where(s.done, 0.0, logprob_R)),
      done=s.done | jnp.isin(token_R, stop_ids),
    )
    return s, token_R

  def body(s):
    s, token_R = choose(s)
    cache = s.cache.replace(base=base)
    out = model.apply({'params': params}, token_R[:, None], cache=cache)
    cache = out.cache.replace(base=None)
    return s.replace(hidden=out.hidden[:, 0], cache=cache)

  def going(s):
    return (s.step < steps - 1) & (jnp.sum(~s.done) > until)

  state = jax.lax.while_loop(going, body, state)
  # The last token is drawn, but not read.
  last = (state.step == steps - 1) & ~state.done.all()
  return jax.lax.cond(last, lambda s: choose(s)[0], lambda s: s, state)


def finish(
  config,
  params,
  state,
  batch,
  *,
  top_k=0,
  top_p=1.0,
  stop=(),
  process=None,
  fewest_rows=FEWEST_ROWS,
  base=None,
) -> Samples:
  """Runs to the end; finished rows leave when they are half of a batch.

  Those that share a row of `base` stay together, as many of each.

  Args:
    config: of the model.
    params: of the model.
    state: from `begin`; donated.
    batch: prompts in it.
    top_k: see `sample`.
    top_p: see `sample`.
    stop: see `sample`; a tuple.
    process: see `sample`.
    fewest_rows: a batch never gets smaller. Each halving is a program to
      compile, and saves nothing where fewer rows cost as much.
    base: from `begin`.
  """
  settings = dict(top_k=top_k, top_p=top_p, stop=stop, process=process)
  rows, steps = state.tokens.shape
  tokens_RM = np.full((rows, steps), -1, np.int32)
  logprobs_RM = np.zeros((rows, steps), np.float32)
  entropy = state.entropies is not None
  entropies_RM = np.zeros((rows, steps if entropy else 0), np.float32)
  # By row of the base.
  where = np.arange(rows).reshape(1 if base is None else len(base.lengths), -1)
  at_work = rows
  while True:
    until = at_work // 2 if where.size >= 2 * fewest_rows else 0
    state = _run(config, params, state, np.int32(until), base, **settings)
    where_R = where.reshape(-1)
    tokens_RM[where_R] = state.tokens
    logprobs_RM[where_R] = state.logprobs
    if entropy:
      entropies_RM[where_R] = state.entropies
    done_R = np.asarray(state.done)
    if done_R.all() or int(state.step) >= steps:
      break
    kept = unfinished(done_R.reshape(where.shape), fewest_rows)
    if kept.size > 0.75 * where.size:  # it would save too little
      at_work = int((~done_R).sum())
      continue
    if len(kept) < len(where):
      base = _rows(base, kept[:, 0] // where.shape[1])
    state, at_work = _rows(state, kept.reshape(-1)), kept.size
    where = where_R[kept]

  def split(a):
    return einops.rearrange(a, '(b g) ... -> b g ...', b=batch)

  return Samples(
    tokens=split(tokens_RM),
    logprobs=split(logprobs_RM),
    lengths=split((tokens_RM >= 0).sum(-1, dtype=np.int32)),
    entropies=split(entropies_RM) if entropy else None,
  )


@jax.jit
def _rows(state_or_cache, index):
  return state_or_cache.rows(index)


def logits_of(hidden_RD, table_VD) -> Float[Array, 'R V']:
  """Next-token scores, float32."""
  return jnp.einsum(
    'rd,vd->rv',
    hidden_RD,
    table_VD.astype(hidden_RD.dtype),
    preferred_element_type=jnp.float32,
  )


def unfinished(done: np.ndarray, fewest: int) -> np.ndarray:
  """The unfinished rows and some more, as many of each that share one.

  Both numbers are powers of two or what they were, so that few programs serve
  all.

  Args:
    done: [C, G], not all.
    fewest: rows that are kept, if there are so many.

  Returns:
    [c, g] places in the flattened `done`, each c of one C.
  """
  count, each = done.shape

  def bucketed(wanted, most):
    return min(most, 1 << (int(wanted) - 1).bit_length())

  busy_C = (~done).sum(1)
  shared = bucketed((busy_C > 0).sum(), count)
  size = bucketed(max(busy_C.max(), -(-fewest // shared)), each)
  chosen = np.sort(np.argsort(busy_C == 0, kind='stable')[:shared])
  places = np.argsort(done[chosen], 1, kind='stable')[:, :size]
  return chosen[:, None] * each + places
