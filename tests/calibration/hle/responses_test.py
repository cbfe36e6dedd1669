"""All of the way on an invented exam; who answers and judges is scripted."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
from unittest import mock

import numpy as np
from absl.testing import absltest, parameterized

from calibration.hle import data, experiment, guard, report, responses
from configs.calibration import hle as config
from launch import setup
from lm.judging import reply
from tests import files
from tests.calibration import support as tiny
from tests.calibration.hle import support
from tests.lm.judging import endpoint_support


def items(count):
  return [
    data.Item(r['id'], r['question'], r['answer'], r['answer_type'])
    for r in support.rows(count)
  ]


KEEP = guard.Guard(row['question'] for row in support.rows(6))


def said(text, cut=False):
  return responses.Said(text, None if text is None else len(text), cut)


def wanted(folder, **changes):
  fields = dict(
    model='m',
    questions=6,
    digest='d',
    file=2,
    batch=2,
    url='http://x',
    folder=str(folder),
  )
  return responses.Responses(**(fields | changes))


def script(some):
  """Right, wrong, empty, without a reply, in turns, by the id."""
  out = []
  for item in some:
    turn = int(item.id, 16) % 4
    text = f'Explanation: so.\nAnswer: {item.answer}\nConfidence: 90%'
    texts = (text, 'Answer: 0.5\nConfidence: 0.3', ' ', None)
    out.append([said(texts[turn])])
  return out


class MarkTest(parameterized.TestCase):
  def test_by_rules(self):
    rows = responses.mark(items(4), script(items(4)), None)
    self.assertEqual(
      [row['correct'] for row in rows], [True, False, False, None]
    )
    self.assertEqual([row['confidence'] for row in rows], [90, 30, 100, 100])
    self.assertEqual(
      [row['stated'] for row in rows],
      ['stated', 'fraction', 'missing', 'missing'],
    )
    self.assertNotIn(support.MARKER, json.dumps(rows))

  def test_an_empty_response_asks_no_judge(self):
    asked = []

    def judge(prompts):
      asked.extend(prompts)
      replies = ['{"correct": "yes", "confidence": 40}', 'hm']
      return replies[: len(prompts)]

    rows = responses.mark(items(4), script(items(4)), judge)
    self.assertLen(asked, 2)
    self.assertEqual(
      [row['correct'] for row in rows], [True, None, False, None]
    )
    self.assertEqual(rows[0]['confidence'], 40)
    self.assertEqual(rows[1]['unjudged'], 'no verdict')

  def test_a_judge_that_does_not_reply(self):
    rows = responses.mark(
      items(1), [[said('x')]], lambda _: [reply.Failure('gone')]
    )
    self.assertIsNone(rows[0]['correct'])

  @parameterized.parameters(
    ('multipleChoice', 'B', 'Answer: (B) some', True),
    ('multipleChoice', 'B', 'Answer: A', False),
    ('multipleChoice', 'B', 'Answer: Because', False),
    ('multipleChoice', 'B', 'It is B', False),
    ('exactMatch', '1,000', 'Answer: 1004', True),
    ('exactMatch', '1000', 'Answer: 1020', False),
    ('exactMatch', '0', 'Answer: 0', True),
    ('exactMatch', 'The Cat', 'Exact Answer: **cat**', True),
    ('exactMatch', 'cat', 'Answer: cats', False),
  )
  def test_rules(self, kind, answer, text, right):
    item = data.Item('i', 'q', answer, kind)
    (row,) = responses.mark([item], [[said(text)]], None)
    self.assertEqual(row['correct'], right)


class JudgeTest(absltest.TestCase):
  def test_a_local_judge_is_not_asked_what_it_cannot_read(self):
    model = mock.Mock()
    model.ids = lambda said: [0] * len(said[0]['content'])
    model.ask = lambda prompts, max_new_tokens: [
      f'no {p[0]["content"]}' for p in prompts
    ]
    found = responses._ask(model, 10, 4, ['short', 'x' * 7, 'sixsix'])
    self.assertEqual(found[0], 'no short')
    self.assertIsInstance(found[1], reply.Failure)
    self.assertEqual(found[2], 'no sixsix')

  def test_rules_open_nothing(self):
    with responses.open_judge(wanted('/nowhere')) as judge:
      self.assertIsNone(judge)


class TakeTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.at = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

  def test_goes_on_and_ends_in_the_same_report(self):
    whole = wanted(self.at / 'whole')
    responses.take(whole, items(6), script, None, KEEP, enabled=False)
    part = wanted(self.at / 'part')
    calls = []

    def dies(some):
      calls.append(len(some))
      if len(calls) == 2:
        raise KeyboardInterrupt
      return script(some)

    with self.assertRaises(KeyboardInterrupt):
      responses.take(part, items(6), dies, None, KEEP, enabled=False)
    responses.take(part, items(6), script, None, KEEP, enabled=False)
    self.assertEqual(responses.load(part), responses.load(whole))
    # What was never judged is still not after all of it was read again.
    self.assertEqual(report.measure(responses.load(part))['unjudged'], 1)

  def test_killed_at_any_point(self):
    whole = wanted(self.at / 'whole')
    responses.take(whole, items(6), script, None, KEEP, enabled=False)
    program = (
      'import sys, time\n'
      'from tests.calibration.hle import responses_test as t\n'
      'def slow(some):\n'
      '  print("asked", flush=True)\n'
      '  time.sleep(0.05)\n'
      '  return t.script(some)\n'
      'w = t.wanted(sys.argv[1])\n'
      't.responses.take(w, t.items(6), slow, None, t.KEEP, enabled=False)\n'
    )
    folder = self.at / 'killed'
    for seconds in (0.0, 0.04, 0.07):
      process = subprocess.Popen(
        [sys.executable, '-c', program, str(folder)],
        cwd=files.ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
      )
      process.stdout.readline()
      try:
        process.wait(seconds)
      except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
      process.stdout.close()
      process.wait()
    killed = wanted(folder)
    responses.take(killed, items(6), script, None, KEEP, enabled=False)
    self.assertEqual(responses.load(killed), responses.load(whole))

  def test_a_line_that_would_quote_a_question_is_not_written(self):
    some = [item._replace(category=item.question) for item in items(2)]
    leaking = wanted(self.at / 'leak', questions=2)
    with self.assertRaisesRegex(guard.LeakError, 'not written') as caught:
      responses.take(leaking, some, script, None, KEEP, enabled=False)
    self.assertNotIn(support.MARKER, str(caught.exception))
    for path in self.at.rglob('*.jsonl'):
      self.fail(path)

  def test_bad_settings(self):
    for changes, message in (
      ({'attempts': 2}, 'hle.temperature'),
      ({'temperature': -1.0}, 'must not be negative'),
      ({'file': 0}, 'hle.file must be positive'),
    ):
      with self.assertRaisesRegex(ValueError, message):
        wanted(self.at, **changes)


class ExperimentTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.at = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.exam = self.at / 'private' / 'exam.jsonl'
    self.exam.parent.mkdir()
    self.model = tiny.export(self.at / 'tiny')
    self.exam.write_text('\n'.join(map(json.dumps, support.rows(6))))
    self.enterContext(
      mock.patch.dict('os.environ', {'SOCRATIC_DATA': str(self.at / 'cache')})
    )

  def config(self, **changes):
    cfg = config.get_config('smoke')
    cfg.data = str(self.exam)
    cfg.model = str(self.model)
    cfg.exam.questions = 0
    cfg.hle.update(max_new_tokens=6, batch=2, file=3, **changes)
    return cfg

  def test_a_private_exam_leaves_no_trace(self):
    asked = setup.ask(self.config(compute='float32').to_dict())
    summary = setup.train(asked, self.at / 'run')
    self.assertEqual(summary['questions'], 6)
    self.assertEqual(summary['accuracy/tiny'], 0.0)
    self.assertEqual(summary['judged/tiny'], 6)
    self.assertIn('nearest', summary['release'])
    others = [
      path
      for path in self.at.rglob('*')
      if path.is_file() and path != self.exam
    ]
    self.assertGreater(len(others), 5)
    for path in others:
      self.assertNotIn(support.MARKER.encode(), path.read_bytes(), path)

  def test_another_exam_is_another_recording(self):
    exam = experiment.Questions().load(str(self.exam))
    how = wanted(self.at)
    one, other = (how.of('m', i) for i in (exam.items, exam.items[:5]))
    self.assertNotEqual(one.digest, other.digest)
    self.assertEqual((one.questions, other.questions), (6, 5))

  def test_which_questions(self):
    (self.at / 'ids').write_text('\n'.join(r['id'] for r in support.rows(3)))
    for changes, count in (
      ({'questions': 4}, 4),
      ({'ids': str(self.at / 'ids')}, 3),
      ({'answer_type': 'multipleChoice'}, 2),
    ):
      found = experiment.Questions(**changes).load(str(self.exam))
      self.assertLen(found.items, count)
    with self.assertRaisesRegex(ValueError, 'exam.questions must be at most 6'):
      experiment.Questions(questions=7).load(str(self.exam))
    with self.assertRaisesRegex(ValueError, 'not be negative'):
      experiment.Questions(questions=-1)

  def test_bad_config(self):
    for changes, message in (
      ({'data': ''}, 'data must name the exam'),
      ({'model': ' , '}, 'model who takes it'),
      ({'hle.attempts': 3}, 'hle.temperature'),
    ):
      cfg = self.config()
      with cfg.unlocked():
        for key, value in changes.items():
          cfg.update_from_flattened_dict({key: value})
      with self.subTest(message), self.assertRaisesRegex(ValueError, message):
        setup.ask(cfg.to_dict())


class ServerTest(endpoint_support.EndpointTest):
  def test_a_server_answers_and_judges(self):
    def answer(handler, body, number):
      text = body['messages'][-1]['content']
      if text.startswith('Judge whether'):
        self.assertEqual(body['max_tokens'], 256)
        handler.say(endpoint_support.chat('{"correct": "yes"}'))
      elif 'number 1 ' in text:
        handler.say({'error': f'cannot read {text}'}, status=400)
      else:
        said = {
          'choices': [
            {'message': {'content': 'Answer: 4'}, 'finish_reason': 'length'}
          ],
          'usage': {'completion_tokens': 3},
        }
        handler.say(said)

    url = self.serve(answer).url
    at = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    asked = wanted(
      at, questions=3, url=url, judge='j', judge_url=url, file=3
    ).of('m', items(3))
    with self.assertLogs('absl', 'WARNING') as logs:
      responses.gather(asked, items(3), KEEP)
    rows = responses.load(asked)
    self.assertEqual([row['correct'] for row in rows], [True, None, True])
    self.assertEqual(rows[1]['unjudged'], 'no response')
    self.assertEqual([row['tokens'] for row in rows], [3, None, 3])
    self.assertTrue(rows[0]['cut'])
    self.assertNotIn(support.MARKER, ''.join(logs.output))


class ReportTest(absltest.TestCase):
  def test_n_of_bins_is_judged_and_n_of_accuracy_is_all(self):
    rng = np.random.default_rng(0)
    rows = [
      responses._line(
        data.Item(str(i), 'q', 'a', 'exactMatch'),
        0,
        said('Confidence: 50'),
        responses.parse.Judgement(bool(i % 2), float(rng.integers(101))),
      )
      for i in range(200)
    ]
    for row in rows[:50]:
      row['correct'] = None
    found = report.measure(rows)
    self.assertEqual(found['accuracy'], 37.5)  # 75 of 200
    self.assertEqual((found['judged'], found['unjudged']), (150, 50))
    self.assertEqual(found['rms_official'], 0.0)  # one bin, and it is dropped
    c, a = report.pairs(rows)
    self.assertLen(c, 150)
    order = np.argsort(c, kind='stable')
    want = abs(c[order].mean() - a[order].mean())
    self.assertAlmostEqual(found['rms_all_bins'], want, places=12)
    self.assertEqual(found['count/attempts'], 200)

  def test_nothing_was_judged(self):
    rows = responses.mark(items(1), [[said(None)]], None)
    found = report.measure(rows)
    self.assertEqual((found['judged'], found['accuracy']), (0, 0.0))
    self.assertNotIn('smece', found)


if __name__ == '__main__':
  absltest.main()
