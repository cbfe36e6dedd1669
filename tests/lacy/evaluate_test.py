"""The evaluator against full logits, and data as it reaches a step."""

import functools

import jax
import numpy as np
from absl.testing import absltest
from scipy import special

from lacy import data, evaluate
from lm import transformer
from tests.lacy import support

CONFIG = transformer.TransformerConfig(
  vocab_size=13, layers=1, width=8, heads=2, mlp_width=12
)
CALL = 8


def arrays():
  """Five records of T = 6: one full, one padded, the others random."""
  rng = np.random.default_rng(0)
  segments = np.ones((5, 7), int)
  segments[1, 4:] = 0
  segments[2, 3:] = 2
  tokens = rng.integers(0, 8, (5, 7))
  return {
    'tokens': tokens,
    'segments': segments,
    'positions': np.tile(np.arange(7), (5, 1)),
    'facts': rng.random((5, 7)) < 0.4,
    'accept': np.where(rng.random((5, 7)) < 0.5, 1, -1),
  }


@functools.cache
def params():
  made = support.params(CONFIG, 0)
  # So that CALL is the most probable token at some positions.
  made['embedding'][CALL] *= 4.0
  return made


def evaluator(**changes):
  fields = dict(
    model=CONFIG,
    vocab_size=13,
    call_id=CALL,
    trained_to_call=True,
    beta=0.3,
    oracle_error=0.0,
    batch_size=2,
    pieces=lambda ids: [str(i) for i in ids],
  )
  return evaluate.Evaluator(**(fields | changes))


class EvaluatorTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.params, cls.arrays = params(), arrays()
    cls.batch = data.to_batch(cls.arrays)

    @jax.jit
    def scores(params, text):
      model = transformer.Transformer(CONFIG)
      hidden = model.apply(
        {'params': params}, text.tokens, text.positions, text.segments
      ).hidden
      return hidden @ params['embedding'].T

    cls.logits = np.asarray(scores(cls.params, cls.batch.text))
    cls.evaluator = evaluator()
    cls.made = cls.evaluator.per_token(cls.params, cls.arrays)

  def test_equals_full_logits_though_the_last_batch_is_padded(self):
    self.assertEqual(self.made['loss'].shape, (5, 6))
    p_all = special.softmax(self.logits, -1)
    rest = np.delete(self.logits, CALL, -1)
    log_rest = special.log_softmax(rest, -1)
    truth = self.batch.text.targets  # all below CALL
    want = -np.take_along_axis(log_rest, truth[..., None], -1)[..., 0]
    close = lambda name, value: np.testing.assert_allclose(  # noqa: E731
      self.made[name], value, rtol=1e-4, atol=1e-5, err_msg=name
    )
    close('loss', want)
    close('log_call', np.log(p_all[..., CALL]))
    close('uncertainty', -log_rest.max(-1))
    odds = p_all[..., CALL] / (1 - p_all[..., CALL])
    close('odds', np.log(odds))
    is_call = self.logits.argmax(-1) == CALL
    self.assertBetween(is_call.mean(), 0.1, 0.9)
    close('argmax_call', is_call)
    best = self.logits.copy()
    best[..., CALL] = -np.inf
    close('best', best.argmax(-1))
    close('fact', self.arrays['facts'][:, 1:])

  def test_rows_without_a_token_are_never_predicted(self):
    known = 10
    made = evaluator(vocab_size=known).per_token(self.params, self.arrays)
    rest = self.logits.copy()
    rest[..., CALL] = -np.inf
    self.assertGreater((rest.argmax(-1) >= known).sum(), 0)
    np.testing.assert_array_equal(made['best'], rest[..., :known].argmax(-1))
    # They are in the softmax all the same, as they were in training.
    np.testing.assert_allclose(made['loss'], self.made['loss'], rtol=1e-6)
    want = special.logsumexp(rest, -1) - rest[..., :known].max(-1)
    np.testing.assert_allclose(made['uncertainty'], want, atol=1e-5)

  def test_counts_neither_padding_nor_document_starts(self):
    tokens = evaluator().tokens(self.made, self.arrays)
    # 6 a record, less 3 that are padding, less 1 that begins a document.
    self.assertLen(tokens.loss, 5 * 6 - 3 - 1)

  def test_score_is_odds_or_uncertainty(self):
    valid = self.made['valid']
    for trained, name in ((True, 'odds'), (False, 'uncertainty')):
      got = evaluator(trained_to_call=trained).tokens(self.made, self.arrays)
      np.testing.assert_array_equal(got.score, self.made[name][valid])

  def test_a_synonym_is_wrong_but_not_bad(self):
    group = np.full(13, -1)
    group[:4] = 1
    tokens = evaluator(group=group).tokens(self.made, self.arrays)
    valid = self.made['valid']
    best = self.made['best'][valid]
    accept = self.arrays['accept'][:, 1:][valid]
    truth = self.arrays['tokens'][:, 1:][valid]
    for i in range(len(best)):
      fine = best[i] == truth[i] or (accept[i] == 1 and best[i] < 4)
      self.assertEqual(bool(tokens.bad[i]), not fine)
    self.assertLess(tokens.bad.sum(), tokens.wrong.sum())

  def test_final_marks_as_many_calls_as_the_budget(self):
    out = self.evaluator.final(self.params, self.arrays)
    called = out['article_called']
    self.assertEqual(called.sum(), round(0.3 * self.made['valid'].sum()))
    self.assertFalse(called[~self.made['valid']].any())
    self.assertEqual(out['article_pieces'].dtype.kind, 'U')
    self.assertEqual(
      out['article_pieces'][0, 0], str(self.arrays['tokens'][0, 1])
    )


class BatchTest(absltest.TestCase):
  def test_facts_are_aligned_with_targets(self):
    made = arrays()
    batch = data.to_batch(made)
    np.testing.assert_array_equal(batch.text.targets, made['tokens'][:, 1:])
    np.testing.assert_array_equal(batch.facts, made['facts'][:, 1:])
    self.assertIsNone(batch.reference)

  def test_judge_without_a_file_names_the_key(self):
    config = data.DataConfig(corpus='bios', context=40)
    with self.assertRaisesRegex(ValueError, 'config.data.judge_mask'):
      data.load(config).judged()


if __name__ == '__main__':
  absltest.main()
