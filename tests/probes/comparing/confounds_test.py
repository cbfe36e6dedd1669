"""Baselines without activations: texts and lengths that do or do not tell."""

import numpy as np
from absl.testing import absltest, parameterized

from probes.comparing import confounds

NAMES = ['ada', 'bob', 'cy', 'dee', 'eli', 'flo', 'gus', 'hal', 'ivy', 'jo']


def questions(count, seed=0):
  rng = np.random.default_rng(seed)
  return [' '.join(rng.choice(NAMES, 4)) for _ in range(count)]


class TextTest(parameterized.TestCase):
  def test_a_word_that_tells_is_found(self):
    labels = np.arange(60) % 3 == 0
    texts = [
      text + (' really' if y else ' maybe')
      for text, y in zip(questions(60), labels, strict=True)
    ]
    self.assertGreater(confounds.text_auroc('t', texts, labels), 0.98)

  def test_single_digits_are_words(self):
    labels = np.arange(40) % 2
    texts = [f'{i % 5} + {7 if y else 3}' for i, y in enumerate(labels)]
    self.assertEqual(confounds.text_auroc('sums', texts, labels), 1)

  def test_the_order_of_two_words_tells(self):
    labels = np.arange(40) % 2
    texts = ['more than' if y else 'than more' for y in labels]
    self.assertEqual(confounds.text_auroc('t', texts, labels), 1)

  def test_texts_that_do_not_tell_have_a_half(self):
    rng = np.random.default_rng(1)
    labels = rng.random(400) < 0.4
    got = confounds.text_auroc('t', questions(400), labels)
    self.assertAlmostEqual(got, 0.5, delta=0.08)

  def test_a_question_does_not_tell_of_itself_across_folds(self):
    # Each stands there four times, right always or never, by a coin.
    rng = np.random.default_rng(2)
    right = rng.random(40) < 0.5
    ids = np.tile(np.arange(40), 4)
    texts = [f'question{i}' for i in ids]
    leaked = confounds.text_auroc('t', texts, right[ids])
    self.assertGreater(leaked, 0.95)
    apart = confounds.text_auroc('t', texts, right[ids], groups=ids)
    self.assertAlmostEqual(apart, 0.5, delta=0.05)

  def test_what_is_wrong_is_said_by_name(self):
    texts = questions(20)
    some = np.arange(20) % 2
    rare = np.arange(20) < 3
    for message, labels, knobs in [
      ('both classes are needed, got 20', np.ones(20, int), {}),
      ('must be 0 or 1', some * 2, {}),
      ('smaller class, 3; got folds=5', rare, {}),
      ('got folds=1', some, dict(folds=1)),
      ('20 inputs and 18 labels', some[:18], {}),
      ('20 labels', some, dict(groups=range(7))),
      ('at least folds=5 groups are needed, got 2', some, dict(groups=some)),
    ]:
      with self.assertRaisesRegex(ValueError, f"task 'capitals'.*{message}"):
        confounds.text_auroc('capitals', texts, labels, **knobs)
    with self.assertRaisesRegex(ValueError, "'sums': texts with words.*got 20"):
      confounds.text_auroc('sums', ['?!'] * 20, some)

  def test_groups_that_leave_a_fold_one_class_are_refused(self):
    ids = np.arange(20) // 5
    labels = ids == 0
    with self.assertRaisesRegex(ValueError, "'t': a fold has one class only"):
      confounds.text_auroc('t', questions(20), labels, groups=ids, folds=4)


class LengthTest(parameterized.TestCase):
  @parameterized.parameters(1, -1)
  def test_the_direction_is_learned(self, sign):
    labels = np.arange(50) % 2
    lengths = sign * (labels + 10) * 3
    self.assertEqual(confounds.length_auroc('t', lengths, labels), 1)

  def test_equals_are_a_half(self):
    labels = np.arange(40) % 2
    lengths = np.full(40, 9)
    self.assertEqual(confounds.length_auroc('t', lengths, labels), 0.5)
    # Half of the right ones are longer: 1 / 2 + 1 / 2 * 1 / 2.
    lengths = 9 + 5 * (np.arange(40) % 4 == 1)
    got = confounds.length_auroc('t', lengths, labels, folds=2)
    self.assertAlmostEqual(got, 0.75, delta=1e-9 + 0.5 / 10)

  def test_only_the_order_matters(self):
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 9, 80)
    labels = rng.random(80) < lengths / 10
    got = confounds.length_auroc('t', lengths, labels)
    self.assertEqual(confounds.length_auroc('t', lengths**3, labels), got)
    self.assertEqual(confounds.length_auroc('t', -lengths, labels), got)
    self.assertGreater(got, 0.65)

  def test_chance_is_not_turned_into_an_advantage(self):
    # With the direction of the test folds the mean would be about 0.59.
    rng = np.random.default_rng(1)
    got = [
      confounds.length_auroc(
        't', rng.random(40), np.arange(40) % 2, folds=2, seed=i
      )
      for i in range(60)
    ]
    self.assertLess(np.mean(got), 0.53)

  def test_characters_and_tokens_are_told_apart(self):
    labels = np.arange(30) % 2
    answers = ['x' * (3 + y) for y in labels]
    got = confounds.answer_lengths('t', answers, [2] * 30, labels)
    self.assertEqual(got, confounds.Lengths(characters=1.0, tokens=0.5))
    with self.assertRaisesRegex(ValueError, "'t'.*7 inputs and 30 labels"):
      confounds.answer_lengths('t', answers, [2] * 7, labels)

  def test_one_class_is_refused_by_name(self):
    with self.assertRaisesRegex(ValueError, "'plurals'.*none of the other"):
      confounds.length_auroc('plurals', [1, 2, 3], [1, 1, 1])


if __name__ == '__main__':
  absltest.main()
