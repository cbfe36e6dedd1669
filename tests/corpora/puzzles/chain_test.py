"""Chains followed one step at a time by a slow interpreter."""

import numpy as np
from absl.testing import absltest, parameterized

from corpora.puzzles import chain

TABLES = ('uniform', 'cycle')


def generate(puzzle, count, seed=0):
  return puzzle.generate(np.random.default_rng(seed), count)


def tables(made, symbols):
  """The values of f [n, S], told by tokens that name their symbol."""
  symbol, value = np.divmod(made['prompt'][:, :symbols] - symbols, symbols)
  np.testing.assert_array_equal(symbol - np.arange(symbols), 0)
  return value


def walk(table, symbol, steps=None):
  """f(x), f(f(x)), ...: so many, or until 0 or every symbol had its turn."""
  values = []
  for _ in range(steps or len(table)):
    symbol = table[symbol]
    values.append(symbol)
    if symbol == 0 and not steps:
      break
  return values


def chi_square(values, bins):
  """Of equal frequencies on 0..bins - 1, less its mean in its deviations."""
  counts = np.bincount(values, minlength=bins)
  mean = len(values) / bins
  freedom = bins - 1
  value = np.sum((counts - mean) ** 2) / mean
  return (value - freedom) / np.sqrt(2 * freedom)


class ChainTest(parameterized.TestCase):
  @parameterized.product(
    table=TABLES, sizes=((20, 24, 10, 0.1), (7, 9, 3, 0.4), (4, 4, 3, 0.0))
  )
  def test_the_answer_follows_the_table_to_zero(self, table, sizes):
    symbols, answer, short, share = sizes
    puzzle = chain.Chain(
      symbols=symbols, answer=answer, short=short, long_share=share, table=table
    )
    made = generate(puzzle, 300)
    self.assertEqual(made['prompt'].shape, (300, symbols + 1))
    self.assertEqual(made['answer'].shape, (300, answer))
    for f, prompt, written, level in zip(
      tables(made, symbols), *made.values(), strict=True
    ):
      start = prompt[-1]
      values = walk(f, start)
      self.assertLen(values, level)
      self.assertLen({start, *values}, level + 1)  # distinct, start is not 0
      end = [puzzle.eos_id] * (answer - level)
      self.assertEqual(written.tolist(), values + end)

  @parameterized.parameters(*TABLES)
  def test_lengths_are_uniform_and_rarely_long(self, table):
    puzzle = chain.Chain(table=table)
    level = generate(puzzle, 40_000)['level']
    long = level > 10
    self.assertAlmostEqual(long.mean(), 0.1, delta=0.005)
    self.assertLess(chi_square(level[~long] - 1, 10), 4)
    self.assertLess(chi_square(level[long] - 11, 9), 4)

  def test_without_a_share_none_is_long(self):
    level = generate(chain.Chain(long_share=0.0), 2000)['level']
    self.assertEqual(set(level), set(range(1, 11)))
    level = generate(chain.Chain(long_share=1.0), 2000)['level']
    self.assertEqual(set(level), set(range(11, 20)))

  @parameterized.parameters(*TABLES)
  def test_every_path_is_equally_likely(self, table):
    made = generate(chain.Chain(table=table), 20_000)
    start, first = made['prompt'][:, -1], made['answer'][:, 0]
    self.assertLess(chi_square(start - 1, 19), 4)
    # Of nonzero symbols other than the start, by their distance from it.
    distance = (first - start)[made['level'] > 1] % 20
    zero = (-start)[made['level'] > 1] % 20
    self.assertLess(chi_square(distance - (distance > zero) - 1, 18), 4)

  def test_off_the_path_a_uniform_table_is_uniform(self):
    made = generate(chain.Chain(), 4000)
    others = []
    for f, prompt, written, level in zip(
      tables(made, 20), *made.values(), strict=True
    ):
      path = {prompt[-1], *written[: level - 1]}
      others += [v for x, v in enumerate(f) if x not in path]
    self.assertLess(chi_square(others, 20), 4)

  def test_a_cycle_goes_round_all_symbols(self):
    for f in tables(generate(chain.Chain(table='cycle'), 200), 20):
      self.assertCountEqual(walk(f, 0), range(20))

  def test_only_a_cycle_hides_the_length(self):
    def distinct(n):  # n values of the path, and what else of S - n draws
      return n + (20 - n) * (1 - (1 - 1 / 20) ** (20 - n))

    hint = np.mean([distinct(n) for n in range(11, 20)])
    hint -= np.mean([distinct(n) for n in range(1, 11)])
    for table, expected in (('uniform', hint), ('cycle', 0.0)):
      made = generate(chain.Chain(table=table), 8000)
      found = np.array([len(set(f)) for f in tables(made, 20)])
      long = made['level'] > 10
      told = found[long].mean() - found[~long].mean()
      self.assertAlmostEqual(told, expected, delta=0.3 if expected else 0.0)

  def test_special_tokens_are_the_last_ids(self):
    puzzle = chain.Chain(symbols=7, answer=9, short=3)
    # Seven symbols and 49 entries.
    self.assertEqual(
      (puzzle.eos_id, puzzle.mask_id, puzzle.vocab_size), (56, 57, 58)
    )
    self.assertEqual((puzzle.prompt, puzzle.answer), (8, 9))
    made = generate(puzzle, 2000)
    entries, start = made['prompt'][:, :-1], made['prompt'][:, -1]
    self.assertEqual(set(entries.flat), set(range(7, 56)))
    self.assertEqual(set(start), set(range(1, 7)))
    self.assertEqual(set(made['answer'].flat), {*range(7), 56})

  def test_the_seed_decides(self):
    one, same, other = (generate(chain.Chain(), 50, s) for s in (3, 3, 4))
    for name, value in one.items():
      self.assertEqual(value.dtype, np.int32)
      np.testing.assert_array_equal(value, same[name])
      self.assertFalse(np.array_equal(value, other[name]))

  @parameterized.parameters(
    ({'symbols': 1}, 'symbols of Chain must be at least 2, got 1'),
    ({'answer': 19}, 'answer of Chain must exceed symbols-1=19, got 19'),
    ({'short': 0}, 'short of Chain must lie in .1, symbols-1=19., got 0'),
    ({'short': 20}, 'short of Chain .* got 20'),
    ({'long_share': 1.5}, 'long_share of Chain must lie in .0, 1.0.'),
    ({'long_share': float('nan')}, 'long_share .* got nan'),
    ({'short': 19}, 'long_share of Chain must lie in .0, 0.0. where short=19'),
    ({'table': 'tree'}, 'table of Chain must be one of uniform, cycle, got tr'),
  )
  def test_refuses(self, fields, message):
    with self.assertRaisesRegex(ValueError, message):
      chain.Chain(**fields)


class ChainsTest(parameterized.TestCase):
  @parameterized.parameters((12, 4, 6), (5, 1, 3), (3, 7, 1))
  def test_chains_are_interleaved(self, symbols, chains, depth):
    puzzle = chain.Chains(symbols=symbols, chains=chains, depth=depth)
    made = generate(puzzle, 200)
    self.assertEqual(made['answer'].shape, (200, puzzle.answer))
    self.assertEqual(set(made['level']), {depth})
    for table, prompt, answer in zip(
      tables(made, symbols), made['prompt'], made['answer'], strict=True
    ):
      starts = prompt[symbols:]
      self.assertLen(starts, chains)
      for c, start in enumerate(starts):
        np.testing.assert_array_equal(
          answer[c::chains], walk(table, start, depth)
        )

  def test_tables_and_starts_are_uniform(self):
    made = generate(chain.Chains(), 5000)
    self.assertLess(chi_square(tables(made, 12).ravel(), 12), 4)
    self.assertLess(chi_square(made['prompt'][:, 12:].ravel(), 12), 4)

  def test_there_is_a_mask_and_no_end(self):
    puzzle = chain.Chains(symbols=5)
    self.assertEqual((puzzle.mask_id, puzzle.vocab_size), (30, 31))
    self.assertIsNone(puzzle.eos_id)

  @parameterized.parameters(
    ({'symbols': 1}, 'symbols of Chains must be at least 2'),
    ({'chains': 0}, 'chains of Chains must be at least 1, got 0'),
    ({'depth': 0}, 'depth of Chains must be at least 1, got 0'),
  )
  def test_refuses(self, fields, message):
    with self.assertRaisesRegex(ValueError, message):
      chain.Chains(**fields)


if __name__ == '__main__':
  absltest.main()
