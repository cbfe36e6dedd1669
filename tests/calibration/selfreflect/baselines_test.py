"""Baselines by hand, and a judge's by a pass a prompt."""

import pathlib
import tempfile

import numpy as np
from absl.testing import absltest

from calibration.selfreflect import baselines, conversation
from lm.checkpoints import decoder
from lm.decoding import scoring
from lm.judging import turns
from tests.calibration import support

TOLD = ('a b', 'a b', 'c', 'c')
SUMMARIES = ('a b or c', 'a', 'nothing at all')


class HandTest(absltest.TestCase):
  def test_rouge_is_recall_of_each_answer(self):
    found = baselines.rouge(SUMMARIES, TOLD)
    np.testing.assert_allclose(found, [0.0, 1 - (0.5 + 0) / 2, 1.0])

  def test_embedding(self):
    table = {'a b': (3.0, 0.0), 'c': (0.0, 2.0), 'x': (1.0, 1.0)}
    found = baselines.embedding(
      ['x', 'a b'],
      ('a b', 'a b', 'a b', 'c'),
      lambda texts: np.array([table[text] for text in texts]),
    )
    np.testing.assert_allclose(found, [1 - 0.5**0.5, 0.25])


class JudgedTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    folder = cls.enterClassContext(tempfile.TemporaryDirectory())
    cls.model = decoder.open_decoder(
      support.export(pathlib.Path(folder) / 'tiny')
    )

  def yes(self, said):
    encode = self.model.tokenizer.encode
    text = turns.render(self.model.tokenizer, said)
    [logp] = scoring.next_logprobs(
      self.model.config, self.model.params, [encode(text, add_bos=False)]
    )
    p = np.exp(logp.astype(np.float64))
    mass = [
      sum(p[i] for i in scoring.spellings(self.plain, word))
      for word in ('yes', 'no')
    ]
    return mass[0] / sum(mass)

  def plain(self, text):
    return self.model.tokenizer.encode(text, add_bos=False)

  def test_ptrue_is_the_distance_of_two_beliefs(self):
    masked = ('Ann', 'Ann', 'Bob')
    told = ('Ann', 'Cid')
    with absltest.mock.patch.object(scoring, 'spellings', self.spelt):
      found = baselines.ptrue(self.model, 'Who?', ['Ann.'], masked, told)
      want = 0.0
      for text in masked:
        p = []
        for context in (
          conversation.Context('Ann.'),
          conversation.reference(told),
        ):
          last = baselines._MAY.format(
            given=conversation.named(context), text=text
          )
          p.append(self.yes(conversation.turns('Who?', context, last)))
        want += abs(p[0] - p[1]) / 3
    np.testing.assert_allclose(found, [want], rtol=1e-3, atol=1e-6)

  def spelt(self, encode, word):
    # The tiny vocabulary has no token for either word.
    return [encode(word)[0]]

  def test_judge_sees_the_answers_and_the_summary(self):
    with absltest.mock.patch.object(scoring, 'spellings', self.spelt):
      found = baselines.judge(self.model, 'Who?', ['Ann.', 'Bob.'], TOLD)
      text = baselines._RATE.format(
        question='Who?', answers=conversation.listed(TOLD), summary='Bob.'
      )
      system = {'role': 'system', 'content': conversation.SYSTEM}
      want = 1 - self.yes([system, {'role': 'user', 'content': text}])
    self.assertAlmostEqual(found[1], want, places=5)


if __name__ == '__main__':
  absltest.main()
