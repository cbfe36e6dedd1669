"""What a model thinks of given text: continuations, options, hidden states.

Nothing is drawn here. Prompts are padded in buckets and run in groups; a row's
result does not depend on the others.

Shapes: B prompts, N continuations of each, R = B N, M tokens of one, C options,
T positions, P asked positions, D width, V vocabulary.
"""

import collections
import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from engine import stop
from lm import cache as caches
from lm import losses, transformer
from lm.decoding import generate

Ids = Sequence[int]


class Score(NamedTuple):
  """Of one continuation: log-probabilities in nats, their sum and a token's."""

  total: float
  logprobs: np.ndarray


class Choices(NamedTuple):
  """`probs` [B, C] of the options, summing to 1; mass `outside` them [B]."""

  probs: np.ndarray
  outside: np.ndarray


def score(
  config: transformer.TransformerConfig,
  params,
  prompts: Sequence[Ids],
  continuations: Sequence[Sequence[Ids]],
  *,
  batch: int = 32,
) -> list[list[Score]]:
  """log p(continuation | prompt), each prompt read once for all of its own.

  Its keys and values lie beneath those of its continuations, once.

  Args:
    config: of the model.
    params: of the model.
    prompts: ids; at least one each.
    continuations: of each prompt, ids; at least one each.
    batch: prompts in one pass; memory grows with it.

  Raises:
    ValueError: an empty prompt or continuation, or other numbers of prompts
      than of lists of continuations.
  """
  if len(prompts) != len(continuations):
    raise ValueError(
      f'expected continuations for each of {len(prompts)} prompts, came '
      f'{len(continuations)}'
    )
  for row, options in enumerate(continuations):
    if not all(len(option) for option in options):
      raise ValueError(
        f'expected continuations of at least one token, prompt {row} has an '
        'empty one'
      )
  out: list[list[Score]] = [[] for _ in prompts]
  # As many of each prompt, a power of two: those of one stand beside another.
  alike = collections.defaultdict(list)
  for row, options in enumerate(continuations):
    if options:
      alike[_up(len(options))].append(row)
  for count, wanted in sorted(alike.items()):
    for group in _groups(prompts, wanted, batch):
      tokens_BT, padding_B = generate.pad_front(
        [prompts[row] for row in group], rows=_rows(group, batch)
      )
      longest = max(
        len(option) for row in group for option in continuations[row]
      )
      options_BNM = np.zeros(
        (len(tokens_BT), count, max(2, _up(longest))), np.int32
      )
      for place, row in enumerate(group):
        for number, option in enumerate(continuations[row]):
          options_BNM[place, number, : len(option)] = option
      logprobs_BNM = np.asarray(
        _score(config, params, tokens_BT, padding_B, options_BNM)
      )
      for place, row in enumerate(group):
        for number, option in enumerate(continuations[row]):
          each = logprobs_BNM[place, number, : len(option)].copy()
          out[row].append(Score(float(each.sum(dtype=np.float64)), each))
  return out


@functools.partial(jax.jit, static_argnums=0)
def _score(config, params, tokens_BT, padding_B, options_BNM):
  model = transformer.Transformer(config)
  batch, count, width = options_BNM.shape
  rows, options_RM = batch * count, options_BNM.reshape(-1, width)
  cache = caches.Cache.create(config, *tokens_BT.shape, padding_B)
  read = model.apply({'params': params}, tokens_BT, cache=cache)
  # The first token of a continuation follows from the prompt alone.
  first_R1D = jnp.repeat(read.hidden[:, -1:], count, axis=0)
  cache = caches.Cache.create(config, rows, width, base=read.cache)
  rest = model.apply({'params': params}, options_RM[:, :-1], cache=cache)
  stats = losses.vocab_stats(
    jnp.concatenate([first_R1D, rest.hidden], axis=1),
    transformer.unembedding(params),
    options_RM,
  )
  return (stats.target - stats.lse).reshape(options_BNM.shape)


def next_logprobs(
  config: transformer.TransformerConfig,
  params,
  prompts: Sequence[Ids],
  *,
  batch: int = 32,
) -> np.ndarray:
  """log p(next token), float32 [B, V]; ValueError for an empty prompt."""
  out = np.empty((len(prompts), config.vocab_size), np.float32)
  for group in _groups(prompts, range(len(prompts)), batch):
    tokens_BT, padding_B = generate.pad_front(
      [prompts[row] for row in group], rows=_rows(group, batch)
    )
    logp_BV = _next(config, params, tokens_BT, padding_B)
    out[group] = np.asarray(logp_BV)[: len(group)]
  return out


@functools.partial(jax.jit, static_argnums=0)
def _next(config, params, tokens_BT, padding_B):
  model = transformer.Transformer(config)
  # A cache of no more than the prompt: the only way to pad at the front.
  cache = caches.Cache.create(config, *tokens_BT.shape, padding_B)
  out = model.apply({'params': params}, tokens_BT, cache=cache)
  table_VD = transformer.unembedding(params)
  return jax.nn.log_softmax(generate.logits_of(out.hidden[:, -1], table_VD))


def choice_probs(
  config: transformer.TransformerConfig,
  params,
  prompts: Sequence[Ids],
  choices: Sequence[Sequence[int]],
  *,
  batch: int = 32,
) -> Choices:
  """How the next token splits over options, each in any of its spellings.

  Args:
    config: of the model.
    params: of the model.
    prompts: ids; at least one each.
    choices: for each option the ids of tokens that mean it; see `spellings`.
    batch: prompts in one pass.

  Raises:
    ValueError: an option without a token, or a token of two options.
  """
  seen: dict[int, int] = {}
  for number, ids in enumerate(choices):
    if not len(ids):
      raise ValueError(
        f'expected at least one token for each option, option {number} has '
        'none; give it a spelling that is one token'
      )
    for i in set(ids):
      if i in seen:
        raise ValueError(
          f'the token {i} stands for the options {seen[i]} and {number}; '
          'leave it out of one'
        )
      seen[i] = number
  p_BV = np.exp(
    next_logprobs(config, params, prompts, batch=batch).astype(np.float64)
  )
  mass_BC = np.stack([p_BV[:, sorted(set(ids))].sum(-1) for ids in choices], -1)
  inside_B = mass_BC.sum(-1)
  return Choices(mass_BC / inside_B[:, None], np.maximum(1 - inside_B, 0.0))


def spellings(encode, option: str) -> list[int]:
  """Tokens that spell an option: as it is, in other case, after a space.

  Args:
    encode: text to ids, without bos.
    option: such as 'A' or 'yes'; spellings of several tokens are left out.
  """
  cases = (option, option.lower(), option.upper(), option.capitalize())
  ids = [encode(space + case) for case in cases for space in ('', ' ')]
  return sorted({i[0] for i in ids if len(i) == 1})


def hidden(
  config: transformer.TransformerConfig,
  params,
  prompts: Sequence[Ids],
  *,
  layers: Sequence[int],
  positions: Sequence[Sequence[int]],
  batch: int = 32,
) -> Iterator[tuple[list[int], np.ndarray]]:
  """Hidden states at asked places only, a group of prompts at a time.

  Args:
    config: of the model.
    params: of the model.
    prompts: ids; at least one each.
    layers: 0 is the embedding, l the output of the l-th layer.
    positions: for each prompt where to look, as many for each; from the end
      where negative.
    batch: prompts in one pass; the memory that is held.

  Yields:
    The numbers of the prompts in a group, and [b, layers, P, D] in the
    model's dtype. Each prompt comes once, like lengths together.

  Raises:
    ValueError: a position outside its prompt, or uneven numbers of them.
  """
  if len(positions) != len(prompts):
    raise ValueError(
      f'expected positions for each of {len(prompts)} prompts, came '
      f'{len(positions)}'
    )
  if len({len(p) for p in positions}) > 1:
    raise ValueError('expected as many positions for each prompt')
  for row, (prompt, where) in enumerate(zip(prompts, positions, strict=True)):
    for place in where:
      if not -len(prompt) <= place < len(prompt):
        raise ValueError(
          f'prompt {row} has {len(prompt)} tokens, and no position {place}'
        )
  for group in _groups(prompts, range(len(prompts)), batch):
    width = generate.bucket(max(len(prompts[row]) for row in group))
    tokens_BT = np.zeros((_rows(group, batch), width), np.int32)
    where_BP = np.zeros((len(tokens_BT), len(positions[0])), np.int32)
    for place, row in enumerate(group):
      prompt = prompts[row]
      # Padded behind: no position sees what comes after it.
      tokens_BT[place, : len(prompt)] = prompt
      where_BP[place] = [p % len(prompt) for p in positions[row]]
    states = _hidden(
      config,
      params,
      tokens_BT,
      where_BP,
      layers=tuple(layers),
    )
    yield group, np.asarray(states)[: len(group)]


@functools.partial(jax.jit, static_argnums=0, static_argnames='layers')
def _hidden(config, params, tokens_BT, where_BP, *, layers):
  out = transformer.Transformer(config).apply(
    {'params': params}, tokens_BT, capture=layers
  )
  picked = [
    jnp.take_along_axis(states_BTD, where_BP[..., None], axis=1)
    for states_BTD in out.captured
  ]
  return jnp.stack(picked, axis=1)


def _groups(
  prompts: Sequence[Ids], wanted: Iterable[int], batch: int
) -> Iterator[list[int]]:
  """Numbers of prompts, `batch` at a time, the longest first."""
  if batch < 1:
    raise ValueError(f'batch must be at least 1, got {batch}')
  for row, prompt in enumerate(prompts):
    if not len(prompt):
      raise ValueError(
        f'expected prompts of at least one token, prompt {row} is empty'
      )
  # Like lengths waste little padding; the longest first fails first.
  order = sorted(wanted, key=lambda row: -len(prompts[row]))
  for begin in range(0, len(order), batch):
    stop.check()
    yield order[begin : begin + batch]


def _rows(group, batch):
  """Rows of a batch: full but for the last group, then a power of two."""
  return min(batch, _up(len(group)))


def _up(count: int) -> int:
  return 1 << (count - 1).bit_length()
