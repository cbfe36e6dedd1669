"""Pointer chasing: f(x), f(f(x)), ... of a function that the prompt tells.

The chained arithmetic of docs/papers/diffusion_sampler.md, section 11, with a
table in place of an operation, so that a step is one look-up. An entry of the
table is one token that says both symbol and value ('3 leads to 7'): a token
that said the value alone would have to be found by its place, which rotary
positions make hard to learn.

Shapes: n examples, S symbols.
"""

import dataclasses

import numpy as np

from corpora.puzzles import form

TABLES = ('uniform', 'cycle')


def entries(table: np.ndarray) -> np.ndarray:
  """Tokens of f [n, S]: S + i S + f(i), behind the symbols themselves."""
  symbols = table.shape[1]
  return symbols * (1 + np.arange(symbols)) + table


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chain(form.Puzzle):
  """Follows one chain until 0, then EOS to the end.

  Prompt: the entries of 0, ..., S - 1, then the start. Answer: f(start),
  f(f(start)), ..., 0, EOS, ..., EOS. The path consists of distinct symbols, and
  its length is drawn first: level is the number of values, 0 included.

  Long answers are rare. A denoiser that cannot follow the chain in one pass is
  right to expect EOS far behind, and a sampler that believes it cuts them.

  Attributes:
    symbols: S.
    answer: L, more than the longest chain.
    short: the largest ordinary length; lengths are uniform on 1..short.
    long_share: probability of one uniform on short + 1..S - 1 instead.
    table: the entries of f that are not on the path. 'uniform': on 0..S - 1,
      so that a long path leaves few and the number of distinct values of the
      table hints at the length. 'cycle': f goes round all symbols, so that it
      tells nothing and only following it does.
  """

  symbols: int = 20
  answer: int = 24
  short: int = 10
  long_share: float = 0.1
  table: str = 'uniform'

  def __post_init__(self):
    longest = self.symbols - 1
    self.check('symbols', self.symbols >= 2, 'be at least 2')
    self.check('answer', self.answer > longest, f'exceed symbols-1={longest}')
    self.check(
      'short', 1 <= self.short <= longest, f'lie in [1, symbols-1={longest}]'
    )
    top = 1.0 if self.short < longest else 0.0
    self.check(
      'long_share',
      0.0 <= self.long_share <= top,
      f'lie in [0, {top}] where short={self.short} of at most {longest}',
    )
    self.check('table', self.table in TABLES, f'be one of {", ".join(TABLES)}')

  @property
  def vocab_size(self) -> int:
    return self.symbols * (self.symbols + 1) + 2

  @property
  def prompt(self) -> int:
    return self.symbols + 1

  @property
  def eos_id(self) -> int:
    return self.symbols * (self.symbols + 1)

  def generate(self, rng: np.random.Generator, count: int) -> form.Examples:
    level = rng.integers(1, self.short + 1, count)
    if self.long_share:
      long = rng.integers(self.short + 1, self.symbols, count)
      level = np.where(rng.random(count) < self.long_share, long, level)
    # A way through all nonzero symbols into 0; a path is the end of it.
    way = np.tile(np.arange(1, self.symbols), (count, 1))
    way = np.pad(rng.permuted(way, axis=1), ((0, 0), (0, 1)))
    first = (self.symbols - 1 - level)[:, None]
    rows = np.arange(count)[:, None]
    table = np.empty((count, self.symbols), np.int64)
    table[rows, way] = np.roll(way, -1, axis=1)
    if self.table == 'uniform':
      drawn = rng.integers(0, self.symbols, table.shape)
      place = np.argsort(way, axis=1)  # of each symbol on the way
      on_path = (place >= first) & (place < self.symbols - 1)
      table = np.where(on_path, table, drawn)
    start = way[rows, first]
    at = first + 1 + np.arange(self.answer)
    value = way[rows, np.minimum(at, self.symbols - 1)]
    answer = np.where(at < self.symbols, value, self.eos_id)
    return form.examples(np.hstack([entries(table), start]), answer, level)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chains(form.Puzzle):
  """Follows several chains at once, interleaved; none ends.

  Prompt: the entries of 0, ..., S - 1, uniform, then the k starts. Position
  j * k + c of the answer holds the value after j + 1 steps from start c. Where
  a pass is good for one step of each chain, the best sampler needs exactly
  `depth` passes. Level is the depth.

  Attributes:
    symbols: S.
    chains: k.
    depth: values of each chain.
  """

  symbols: int = 12
  chains: int = 4
  depth: int = 6

  def __post_init__(self):
    for field, least in (('symbols', 2), ('chains', 1), ('depth', 1)):
      value = getattr(self, field)
      self.check(field, value >= least, f'be at least {least}')

  @property
  def vocab_size(self) -> int:
    return self.symbols * (self.symbols + 1) + 1

  @property
  def prompt(self) -> int:
    return self.symbols + self.chains

  @property
  def answer(self) -> int:
    return self.chains * self.depth

  def generate(self, rng: np.random.Generator, count: int) -> form.Examples:
    table = rng.integers(0, self.symbols, (count, self.symbols))
    starts = rng.integers(0, self.symbols, (count, self.chains))
    values = [starts]
    for _ in range(self.depth):
      values.append(np.take_along_axis(table, values[-1], axis=1))
    level = np.full(count, self.depth)
    return form.examples(
      np.hstack([entries(table), starts]), np.hstack(values[1:]), level
    )
