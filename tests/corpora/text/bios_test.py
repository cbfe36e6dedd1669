"""Biographies read back word by word."""

import collections
import dataclasses

import numpy as np
from absl.testing import absltest, parameterized

from corpora.text import bios

CONFIG = bios.BiosConfig(entities=60, documents=900, test_documents=300)
VOCABULARY = bios.vocabulary()


def documents(split, config=CONFIG):
  """(words, facts, accept) of every document."""
  made = bios.write(config, split)
  for begin, end in zip(made.starts, made.starts[1:], strict=False):
    words = [VOCABULARY.words[t] for t in made.tokens[begin:end]]
    yield words, made.facts[begin:end], made.accept[begin:end]


def kind(word):
  return word.rstrip('0123456789')


class BiosTest(parameterized.TestCase):
  def test_facts_are_the_first_mentions_of_attributes(self):
    for words, facts, _ in documents('train'):
      seen = set()
      for word, fact in zip(words, facts, strict=True):
        first = kind(word) in bios.ATTRIBUTES and word not in seen
        self.assertEqual(bool(fact), first, word)
        seen.add(word)
      self.assertLen([w for w in seen if kind(w) in bios.ATTRIBUTES], 6)

  def test_a_name_means_the_same_everywhere(self):
    known = {}
    for split in ('train', 'validation', 'test'):
      for words, _, _ in documents(split):
        name = tuple(w for w in words if kind(w) in ('first', 'last'))[:2]
        told = {kind(w): w for w in words if kind(w) in bios.ATTRIBUTES}
        self.assertEqual(known.setdefault(name, told), told)
    self.assertLessEqual(len(known), CONFIG.entities)

  def test_the_name_comes_before_its_facts(self):
    for words, facts, _ in documents('test'):
      first = words.index(next(w for w in words if kind(w) == 'first'))
      self.assertLess(first, np.flatnonzero(facts)[0])

  def test_acceptable_words_are_names_and_synonyms(self):
    for words, _, accept in documents('test'):
      for word, group in zip(words, accept, strict=True):
        free = kind(word) in bios.GROUPS or kind(word) in ('first', 'last')
        self.assertEqual(group >= 0, free)
        if free:
          self.assertEqual(group, VOCABULARY.group[VOCABULARY.ids[word]])

  def test_synonyms_are_drawn_evenly(self):
    counts = collections.Counter(
      w for words, _, _ in documents('train') for w in words
    )
    verbs = [counts[f'verb{i}'] for i in range(bios.GROUPS['verb'])]
    mean = np.mean(verbs)
    chi_square = np.sum((np.array(verbs) - mean) ** 2) / mean
    self.assertLess(chi_square, 70)  # 39 degrees of freedom: p = 0.002

  def test_shares(self):
    made = bios.write(bios.BiosConfig(documents=4000), 'train')
    scored = len(made.tokens) - 4000  # all but <bos>
    self.assertAlmostEqual(made.facts.sum() / scored, 0.21, delta=0.01)
    free = np.isin(made.accept, [2, 3, 4, 5]).sum() / scored
    self.assertAlmostEqual(free, 0.17, delta=0.01)

  def test_frequencies_follow_zipf(self):
    config = bios.BiosConfig(entities=60, documents=8000, zipf=1.0)
    names = collections.Counter(
      tuple(w for w in words if kind(w) in ('first', 'last'))[:2]
      for words, _, _ in documents('train', config)
    )
    ranked = [count for _, count in names.most_common()]
    harmonic = sum(1 / r for r in range(1, 61))
    self.assertAlmostEqual(ranked[0] / 8000, 1 / harmonic, delta=0.02)

  def test_depends_on_seed_and_split_only(self):
    one, same = bios.write(CONFIG, 'train'), bios.write(CONFIG, 'train')
    np.testing.assert_array_equal(one.tokens, same.tokens)
    other = bios.write(
      bios.BiosConfig(entities=60, documents=900, seed=1), 'train'
    )
    self.assertFalse(np.array_equal(one.tokens, other.tokens))

  def test_seeds_and_splits_draw_other_documents(self):
    # Where documents begin tells the templates, whoever they are about.
    config = bios.BiosConfig(entities=60, documents=300, test_documents=300)
    drawn = {
      (seed, split): tuple(
        bios.write(dataclasses.replace(config, seed=seed), split).starts
      )
      for seed in (0, 1)
      for split in ('train', 'validation', 'test')
    }
    self.assertLen(set(drawn.values()), 6)

  def test_specials_are_the_last_ids(self):
    self.assertEqual(tuple(VOCABULARY.words[-5:]), bios.SPECIALS)
    self.assertLen(set(VOCABULARY.words), len(VOCABULARY.words))

  @parameterized.parameters(
    ({'entities': 2000}, 'data.bios.entities'),
    ({'context': 10}, 'config.data.context'),
  )
  def test_refuses(self, fields, message):
    with self.assertRaisesRegex(ValueError, message):
      bios.BiosConfig(**fields)

  def test_unknown_split(self):
    with self.assertRaisesRegex(ValueError, 'split must be one of'):
      bios.write(CONFIG, 'dev')


if __name__ == '__main__':
  absltest.main()
