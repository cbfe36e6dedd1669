"""The metric against a forward pass a word and context, in full."""

import dataclasses
import functools
import pathlib
import tempfile
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest

from calibration.selfreflect import conversation, masking, metric
from lm import transformer
from lm.checkpoints import decoder, pretrained_tokenizer
from lm.decoding import generate
from lm.judging import turns
from tests.calibration import support

QUESTION = 'Who was born in Rome?'
ANSWERS = ('Anna', 'Lee was born.', 'Anna')
SUMMARIES = ('Anna, or rather Lee.', 'Nobody knows that at all.')


@functools.partial(jax.jit, static_argnums=0)
def logits(config, params, tokens):
  out = transformer.Transformer(config).apply({'params': params}, tokens)
  return generate.logits_of(out.hidden[0], transformer.unembedding(params))


def plainly(model, context, task):
  """Softmax at 5 at each token of the word, [n, V]: the whole prompt anew."""
  text = turns.render(
    model.tokenizer, conversation.messages(QUESTION, context, task)
  )
  before = model.tokenizer.encode(text, add_bos=False)
  ids = model.tokenizer.encode(text + task.word, add_bos=False)
  assert ids[: len(before)] == before
  padded = jnp.asarray(np.array([ids + [0] * (768 - len(ids))], np.int32))
  made = np.asarray(logits(model.config, model.params, padded), np.float64)
  rows = made[len(before) - 1 : len(ids) - 1] / 5.0
  p = np.exp(rows - rows.max(-1, keepdims=True))
  return p / p.sum(-1, keepdims=True)


class JudgeTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.folder = pathlib.Path(
      cls.enterClassContext(tempfile.TemporaryDirectory())
    )
    cls.model = decoder.open_decoder(support.export(cls.folder / 'tiny'))
    cls.judge = metric.Judge(
      model=cls.model,
      temperatures=(1.0, 5.0, 1e6),
      others=('hellinger', 'kl', 'wasserstein', 'accuracy'),
    )
    cls.tasks = masking.tasks(
      ('Anna', 'Lee was born here in 1999.', 'Anna'), masking.stop_words()
    )
    cls.found = cls.judge(QUESTION, SUMMARIES, cls.tasks, ANSWERS)

  def test_each_position_by_a_pass_of_its_own(self):
    reference = conversation.reference(ANSWERS)
    for number, summary in enumerate(SUMMARIES):
      want = []
      for task in self.tasks:
        p = plainly(self.model, conversation.Context(summary), task)
        q = plainly(self.model, reference, task)
        want += list(0.5 * np.abs(p - q).sum(-1))
      np.testing.assert_allclose(
        self.found.distances['tv@5'][number], want, rtol=1e-3, atol=1e-6
      )
      mean = sum(c * w for c, w in zip(self.found.counts, want, strict=True))
      self.assertAlmostEqual(
        self.found.of('tv@5')[number], mean / self.found.counts.sum(), places=5
      )

  def test_counts_are_of_tokens_and_answers(self):
    sizes = [
      len(self.model.tokenizer.encode(task.word, add_bos=False))
      for task in self.tasks
    ]
    want = np.repeat(list(self.tasks.values()), sizes)
    np.testing.assert_array_equal(self.found.counts, want)
    self.assertEqual(self.found.skipped, 0)

  def test_bounds_and_the_limit_of_a_hot_judge(self):
    for name, found in self.found.distances.items():
      self.assertTrue((found >= 0).all(), name)
      if name != 'kl':
        self.assertTrue((found <= 1 + 1e-6).all(), name)
    self.assertGreater(self.found.of('tv@1').min(), 1e-3)
    self.assertLess(self.found.of('tv@1e+06').max(), 1e-5)
    # Some tokens spell one word, so they are nearer than any two others.
    tv, near = (self.found.distances[n] for n in ('tv@5', 'wasserstein'))
    self.assertTrue((near <= tv + 1e-6).all())

  def test_the_answers_themselves_score_zero_under_the_same_prompt(self):
    listed = conversation.listed(ANSWERS)
    same = metric.Judge(model=self.model, same_prompt=True)
    found = same(QUESTION, [listed, SUMMARIES[0]], self.tasks, ANSWERS)
    np.testing.assert_array_equal(found.distances['tv@5'][0], 0.0)
    self.assertGreater(found.of('tv@5')[1], 1e-4)
    # The release's two prompts differ in two places, and so do their scores.
    apart = self.judge(QUESTION, [listed], self.tasks, ANSWERS)
    self.assertGreater(apart.of('tv@5')[0], 1e-4)

  def test_the_order_of_gaps_and_of_summaries_is_nothing(self):
    backwards = dict(reversed(self.tasks.items()))
    found = self.judge(QUESTION, SUMMARIES[::-1], backwards, ANSWERS)
    np.testing.assert_allclose(
      found.of('tv@5')[::-1], self.found.of('tv@5'), rtol=1e-4
    )

  def test_exchanging_the_two_contexts_changes_nothing(self):
    one, other = (conversation.listed([text]) for text in ('Anna', 'Lee'))
    same = metric.Judge(model=self.model, same_prompt=True)
    found = same(QUESTION, [one], self.tasks, ['Lee']).of('tv@5')
    back = same(QUESTION, [other], self.tasks, ['Anna']).of('tv@5')
    np.testing.assert_allclose(found, back, rtol=1e-5)

  def test_more_gaps_than_one_pass_takes(self):
    many = masking.tasks(
      [' '.join(f'w{i}' for i in range(2 * metric.ROWS + 1))], ()
    )
    found = self.judge(QUESTION, SUMMARIES[:1], many, ANSWERS)
    some = dict(list(many.items())[-1:])
    alone = self.judge(QUESTION, SUMMARIES[:1], some, ANSWERS)
    last = alone.distances['tv@5'].shape[1]
    np.testing.assert_allclose(
      found.distances['tv@5'][:, -last:],
      alone.distances['tv@5'],
      rtol=1e-3,
      atol=1e-6,
    )

  def test_a_judge_without_a_chat_template(self):
    bare = pretrained_tokenizer.CheckpointTokenizer.load(self.folder / 'tiny')
    bare._facts = dataclasses.replace(bare._facts, template='')
    judge = metric.Judge(model=self.model._replace(tokenizer=bare))
    found = judge(QUESTION, SUMMARIES, self.tasks, ANSWERS).of('tv@5')
    self.assertTrue((found > 0).all())
    # Another prompt, another score.
    self.assertTrue((found != self.found.of('tv@5')).all())

  def test_words_split_in_another_way_are_counted_and_not_scored(self):
    whole = conversation.fill

    def split(tokenizer, texts, words):
      made = whole(tokenizer, texts, words)
      # The first gap's word, in the last context alone.
      at = len(texts) - len(self.tasks)
      made[at] = made[at]._replace(ids=[*made[at].ids, 7])
      return made

    with mock.patch.object(conversation, 'fill', split):
      found = self.judge(QUESTION, SUMMARIES, self.tasks, ANSWERS)
    self.assertEqual(found.skipped, 1)
    first = len(
      self.model.tokenizer.encode(next(iter(self.tasks)).word, add_bos=False)
    )
    np.testing.assert_allclose(
      found.distances['tv@5'],
      self.found.distances['tv@5'][:, first:],
      rtol=1e-4,
      atol=1e-7,
    )

  def test_bad_input(self):
    with self.assertRaisesRegex(ValueError, 'a summary and an answer'):
      self.judge(QUESTION, [], self.tasks, ANSWERS)
    with self.assertRaisesRegex(ValueError, 'a summary and an answer'):
      self.judge(QUESTION, SUMMARIES, self.tasks, [])
    with self.assertRaisesRegex(ValueError, 'hellinger'):
      metric.Judge(model=self.model, others=('tv',))
    with self.assertRaisesRegex(ValueError, 'above 0'):
      metric.Judge(model=self.model, temperatures=(0.0,))
    empty = self.judge(QUESTION, SUMMARIES, {}, ANSWERS)
    self.assertTrue(np.isnan(empty.of('tv@5')).all())

  def test_a_summary_that_repeats_the_answer(self):
    found = self.judge(
      QUESTION, ['Lee was born here in 1999.', ''], self.tasks, ANSWERS
    )
    self.assertTrue(np.isfinite(found.of('tv@5')).all())


if __name__ == '__main__':
  absltest.main()
