"""Splits that share no prompt, names of puzzles, and what TFDS keeps."""

import pathlib
import subprocess
import sys
import tempfile
import zlib
from unittest import mock

import numpy as np
from absl.testing import absltest, parameterized

from corpora import puzzles
from corpora.puzzles import (
  addition,
  chain,
  puzzles_dataset_builder,
  splits,
  sudoku,
)

# 10,000 prompts: each split meets most of what the others have.
SMALL = addition.Addition(digits=2)
# Check sums of the test splits.
SUMS = {
  'chain': 2546472808,
  'chains': 1819978028,
  'sudoku': 3332068876,
  'addition': 2471207083,
}


def prompts(puzzle, split):
  return set(map(bytes, splits.examples(puzzle, split)['prompt']))


class SplitsTest(parameterized.TestCase):
  @parameterized.parameters(
    ('train', 50_000), ('validation', 1000), ('test', 2000)
  )
  def test_every_split_has_its_size(self, split, size):
    for name, value in splits.examples(SMALL, split).items():
      self.assertLen(value, size, name)

  def test_splits_share_no_prompt(self):
    train, validation, test = (prompts(SMALL, s) for s in splits.SIZES)
    self.assertEmpty(test & train)
    self.assertEmpty(test & validation)
    self.assertEmpty(validation & train)
    # Nothing else is lost: six draws or more for each that is left to train.
    self.assertGreater(len(train | validation | test), 9960)
    # Distinct ones of 2000 draws from 10,000: 1813 on average.
    self.assertAlmostEqual(len(test), 1813, delta=50)

  def test_fewer_are_the_beginning_of_more(self):
    every = splits.examples(SMALL, 'train')
    for count in (0, 3, 7000):
      for name, value in splits.examples(SMALL, 'train', count).items():
        np.testing.assert_array_equal(value, every[name][:count])

  def test_splits_have_seeds_of_their_own(self):
    seen = [
      bytes(splits.examples(chain.Chains(), s, 5)['prompt'])
      for s in splits.SIZES
    ]
    self.assertLen(set(seen), 3)
    again = splits.examples(chain.Chains(), 'test', 5)['prompt']
    self.assertEqual(bytes(again), seen[2])

  def test_chunks_have_seeds_of_their_own(self):
    made = splits.examples(chain.Chains(), 'train', 2 * splits.CHUNK)
    self.assertLen(set(map(bytes, made['prompt'])), 2 * splits.CHUNK)

  def test_what_a_version_holds_does_not_change(self):
    # Where it must, raise the builder's VERSION.
    sums = {
      name: zlib.crc32(
        b''.join(map(bytes, splits.examples(kind(), 'test').values()))
      )
      for name, kind in puzzles.KINDS.items()
    }
    self.assertEqual(sums, SUMS)

  def test_too_few_prompts_are_refused(self):
    one = addition.Addition(digits=1)
    with self.assertRaisesRegex(ValueError, 'leave 0.0% for validation; take'):
      splits.examples(one, 'validation')

  def test_an_unknown_split_is_refused(self):
    with self.assertRaisesRegex(ValueError, "validation, test, got 'dev'"):
      splits.examples(SMALL, 'dev')


class ParseTest(parameterized.TestCase):
  @parameterized.parameters(
    ('chain', chain.Chain()),
    ('chain()', chain.Chain()),
    (
      'chain(symbols=12, answer=16, long_share=0.05, table=cycle)',
      chain.Chain(symbols=12, answer=16, long_share=0.05, table='cycle'),
    ),
    ('chains( depth = 3 )', chain.Chains(depth=3)),
    ('sudoku(fewest=6,most=6)', sudoku.Sudoku(fewest=6, most=6)),
    ('addition(digits=2)', SMALL),
  )
  def test_reads(self, text, puzzle):
    self.assertEqual(puzzles.parse(text), puzzle)

  @parameterized.parameters(
    ('maze', "one of chain, chains, sudoku, addition, .* got 'maze'"),
    ('chain(symbols=12', 'one of chain'),
    ('', "one of chain.* got ''"),
    ('chain(size=3)', "chain has symbols, answer.* got 'size'"),
    ('chain(symbols=a)', "symbols of chain must be int, got 'a'"),
    ('chain(symbols)', "symbols of chain must be int, got ''"),
    ('addition(digits=0)', 'digits of Addition must be at least 1, got 0'),
  )
  def test_refuses(self, text, message):
    with self.assertRaisesRegex(ValueError, f'data.puzzle.*{message}'):
      puzzles.parse(text)


class TfdsTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))

  @parameterized.parameters(
    'chains', 'addition(digits=2)', 'chain(symbols=5,answer=6,short=2)'
  )
  def test_all_comes_back_in_order(self, text):
    for split in splits.SIZES:
      loaded = puzzles.load(text, split, self.root)
      made = splits.examples(puzzles.parse(text), split)
      self.assertEqual(list(loaded), list(made))
      for name, value in made.items():
        self.assertEqual(loaded[name].dtype, np.int32)
        np.testing.assert_array_equal(loaded[name], value)

  def test_it_is_made_once(self):
    puzzles.load(SMALL, 'test', self.root)
    with mock.patch.object(splits, 'examples', side_effect=AssertionError):
      puzzles.load('addition(digits=2)', 'train', self.root)
      with self.assertRaises(AssertionError):
        puzzles.load('addition(digits=3)', 'train', self.root)

  def test_every_puzzle_has_a_config_that_tfds_knows(self):
    builder = puzzles_dataset_builder.Builder
    self.assertEqual(list(builder.builder_configs), list(puzzles.KINDS))
    for name, kind in puzzles.KINDS.items():
      found = builder(config=name, data_dir=str(self.root))
      self.assertEqual(found.info.full_name, f'puzzles/{name}/1.1.0')
      config = puzzles_dataset_builder.config(kind())
      self.assertIs(found.builder_config, config)

  def test_other_puzzles_have_names_and_folders_of_their_own(self):
    config = puzzles_dataset_builder.config(sudoku.Sudoku(fewest=6))
    self.assertEqual(config.name, 'sudoku-fewest=6')
    for digits in (2, 3):
      puzzles.load(f'addition(digits={digits})', 'test', self.root)
    self.assertLen(list((self.root / 'tfds').iterdir()), 2)

  def test_an_unknown_split_is_refused_before_anything_is_made(self):
    with self.assertRaisesRegex(ValueError, "got 'dev'"):
      puzzles.load(SMALL, 'dev', self.root)
    self.assertEmpty(list(self.root.iterdir()))

  def test_tensorflow_is_never_imported(self):
    code = (
      'import sys; from corpora import puzzles;'
      f'puzzles.load("chains", "test", {str(self.root)!r});'
      'sys.exit("tensorflow" in sys.modules)'
    )
    subprocess.run([sys.executable, '-c', code], check=True)


if __name__ == '__main__':
  absltest.main()
