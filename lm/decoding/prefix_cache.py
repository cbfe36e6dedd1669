"""Prompts that begin alike: what they share is read once.

Worked examples before a question are most of a few-shot prompt and the same
for every question of a task.

Shapes: B prompts, T positions behind the shared ones, S slots, P shared.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from engine import stop as stop_lib
from lm import cache as caches
from lm import inference, transformer
from lm.decoding import generate

Ids = Sequence[int]

# Lengths are multiples of it, so that few programs serve all.
_STEP = 16


def common(prompts: Sequence[Ids]) -> int:
  """How many first tokens all prompts share, a multiple of 16.

  At least one token of each prompt is behind them.
  """
  first, last = min(prompts), max(prompts)
  length = min(map(len, prompts)) - 1
  same = next((i for i in range(length) if first[i] != last[i]), max(length, 0))
  return same // _STEP * _STEP


def read(
  config: transformer.TransformerConfig, params, ids: Ids, *, size: int = 0
) -> caches.Cache | None:
  """A cache of one row that has read `ids`, to lie beneath others.

  Args:
    config: of the model.
    params: of the model.
    ids: may be empty; then there is none.
    size: P, its slots; those that hold `ids` if they are fewer.
  """
  if not len(ids):
    return None
  return _read(config, max(size, len(ids)), params, np.array([ids], np.int32))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _read(config, size, params, tokens):
  model = transformer.Transformer(config)
  cache = caches.Cache.create(config, 1, size)
  return model.apply({'params': params}, tokens, cache=cache).cache


def _up(length: int, step: int = _STEP) -> int:
  return -(-length // step) * step


def padded(
  rows: Sequence[Ids], batch: int, width: int = 0
) -> tuple[np.ndarray, np.ndarray]:
  """Ids padded at the end, [batch, T] with T a multiple of 8, and lengths.

  T is `width` at least. Rows that are missing have one token.
  """
  lengths = np.ones(batch, np.int32)
  lengths[: len(rows)] = [len(row) for row in rows]
  width = max(width, _up(int(lengths.max()), 8))
  tokens = np.zeros((batch, width), np.int32)
  for i, row in enumerate(rows):
    tokens[i, : len(row)] = row
  return tokens, lengths


def greedy(
  config: transformer.TransformerConfig,
  params,
  prompts: Sequence[Ids],
  *,
  max_new_tokens: int,
  stop: Sequence[int] = (),
  batch: int = 32,
) -> list[list[int]]:
  """The most probable token after token, for each prompt.

  Args:
    config: of a causal model.
    params: of the model.
    prompts: ids; at least one each.
    max_new_tokens: the most that are drawn.
    stop: ids after which an answer ends; they are part of it.
    batch: prompts at once; those of about one length go together.

  Raises:
    ValueError: an empty prompt.
  """
  if not all(map(len, prompts)):
    raise ValueError(
      'expected prompts of at least one token, came an empty one'
    )
  out: list[list[int]] = [[] for _ in prompts]
  shared = common(prompts) if prompts else 0
  base = read(config, params, prompts[0][:shared] if prompts else [])
  stops = np.array(list(stop) or [-1], np.int32)
  order = sorted(range(len(prompts)), key=lambda row: len(prompts[row]))
  for at in range(0, len(order), batch):
    stop_lib.check()
    rows = order[at : at + batch]
    tokens_BT, lengths_B = padded([prompts[r][shared:] for r in rows], batch)
    found = _greedy(
      config, max_new_tokens, params, base, tokens_BT, lengths_B, stops
    )
    for row, ids in zip(rows, np.asarray(found), strict=False):
      out[row] = [int(i) for i in ids if i >= 0]
  return out


@functools.partial(jax.jit, static_argnums=(0, 1))
def _greedy(config, most, params, base, tokens_BT, lengths_B, stops):
  """Tokens [B, most], -1 after the end."""
  model = transformer.Transformer(config)
  table_VD = transformer.unembedding(params)
  batch = len(tokens_BT)
  hidden_BD, cache = _read_ends(
    config, most, params, base, tokens_BT, lengths_B
  )

  def going(carry):
    i, _, _, _, done_B = carry
    return (i < most) & ~done_B.all()

  def body(carry):
    i, hidden_BD, cache, out, done_B = carry
    logits_BV = generate.logits_of(hidden_BD, table_VD)
    token_B = inference.argmax(logits_BV)
    out = out.at[:, i].set(jnp.where(done_B, -1, token_B))
    done_B |= (token_B[:, None] == stops).any(-1)
    after = model.apply({'params': params}, token_B[:, None], cache=cache)
    return i + 1, after.hidden[:, 0], after.cache, out, done_B

  out = jnp.full((batch, most), -1, jnp.int32)
  start = 0, hidden_BD, cache, out, jnp.zeros(batch, bool)
  return jax.lax.while_loop(going, body, start)[3]


class Plan(NamedTuple):
  """Shapes that calls have in common, so that they share programs.

  Attributes:
    shared: how many first tokens all prompts share.
    room: P, slots for them.
    width: T, tokens behind them, a multiple of 8.
  """

  shared: int
  room: int
  width: int


def plan(prompts: Sequence[Ids]) -> Plan:
  """The least that holds these prompts."""
  shared = common(prompts)
  longest = max(map(len, prompts)) - shared
  return Plan(shared, shared, _up(longest, 8))


def sample(
  config: transformer.TransformerConfig,
  params,
  prompts: Sequence[Ids],
  keys: jax.Array,
  *,
  max_new_tokens: int,
  num_samples: int = 1,
  temperature: float = 1.0,
  stop: Sequence[int] = (),
  entropy: bool = False,
  batch: int = 4,
  fewest_rows: int = generate.FEWEST_ROWS,
  shapes: Plan | None = None,
) -> list[generate.Samples]:
  """`decode.sample`, with what the prompts share read once.

  Args:
    config: of a causal model.
    params: of the model.
    prompts: ids; at least one each.
    keys: one a prompt, typed [B]; with it a prompt draws the same in whatever
      batch it stands.
    max_new_tokens: M.
    num_samples: G continuations a prompt.
    temperature: 0 is greedy.
    stop: ids after which a continuation ends; they are part of it.
    entropy: whether entropies are kept.
    batch: prompts at once; those of about one length go together.
    fewest_rows: see `decode.finish`.
    shapes: of more prompts than these; see `plan`.

  Returns:
    One a prompt, each [1, G, M].

  Raises:
    ValueError: an empty prompt, other numbers of keys, or shapes in which the
      prompts do not fit.
  """
  if not all(map(len, prompts)) or len(prompts) != len(keys):
    raise ValueError(
      'expected prompts of at least one token and a key for each, came '
      f'lengths {[len(p) for p in prompts]} and {len(keys)} keys'
    )
  if not prompts:
    return []
  least = plan(prompts)
  shared, room, width = shapes or least
  longest = max(map(len, prompts)) - shared
  # A cache goes round: what does not fit would be written over, unseen.
  if shared > min(least.shared, room) or longest > width:
    raise ValueError(
      f'shapes must hold these prompts, at least {least}, got {shapes}'
    )
  base = read(config, params, prompts[0][:shared], size=room)
  order = sorted(range(len(prompts)), key=lambda row: len(prompts[row]))
  heat = np.full((batch, max_new_tokens), temperature, np.float32)
  out: list = [None] * len(prompts)
  for at in range(0, len(order), batch):
    stop_lib.check()
    rows = order[at : at + batch]
    tokens_BT, lengths_B = padded(
      [prompts[r][shared:] for r in rows], batch, width
    )
    filled = rows + rows[:1] * (batch - len(rows))
    state, beneath = _begin_sample(
      config,
      num_samples,
      entropy,
      params,
      base,
      tokens_BT,
      lengths_B,
      keys[np.array(filled)],
      heat,
      np.arange(batch) >= len(rows),
    )
    found = generate.finish(
      config,
      params,
      state,
      batch,
      stop=tuple(stop),
      fewest_rows=fewest_rows,
      base=beneath,
    )
    for place, row in enumerate(rows):
      out[row] = jax.tree.map(lambda a, i=place: a[i : i + 1], found)
  return out


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _begin_sample(
  config,
  samples,
  entropy,
  params,
  base,
  tokens_BT,
  lengths_B,
  keys_B,
  heat,
  idle_B,
):
  room = generate.room(samples, heat.shape[1])
  hidden_BD, cache = _read_ends(
    config, room, params, base, tokens_BT, lengths_B
  )
  return generate.begin(
    config,
    hidden_BD,
    cache,
    keys_B,
    heat,
    num_samples=samples,
    entropy=entropy,
    idle_B=idle_B,
  )


def _read_ends(config, most, params, base, tokens_BT, lengths_B):
  """(hidden of the last token [B, D], cache) of prompts behind `base`.

  The cache has room for `most` more.
  """
  model = transformer.Transformer(config)
  batch, length = tokens_BT.shape
  size = _up(length + most)
  cache = caches.Cache.create(config, batch, size, base=base)
  read = model.apply({'params': params}, tokens_BT, cache=cache)
  hidden_BD = read.hidden[jnp.arange(batch), lengths_B - 1]
  return hidden_BD, _ended(read.cache, length - lengths_B)


def _ended(cache, padding_B):
  """Rows moved so that what each has read ends at the cursor.

  Padding at the end of a row goes behind the cursor, where it is written over.
  """

  def moved(a, axis):
    axis += a.ndim - 4  # layers in front, where they are scanned
    ahead = a.ndim - 4
    return jax.vmap(
      lambda row, by: jnp.roll(row, by, axis - 1), (ahead, 0), ahead
    )(a, padding_B)

  return cache.replace(
    keys=jax.tree.map(lambda a: moved(a, 3), cache.keys),
    values=jax.tree.map(lambda a: moved(a, 2), cache.values),
    lengths=cache.lengths - padding_B,
  )
