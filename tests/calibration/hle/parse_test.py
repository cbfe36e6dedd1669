"""What models and judges write, by hand."""

from absl.testing import absltest, parameterized

from calibration.hle import parse


class ResponseTest(parameterized.TestCase):
  @parameterized.parameters(
    ('Confidence: 85%', 85.0, ''),
    ('**Confidence:** 85%', 85.0, ''),
    ('Confidence: ~85', 85.0, ''),
    ('Confidence: 0.85', 85.0, 'fraction'),
    ('Confidence: 87.5%', 87.5, ''),
    ('Confidence: 250', 100.0, 'clamped'),
    ('I am sure.', 100.0, 'missing'),
    ('Confidence: 10%\nConfidence: 20%', 20.0, ''),
    ('', 100.0, 'missing'),
    ('Confidence (0-100%): 85', 85.0, ''),
    ('Confidence Level: about **85%**', 85.0, ''),
    ('Confidence = 85 %', 85.0, ''),
    ('Confidence: -3', 0.0, 'clamped'),
    ('Confidence: 1e9', 100.0, 'clamped'),
    ('Confidence: high', 100.0, 'missing'),
  )
  def test_confidence(self, text, value, flag):
    found = parse.confidence(text)
    self.assertAlmostEqual(found.value, value)
    self.assertEqual(found.flag, flag)

  @parameterized.parameters(
    ('Answer: B', 'B'),
    ('Exact Answer: 12 km', '12 km'),
    ('**Answer:** *Lima*', 'Lima'),
    ('Answer: A\nno\nAnswer: B', 'B'),
    ('It is B.', None),
    ('Final Answer: B', 'B'),
    ('## Answer:\nB. Lima\nConfidence: 9%', 'B. Lima'),
    ('Answer:\nConfidence: 50%', None),
    ('_' * 5000 + '\n' * 5000, None),
    ('Answer:', None),
  )
  def test_answer(self, text, want):
    self.assertEqual(parse.answer(text), want)


class JudgementTest(parameterized.TestCase):
  @parameterized.parameters(
    ('**Judgement**: yes', True),
    ('{"correct": "false"}', False),
    ('INCORRECT', False),
    ('Yes, I checked: the answer is wrong ... no', False),
    ('{"confidence": 3}', None),
    ('{"correct": "yes"', None),
    ('```json\n{"correct": "yes", "confidence": 70}\n```', True),
    ('', None),
    ('{"correct": "maybe"}', None),
    ('{"correct": "yes", "confidence": NaN}', None),
    ('The correct answer is 4.', None),
    ('Correct.', True),
    ('{"correct": "not correct"}', None),
    ('{"correct": "no"} or rather {"correct": "yes"}', True),
    ('{not JSON} {"correct": "yes"}', True),
  )
  def test_verdict(self, text, want):
    self.assertEqual(parse.judgement(text).correct, want)

  @parameterized.parameters(
    ('70', 70.0),
    ('"70%"', 70.0),
    ('1000', 100.0),
    ('null', 100.0),
    ('true', 100.0),
  )
  def test_confidence_of_the_judge(self, value, want):
    found = parse.judgement(f'{{"correct": "no", "confidence": {value}}}')
    self.assertEqual((found.correct, found.confidence), (False, want))


if __name__ == '__main__':
  absltest.main()
