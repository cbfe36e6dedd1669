"""Correctness functions against the spec's numbers and hand counts."""

import sys
import types

import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from calibration.correctness import (
  align,
  embedding,
  judge,
  lexical,
  thresholds,
)
from lm.judging import judge as judge_lib
from lm.judging import reply


class LexicalTest(parameterized.TestCase):
  @parameterized.parameters(
    ('rouge1_f1', 'The capital of France is Paris.', 'Paris', 0.285714),
    ('rougel_f1', 'The capital of France is Paris.', 'Paris', 0.285714),
    ('rougel_recall', 'The capital of France is Paris.', 'Paris', 1.0),
    ('rouge1_f1', 'the cat is on the mat', 'the cat sat on the mat', 0.833333),
    ('rougel_f1', 'the cat is on the mat', 'the cat sat on the mat', 0.833333),
    (
      'rouge1_f1', 'It was president Obama, Barack.', 'Barack Obama', 0.571429,
    ),
    (
      'rougel_f1', 'It was president Obama, Barack.', 'Barack Obama', 0.285714,
    ),
    ('rougel_recall', 'It was president Obama, Barack.', 'Barack Obama', 0.5),
    # Bags of [capital, of, france, is, paris] and [paris]: 2 / 6.
    ('squad_f1', 'The capital of France is Paris.', 'Paris', 1 / 3),
    # [cat, is, on, mat] and [cat, sat, on, mat]: 6 / 8, articles gone.
    ('squad_f1', 'the cat is on the mat', 'The cat sat on a mat!', 0.75),
    ('squad_f1', 'Zürich', 'Zurich', 0.0),  # accents count for SQuAD,
    ('alias', 'It is Zürich.', 'Zurich', 1.0),  # not for ours
    ('alias', 'It is Zurichberg.', 'Zurich', 0.0),
    ('squad_f1', 'a a b', 'b the b', 2 / 3),
    # A restated operand is not the result, nor is -5 the number 5.
    ('alias', 'What do you get when you multiply 0 by 0 is 77.', '0', 0.0),
    ('alias', '-5', '5', 0.0),
    ('alias', '6 times 4 is 24.0.', '24', 1.0),
    ('alias', 'It is at 10 Downing Street now.', '10 Downing Street', 1.0),
  )  # fmt: skip
  def test_numbers_of_the_spec_and_hand_counts(
    self, name, answer, reference, want
  ):
    found = lexical.scores(name, [answer], [[reference]])
    np.testing.assert_allclose(found, [want], atol=5e-7)

  @parameterized.parameters(*lexical.FUNCTIONS)
  def test_empty_answers_score_nothing_and_the_best_reference_counts(
    self, name
  ):
    found = lexical.scores(
      name, ['', ' .', 'Bern'], [['Paris'], ['the'], ['no', 'Bern', 'Rome']]
    )
    np.testing.assert_array_equal(found, [0, 0, 1])

  def test_all_references_tell_whether_a_number_is_asked(self):
    texts = ['9 apples of 14 are left', '14 apples, 5 are left: 9 apples']
    references = [['9', '9 apples']] * 2
    # The question names the 14 of the first sentence.
    for questions, want in ((None, [0, 1]), (['Of 14, 5 go.'] * 2, [1, 1])):
      found = lexical.scores('alias', texts, references, questions)
      np.testing.assert_array_equal(found, want)
    with self.assertRaisesRegex(ValueError, 'got 1 questions and 2 answers'):
      lexical.scores('alias', texts, references, ['Q'])

  def test_nonsense_is_refused(self):
    with self.assertRaisesRegex(ValueError, "one of rouge1_f1.*got 'bleu'"):
      lexical.scores('bleu', ['a'], [['a']])
    with self.assertRaisesRegex(ValueError, "did you mean 'rougel_f1'"):
      lexical.scores('rouge_f1', ['a'], [['a']])
    with self.assertRaisesRegex(ValueError, 'got 1 answers and 2 lists'):
      lexical.scores('alias', ['a'], [['a'], ['b']])
    for accepted in ([], [''], 'Paris'):
      with self.assertRaisesRegex(ValueError, 'references of answer 1 must'):
        lexical.scores('alias', ['a', 'b'], [['a'], accepted])


WORDS = {word: i for i, word in enumerate(['red', 'fox', 'the', 'ran', 'far'])}


def one_hot(texts):
  """A direction a word; special tokens at both ends that do not count."""
  size = max(len(text.split()) for text in texts) + 2
  embeddings = np.zeros((len(texts), size, len(WORDS) + 1), np.float32)
  mask = np.zeros((len(texts), size), bool)
  embeddings[:, 0, -1] = 1
  for row, keep, text in zip(embeddings, mask, texts, strict=True):
    for i, word in enumerate(text.split()):
      row[i + 1, WORDS[word]] = 3.0 + i  # the norm does not matter
      keep[i + 1] = True
  return embeddings, mask


def bag(texts):
  return np.stack([one_hot([text])[0][0, :, :-1].sum(0) for text in texts])


class EmbeddingTest(parameterized.TestCase):
  def test_bert_score_of_orthogonal_words_is_counted_by_hand(self):
    answers = ['the red fox ran', 'far far far', 'red', '', 'the fox']
    references = [['red fox'], ['far'], ['ran', 'far'], ['red'], ['the', 'fox']]
    # Precision 2/4 and recall 1; 1 and 1; nothing; empty; 1/2 and 1.
    want = [2 / 3, 1, 0, 0, 2 / 3]
    for batch in (1, 3, 64):
      found = embedding.bert_score(answers, references, one_hot, batch=batch)
      np.testing.assert_allclose(found, want, atol=1e-6)

  def test_the_best_reference_counts_wherever_it_stands(self):
    # Orthogonal words: a reference scores 1 if it is the answer, else 0.
    answers = ['red', 'fox', 'ran', 'far']
    references = [['red', 'fox', 'far'], ['red', 'fox'], ['red', 'ran', 'far'],
                  ['red', 'fox']]  # fmt: skip
    for found in (
      embedding.bert_score(answers, references, one_hot, batch=64),
      embedding.sentence_cosine(answers, references, bag),
    ):
      np.testing.assert_allclose(found, [1, 1, 1, 0], atol=1e-6)

  def test_greedy_matching_equals_a_float64_loop(self):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((3, 5, 4)), rng.standard_normal((3, 6, 4))
    keep_a, keep_b = rng.random((3, 5)) < 0.7, rng.random((3, 6)) < 0.7
    keep_a[:, 0] = keep_b[:, 0] = True
    want = []
    for i in range(3):
      x, y = a[i][keep_a[i]], b[i][keep_b[i]]
      x /= np.linalg.norm(x, axis=-1, keepdims=True)
      y /= np.linalg.norm(y, axis=-1, keepdims=True)
      p, r = (x @ y.T).max(1).mean(), (x @ y.T).max(0).mean()
      want.append(2 * p * r / (p + r))
    got = embedding.greedy_f1(
      jnp.asarray(a, jnp.float32),
      jnp.asarray(keep_a),
      jnp.asarray(b, jnp.float32),
      jnp.asarray(keep_b),
    )
    np.testing.assert_allclose(got, want, rtol=1e-5)

  def test_ends_of_a_text_do_not_count(self):
    def with_ends(texts):
      embeddings, mask = one_hot(texts)
      mask[:, 0] = True
      mask[np.arange(len(mask)), mask.sum(-1)] = True
      return embeddings, mask

    texts = ['red fox ran', 'the']
    np.testing.assert_array_equal(
      embedding.between_ends(with_ends)(texts)[1], one_hot(texts)[1]
    )

  def test_sentences_at_the_nearest_reference(self):
    found = embedding.sentence_cosine(
      ['red', 'fox ran', ''], [['far', 'red'], ['far'], ['red']], bag
    )
    np.testing.assert_allclose(found, [1, 0, 0], atol=1e-9)
    # [3, 4] against [3, 0]: 3 / 5.
    found = embedding.sentence_cosine(['red fox'], [['red']], bag)
    np.testing.assert_allclose(found, [0.6], atol=1e-9)

  def test_each_text_is_encoded_once(self):
    seen = []

    def watched(texts):
      seen.extend(texts)
      return bag(texts)

    embedding.sentence_cosine(
      ['red', 'red', 'fox'], [['far', 'fox']] * 3, watched, batch=2
    )
    self.assertCountEqual(seen, ['red', 'fox', 'far'])

  def test_encoders_that_do_not_fit_are_refused(self):
    with self.assertRaisesRegex(ValueError, r'sentences must give \[2, D\]'):
      embedding.sentence_cosine(['red'], [['fox']], lambda texts: np.zeros(3))
    with self.assertRaisesRegex(
      ValueError, r'a mask \[2, T\], got \(2, 3, 6\)'
    ):
      embedding.bert_score(
        ['red'], [['fox']], lambda t: (one_hot(t)[0], np.ones((2, 9)))
      )


class JudgeTest(absltest.TestCase):
  QUESTIONS = ('Capital of France?', 'And of Japan?', 'Of Peru?', 'Of Chad?')
  REFERENCES = (('Paris',), ('Tokyo', 'Tōkyō'), ('Lima',), ("N'Djamena",))

  def test_failures_are_no_labels_and_are_counted(self):
    prompts = []

    def ask(asked):
      prompts.extend(asked)
      return ['Yes.', 'Perhaps', reply.Failure('timed out')]

    found = judge.labels(
      judge_lib.Judge(ask, judge.SCHEMA),
      self.QUESTIONS,
      ('It is Paris', 'Kyoto', 'Lima', ' '),
      self.REFERENCES,
    )
    # The empty answer is wrong without anybody having been asked.
    np.testing.assert_array_equal(found.labels, [1, np.nan, np.nan, 0])
    self.assertEqual(
      found.figures(), {'answers': 4, 'unparsed': 1, 'unanswered': 1}
    )
    self.assertCountEqual(found.failures, [1, 2])
    self.assertIn('timed out', found.failures[2])
    self.assertLen(prompts, 3)
    for text in ('Capital of France?', 'Paris', 'It is Paris', 'yes or no'):
      self.assertIn(text, prompts[0])
    self.assertIn('- Tokyo\n- Tōkyō', prompts[1])
    self.assertIn('any one of', prompts[1])
    self.assertNotIn('any one of', prompts[0])

  def test_a_no_is_a_no(self):
    def ask(asked):
      return ['no'] * len(asked)

    found = judge.labels(
      judge_lib.Judge(ask, judge.SCHEMA), ['Q'], ['A'], [['B']]
    )
    np.testing.assert_array_equal(found.labels, [0])

  def test_numbers_must_fit(self):
    with self.assertRaisesRegex(ValueError, 'got 2 questions and 1 answers'):
      judge.labels(
        judge_lib.Judge(lambda asked: [], judge.SCHEMA),
        ['Q', 'R'],
        ['A'],
        [['B']],
      )


class AlignTest(absltest.TestCase):
  def test_absent_it_is_named_and_nothing_stands_in(self):
    self.assertNotIn('alignscore', sys.modules)
    with self.assertRaisesRegex(ValueError, "package 'alignscore'.*github"):
      align.load('base.ckpt')

  def test_present_it_is_asked_as_its_authors_do(self):
    made = []

    class Fake:
      def __init__(self, **options):
        made.append(options)

      def score(self, *, contexts, claims):
        # Claims of known support: the context's share of the claim's words.
        return [
          len({*c.split()} & {*a.split()}) / len(a.split())
          for c, a in zip(contexts, claims, strict=True)
        ]

    module = types.ModuleType('alignscore')
    module.AlignScore = Fake
    sys.modules['alignscore'] = module
    self.addCleanup(sys.modules.pop, 'alignscore')
    scorer = align.load('base.ckpt')
    self.assertEqual(made[0]['evaluation_mode'], 'nli_sp')
    found = align.scores(
      scorer,
      ['red fox', '', 'ran', 'red fox'],
      [['fox', 'red fox far'], ['a'], ['b'], ['red fox', 'far']],
    )
    np.testing.assert_array_equal(found, [1, 0, 0, 1])
    found = align.scores(scorer, ['red fox'], [['red']])
    np.testing.assert_array_equal(found, [0.5])


class ThresholdsTest(parameterized.TestCase):
  def test_the_table_has_eleven_settings_of_eight_functions(self):
    self.assertLen(thresholds.SETTINGS, 11)
    functions = {s.function for s in thresholds.SETTINGS.values()}
    self.assertLen(functions, 8)
    self.assertContainsSubset(
      functions - {'bert_score', 'sentence', 'align_score', 'judge'},
      lexical.FUNCTIONS,
    )

  def test_rules_differ_at_the_threshold_alone(self):
    values = np.array([0.2, 0.5, 0.7, np.nan])
    np.testing.assert_array_equal(
      thresholds.label(values, 0.5), [0, 0, 1, np.nan]
    )
    np.testing.assert_array_equal(
      thresholds.label(values, 0.5, rule='>='), [0, 1, 1, np.nan]
    )

  def test_recall_of_one_passes_and_an_f1_at_its_threshold_does_not(self):
    found = thresholds.labels(
      {'rougel_recall': np.array([1.0, 0.9]), 'rougel_f1': np.array([0.5, 0.4])}
    )
    self.assertEqual(
      {key: value.tolist() for key, value in found.items()},
      {
        'rougel_f1@0.1': [1, 1],
        'rougel_f1@0.3': [1, 1],
        'rougel_f1@0.5': [0, 0],
        'rougel_recall@1': [1, 0],
      },
    )

  def test_nonsense_is_refused(self):
    with self.assertRaisesRegex(ValueError, "no setting names.*'bleu'"):
      thresholds.labels({'bleu': np.zeros(2)})
    with self.assertRaisesRegex(ValueError, "rule must be '>' or '>='"):
      thresholds.label(np.zeros(2), 0.5, rule='<')
    with self.assertRaisesRegex(ValueError, r'threshold of alias .* got 1.5'):
      thresholds.Setting(function='alias', title='', threshold=1.5)


if __name__ == '__main__':
  absltest.main()
