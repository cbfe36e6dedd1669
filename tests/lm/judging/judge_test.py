"""Verdicts: what is read, what is refused, and that neither is forgotten."""

import functools
import json
import tempfile

from absl.testing import absltest, parameterized

from lm.judging import endpoint, judge, reply, verdict
from tests.lm.judging import endpoint_support

YES_NO = verdict.Choice(('yes', 'no'))
LETTERS = verdict.Choice('ABCD')


class ChoiceTest(parameterized.TestCase):
  @parameterized.parameters(
    ('yes', 'yes'),
    (' **Yes.** ', 'yes'),
    ('"NO"', 'no'),
    ('Yes, because it is.', 'yes'),
    ('**No**, it is not.', 'no'),
    ('No - never', 'no'),
    ('Yes\nThe date fits.', 'yes'),
    ('The date is wrong.\n\nNo', 'no'),
    ('Both dates agree. Yes.', 'yes'),
    ('Let me see. The answer is yes.', 'yes'),
    ('Answer: No', 'no'),
    ('**Final answer:** yes', 'yes'),
    ('My verdict is no because the year differs', 'no'),
    ('<think>no? no.</think>yes', 'yes'),
    ('so no.</think>\n\nyes', 'yes'),
  )
  def test_reads_words(self, text, value):
    self.assertEqual(YES_NO(text), value)

  @parameterized.parameters(
    '',
    ' \n',
    'maybe',
    'yes or no',
    'yes and no',
    'Yes/No',
    'No idea',
    'Not sure.',
    'nope',
    'No one knows.',
    'the answer is not yes',
    'The answer is no one knows',
    'The answer is yes or no',
    'No, wait. Yes.',
    'Yes.\nNo.',
    'Answer: yes. Answer: no.',
    'I could say yes to this',
    'I cannot help with that.',
    '<think>yes, that is',
    'yes <think>hm</think> no',
  )
  def test_refuses_words(self, text):
    with self.assertRaisesRegex(ValueError, 'expected .*, came'):
      YES_NO(text)

  @parameterized.parameters(
    ('B', 'B'),
    ('(c)', 'C'),
    ('B) Paris', 'B'),
    ('D. A dog', 'D'),
    ('C: both A and B', 'C'),
    ('The answer is (B).', 'B'),
    ('Answer: **D**', 'D'),
  )
  def test_reads_letters(self, text, value):
    self.assertEqual(LETTERS(text), value)

  @parameterized.parameters(
    'A good question', 'A.I. is hard', 'E', 'A or B', 'AB', 'A. B.', 'AI'
  )
  def test_refuses_letters(self, text):
    with self.assertRaises(ValueError):
      LETTERS(text)

  def test_one_option_within_another(self):
    grades = verdict.Choice(('correct', 'incorrect', 'not attempted'))
    self.assertEqual(grades('Incorrect.'), 'incorrect')
    self.assertEqual(grades('Verdict: not attempted'), 'not attempted')
    self.assertEqual(grades('correct, as it stands'), 'correct')

  @parameterized.parameters([()], [('yes',)], [('yes', 'Yes')], [('a', '')])
  def test_options_that_cannot_be_told_apart(self, options):
    with self.assertRaisesRegex(ValueError, 'options must be'):
      verdict.Choice(options)


class NumberTest(parameterized.TestCase):
  @parameterized.parameters(
    ('7', 0, 10, 7.0),
    ('7.', 0, 10, 7.0),
    ('Score: 7.5', 0, 10, 7.5),
    ('**8**/10', 0, 10, 8.0),
    ('8/10.', 0, 10, 8.0),
    ('I give 8 out of 10, firmly', 0, 10, 8.0),
    ('10/10', 0, 10, 10.0),
    ('.25', 0, 1, 0.25),
    ('2e-3', 0, 1, 0.002),
    ('-3', -5, 5, -3.0),
    ('−3', -5, 5, -3.0),
    ('80%', 0, 100, 80.0),
    ('1,250', 0, 5000, 1250.0),
    ('4 (that is 4)', 1, 5, 4.0),
    ('<think>1 2 3</think> 5', 1, 5, 5.0),
    ('80%', 0, 1, None),
    ('1%', 0, 1, None),
    ('4/10', 1, 5, None),
    ('7-8', 0, 10, None),
    ('7 or 8', 0, 10, None),
    ('11', 0, 10, None),
    ('-1', 0, 10, None),
    ('1.2.3', 0, 10, None),
    ('1,2', 0, 10, None),
    ('3rd', 0, 10, None),
    ('seven', 0, 10, None),
    ('nan', 0, 10, None),
    ('inf', 0, 10, None),
    ('1e999', 0, 10, None),
    ('٣', 0, 10, None),
    ('', 0, 10, None),
  )
  def test_reads_one_number_or_none(self, text, low, high, value):
    number = verdict.Number(low, high)
    if value is None:
      with self.assertRaisesRegex(ValueError, 'expected one number from'):
        number(text)
    else:
      self.assertEqual(number(text), value)

  def test_whole(self):
    number = verdict.Number(1, 5, whole=True)
    self.assertIs(type(number('4')), int)
    with self.assertRaisesRegex(ValueError, 'one whole number from 1 to 5'):
      number('4.5')

  @parameterized.parameters((1, 1), (2, 1), (0, float('inf')))
  def test_no_range(self, low, high):
    with self.assertRaisesRegex(ValueError, 'low must be below high'):
      verdict.Number(low, high)


GOOD = {'ok': True, 'score': 3.0, 'label': 'no', 'note': 'a "}" b'}


class ObjectTest(parameterized.TestCase):
  schema = verdict.Object(
    {
      'ok': bool,
      'score': verdict.Number(0, 10),
      'label': YES_NO,
      'note': str,
    }
  )

  def text(self, **changes):
    return json.dumps(GOOD | changes)

  @parameterized.parameters(
    '{}',
    '```json\n{}\n```',
    'Here it is:\n```\n{}\n```\nAsk again {{any time}}.',
    'In {{curly}} words: {} as said.',
    '<think>{{"ok": false}}</think>{}',
    '{0} or, again, {0}',
  )
  def test_reads_it_wherever_it_stands(self, around):
    self.assertEqual(self.schema(around.format(self.text())), GOOD)

  def test_casts_nothing_but_whole_to_float_and_the_case_of_options(self):
    text = self.text(score=3, label='No', extra=[1])
    self.assertEqual(self.schema(text), GOOD)

  @parameterized.parameters(
    (dict(ok=1), 'field "ok": expected bool'),
    (dict(ok='true'), 'field "ok": expected bool'),
    (dict(ok=None), 'field "ok": expected bool'),
    (dict(score=True), 'field "score": expected one number'),
    (dict(score='3'), 'field "score": expected one number'),
    (dict(score=11), 'field "score": expected one number'),
    (dict(label='maybe'), 'field "label": expected one of yes, no'),
    (dict(note=3), 'field "note": expected str'),
  )
  def test_refuses_other_types(self, changes, message):
    with self.assertRaisesRegex(ValueError, message):
      self.schema(self.text(**changes))

  def test_refuses_what_is_missing(self):
    with self.assertRaisesRegex(ValueError, 'the field "ok"'):
      self.schema('{"score": 1}')

  @parameterized.parameters(
    '',
    'yes',
    '[1]',
    '{"score": 1',
    '{"score": 1, "score": 2}',
    '{"score": NaN}',
    '{"score": 1e999}',
    "{'score': 1}",
    '{"score": 1} and {"score": 2}',
    '{"inner": {"score": 1}, "cut": "o',
    '{"inner": {"score": 1}, oops}',
    '{' * 100_000,
    '{"score": 1' + '0' * 5000 + '}',
    '{"score": ' + '[' * 100_000 + ']' * 100_000 + '}',
  )
  def test_refuses_what_is_no_object_or_more_than_one(self, text):
    with self.assertRaises(ValueError):
      verdict.Object({'score': verdict.Number(0, 10)})(text)

  def test_true_is_not_one(self):
    schema = verdict.Object({'a': list})
    with self.assertRaises(ValueError):
      schema('{"a": [1]} {"a": [true]}')

  @parameterized.parameters((int, 'true'), (int, '1.0'), (float, 'false'))
  def test_kinds_of_numbers(self, kind, text):
    with self.assertRaisesRegex(ValueError, f'expected {kind.__name__}'):
      verdict.Object({'a': kind})(f'{{"a": {text}}}')

  def test_wish_names_every_field(self):
    self.assertEqual(
      self.schema.wish,
      'a JSON object {"ok": bool, "score": one number from 0 to 10, '
      '"label": one of yes, no, "note": str}',
    )


class Script:
  """Gives the replies it was given, keeps what it was asked."""

  def __init__(self, *rounds):
    self.rounds, self.asked = list(rounds), []

  def __call__(self, prompts):
    self.asked.append(list(prompts))
    return self.rounds.pop(0)


class JudgeTest(parameterized.TestCase):
  def test_values_failures_and_counts(self):
    lost = reply.Failure('HTTP 500', 4, 500)
    ask = Script(['yes', 'perhaps', lost, 'No.'])
    with self.assertLogs(level='WARNING') as logs:
      verdicts = judge.Judge(ask, YES_NO)(['a', 'b', 'c', 'd'])
    self.assertEqual(ask.asked, [['a', 'b', 'c', 'd']])
    self.assertEqual(verdicts.values, ['yes', None, None, 'no'])
    self.assertEqual(list(verdicts.failures), [1, 2])
    self.assertEqual((verdicts.unparsed, verdicts.unanswered), (1, 1))
    self.assertEqual(verdicts[1].raw, 'perhaps')
    self.assertIn("one of yes, no, came 'perhaps'", verdicts[1].reason)
    self.assertEqual(verdicts[2], (None, 'HTTP 500', None, 1))
    self.assertIn('1 cannot be read and 1 never came', logs.output[0])

  def test_rate_needs_to_be_told_of_failures(self):
    said = ['yes', 'hm', reply.Failure('gone'), 'yes', 'no']
    verdicts = judge.Judge(Script(said), YES_NO)(['p'] * 5)
    rate = functools.partial(verdicts.rate, lambda value: value == 'yes')
    with self.assertRaisesRegex(ValueError, '1 of 5 .* 1 never came .*drop'):
      rate()
    self.assertAlmostEqual(rate(failures='drop'), 2 / 3)
    self.assertAlmostEqual(rate(failures=0), 2 / 5)
    self.assertAlmostEqual(rate(failures=1.0), 4 / 5)
    with self.assertRaisesRegex(ValueError, "got 'zero'"):
      rate(failures='zero')

  def test_rate_of_whole_verdicts(self):
    verdicts = judge.Judge(Script(['1', '4']), verdict.Number(0, 5))(['a', 'b'])
    self.assertEqual(verdicts.rate(float), 2.5)

  @parameterized.parameters('refuse', 'drop', 0.0)
  def test_no_rate_of_nothing(self, failures):
    verdicts = judge.Judge(Script(), YES_NO)([])
    with self.assertRaisesRegex(ValueError, 'no verdict to average'):
      verdicts.rate(bool, failures=failures)

  def test_all_dropped_is_no_rate(self):
    verdicts = judge.Judge(Script(['hm']), YES_NO)(['p'])
    with self.assertRaisesRegex(ValueError, 'no verdict to average, of 1'):
      verdicts.rate(bool, failures='drop')

  def test_asks_again_only_what_could_not_be_read(self):
    lost = reply.Failure('gone')
    ask = Script(['yes', 'hm', lost, 'er'], ['no', 'uh'], ['oh'])
    verdicts = judge.Judge(ask, YES_NO, attempts=3)(['a', 'b', 'c', 'd'])
    self.assertEqual(verdicts.values, ['yes', 'no', None, None])
    self.assertEqual([v.attempts for v in verdicts], [1, 2, 1, 3])
    self.assertEqual(verdicts[3].raw, 'oh')
    self.assertEqual(verdicts.unparsed, 1)
    second, third = ask.asked[1:]
    self.assertLen(second, 2)
    self.assertTrue(second[1].startswith('d\n\ner\n\nThat could not be read'))
    self.assertIn('Reply with one of yes, no and nothing else', second[1])
    self.assertLen(third, 1)
    self.assertTrue(third[0].startswith(second[1]))
    self.assertLess(len(second[1]), len(third[0]))

  def test_lost_at_the_second_time_is_unanswered(self):
    ask = Script(['hm'], [reply.Failure('gone')])
    (found,) = judge.Judge(ask, YES_NO, attempts=3)(['a'])
    self.assertEqual(found, (None, 'gone', None, 2))

  def test_messages_grow_and_are_not_changed(self):
    messages = [{'role': 'user', 'content': 'q'}]
    ask = Script(['hm'], ['yes'])
    judge.Judge(ask, YES_NO, attempts=2)([messages])
    self.assertLen(messages, 1)
    self.assertEqual(
      [m['role'] for m in ask.asked[1][0]], ['user', 'assistant', 'user']
    )

  def test_a_function_that_loses_replies_is_an_error(self):
    with self.assertRaisesRegex(ValueError, '2, got 1'):
      judge.Judge(Script(['yes']), YES_NO)(['a', 'b'])
    with self.assertRaisesRegex(TypeError, 'NoneType'):
      judge.Judge(Script([None]), YES_NO)(['a'])

  def test_attempts_begin_at_one(self):
    with self.assertRaisesRegex(ValueError, 'attempts must be at least 1'):
      judge.Judge(Script(), YES_NO, attempts=0)


class OverHttpTest(absltest.TestCase):
  def test_asking_again_goes_past_the_cache(self):
    def answer(handler, body, number):
      if len(body['messages']) > 1 or 'could not' in str(body['messages']):
        return handler.say(endpoint_support.chat('{"score": 4}'))
      handler.say(endpoint_support.chat('a four, I think'))

    schema = verdict.Object({'score': verdict.Number(0, 5, whole=True)})
    cache = self.enter_context(tempfile.TemporaryDirectory())
    with endpoint_support.Server(answer) as server:
      client = endpoint.Endpoint(server.url, 'm', cache_dir=cache)
      ask = functools.partial(client.ask, temperature=0.0)
      for _ in range(2):  # the second time all comes from the cache
        verdicts = judge.Judge(ask, schema, attempts=2)(['a', 'b'])
        self.assertEqual(verdicts.values, [{'score': 4}] * 2)
      self.assertLen(server.bodies, 4)


if __name__ == '__main__':
  absltest.main()
