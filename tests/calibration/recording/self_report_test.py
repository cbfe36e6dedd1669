"""A tiny model is asked about its own answers; what is kept is what it says."""

import dataclasses
import json
import pathlib
import tempfile
from unittest import mock

from absl.testing import absltest

from calibration.recording import log, record, self_report
from lm.decoding import prefix_cache, scoring
from tests.calibration import support


class SelfReportTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    at = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
    cls.recorded = record.Recording(
      model=str(support.export(at / 'tiny')),
      sets=('addition_1',),
      styles=('concise',),
      form='chat',
      questions=3,
      samples=2,
      file=2,
      folder=str(at / 'said'),
    )
    cls.model = record.open_model(cls.recorded)
    said = [
      support.said(support.question(number), [f'beryl {number}', 'none'])
      for number in range(3)
    ]
    for number, some in enumerate((said[:2], said[2:])):
      folder = cls.recorded.at()
      log.write(log.shard(folder, 'addition_1-concise', number), some)
    cls.ids = [one.question.id for one in said]
    with mock.patch.object(self_report, '_TOKENS', (5, 3)):
      self_report.ask(cls.recorded, cls.model, enabled=False)

  def load(self, recorded=None, ids=None):
    return self_report.load(
      recorded or self.recorded, 'addition_1', 'concise', ids or self.ids
    )

  def test_p_true_is_how_the_reply_begins(self):
    tokenizer = self.model.tokenizer
    true = tokenizer.encode('True', add_bos=False)
    for number, one in enumerate(self.load()):
      text = self_report.true_prompt(
        f'What is 1 plus {number}?', f'beryl {number}'
      )
      ids = tokenizer.chat([{'role': 'user', 'content': text}])
      # Token by token, where the code reads all of them at once.
      want = 0.0
      for at, token in enumerate(true):
        logp_V = scoring.next_logprobs(
          self.model.config, self.model.params, [ids + true[:at]], batch=1
        )[0]
        want += float(logp_V[token])
      self.assertAlmostEqual(one.log_true, want, places=3)

  def test_the_second_step_stands_behind_the_recorded_answer(self):
    reports = self.load()
    self.assertEqual([one.id for one in reports], self.ids)
    tokenizer = self.model.tokenizer
    chats = []

    def greedy(config, params, prompts, **how):
      chats.append([tokenizer.decode(ids, False) for ids in prompts])
      return [[] for _ in prompts]

    said = list(log.read(self.recorded.at(), 'addition_1-concise'))
    with mock.patch.object(prefix_cache, 'greedy', greedy):
      self_report._ask(self.recorded, self.model, said[:2], 'concise')
    one_step, two_steps = chats
    for number, (first, second) in enumerate(
      zip(one_step, two_steps, strict=True)
    ):
      asked = f'What is 1 plus {number}?'
      self.assertIn(asked, first)
      self.assertIn('Guess:', first)
      begin, _, rest = second.rpartition(asked)
      self.assertTrue(begin)
      self.assertRegex(rest, rf'(?s)beryl {number}.*How probable is it')

  def test_what_is_there_is_not_asked_again(self):
    with mock.patch.object(record, 'open_model', side_effect=AssertionError):
      self_report.gather(self.recorded)

  def test_a_base_model_is_asked_p_true_alone(self):
    bare = dataclasses.replace(self.recorded, form='text')
    said = list(log.read(self.recorded.at(), 'addition_1-concise'))
    found = self_report._ask(bare, self.model, said[:2], 'concise')
    self.assertEqual([one[2:] for one in found], [('', '')] * 2)
    self.assertTrue(all(one.log_true < 0 for one in found))

  def test_reports_on_other_questions_are_refused(self):
    with self.assertRaisesRegex(ValueError, 'a report for each of 3 recorded'):
      self.load(ids=['x', 'y', 'z'])

  def test_a_recording_in_the_cache_has_its_reports_beside_it(self):
    cached = dataclasses.replace(self.recorded, folder='')
    at = self_report.Reports.of(cached).at()
    self.assertEqual(at.parent.name, 'self_reports')
    self.assertEqual(at.parent.parent, cached.at().parent.parent)
    (path,) = pathlib.Path(self.recorded.folder, 'self_reports').glob(
      'addition_1-concise/00001.jsonl'
    )
    (line,) = path.read_text().splitlines()
    self.assertEqual(json.loads(line)['id'], self.ids[2])


if __name__ == '__main__':
  absltest.main()
