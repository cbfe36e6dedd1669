r"""Numbers and expressions as language models write them."""

import random

from absl.testing import absltest, parameterized

from corpora.questions import latex_grading


class NumberTest(parameterized.TestCase):
  @parameterized.parameters(
    ('72', 72.0),
    (' -3 ', -3.0),
    ('−3', -3.0),
    ('+4', 4.0),
    ('$1,234.50', 1234.5),
    ('\\$5', 5.0),
    ('-$5', -5.0),
    ('1 000 000', 1e6),
    ('50%', 50.0),
    ('.5', 0.5),
    ('007', 7.0),
    ('18.', 18.0),
    ('3/4', 0.75),
    ('-1/8', -0.125),
  )
  def test_reads(self, text, value):
    self.assertEqual(latex_grading.number(text), value)

  @parameterized.parameters(
    '', '-', '.', 'abc', '5 cm', '1/0', '1/2/3', '--5', '1.2.3', 'nan', 'inf',
    '1e5', r'5\6', '٣', '²', '9' * 5000,
  )  # fmt: skip
  def test_reads_no_number(self, text):
    self.assertIsNone(latex_grading.number(text))


class Gsm8kTest(parameterized.TestCase):
  @parameterized.parameters(
    '<reasoning>9 * 2 is 18</reasoning>\n<answer>\n18\n</answer>',
    '<answer>7</answer> no, <answer>$18.00</answer> and 3 more',
    '<answer>9 * 2 = 18 dollars</answer>',
    '<answer>18.0000005</answer>',
    'so 9 * 2 = 18\n#### 18',
    '#### 3\n#### 18 dollars\nor 4',
    'She makes $18.',
    'of 20 she keeps 20-2, which is \\$18.00!',
    '18',
    '18%',
    '<answer>18',  # a tag that does not end is none
    '36/2',
    '<answer>1, 8</answer>',
    '<answer>16 <answer>1 8</answer>',
  )
  def test_right(self, text):
    self.assertTrue(latex_grading.gsm8k_correct(text, '18'))
    self.assertTrue(
      latex_grading.gsm8k_correct(text, '16 - 7 = 9, 9 * 2\n#### 18')
    )

  @parameterized.parameters(
    '',
    'eighteen',
    '18 or 19',
    '-18',
    '<answer>19</answer> 18',
    '<answer></answer> 18',
    '#### 19 or 18',
    '18\n#### ',
    '#### none\n18',
    '18.00001',
    '1, 8',
    '1/18',
  )
  def test_wrong(self, text):
    self.assertFalse(latex_grading.gsm8k_correct(text, '18'))

  @parameterized.parameters(
    ('it was 10-3', 3),
    ('it was (-3)', -3),
    ('x = -3', -3),
    ('minus: -$3', -3),
    ('1,234,567 in all', 1234567),
    ('between 12,3456', 3456),
    ('about 0.25.', 0.25),
    ('about .25', 0.25),
    ('H2O', 2),
    ('1, 2, ...5', 5),
  )
  def test_the_last_number_of_a_text(self, text, value):
    self.assertTrue(latex_grading.gsm8k_correct(text, f'#### {value}'))

  def test_a_target_of_thousands(self):
    self.assertTrue(latex_grading.gsm8k_correct('70000', 'so\n#### 70,000'))

  def test_a_target_without_a_number_is_refused(self):
    with self.assertRaisesRegex(ValueError, "number in the target, came 'no'"):
      latex_grading.gsm8k_correct('5', 'no')


class BoxedTest(parameterized.TestCase):
  @parameterized.parameters(
    (r'so \boxed{5}.', '5'),
    (r'\boxed{\frac{1}{2}} is \frac{2}{4}', r'\frac{1}{2}'),
    (r'\boxed{1}, no: \boxed{2}', '2'),
    (r'\boxed{1}, no: \fbox{2}', '2'),
    (r'\fbox{1}, no: \boxed {2}', '2'),
    (r'\boxed{x = \boxed{3}}', '3'),
    (r'\boxed{\{1, 2\}}', r'\{1, 2\}'),
    (r'\boxed{\left\{ x \right.}', r'\left\{ x \right.'),
    (r'$\boxed 7$ units', '7'),
    (r'\boxed{}', ''),
    (r'\boxed{1} then \boxed{2', None),
    (r'\boxed', None),
    (r'\boxedx{1}', None),
    ('5', None),
  )
  def test_holds(self, text, inside):
    self.assertEqual(latex_grading.boxed(text), inside)


class SameMathsTest(parameterized.TestCase):
  @parameterized.parameters(
    (r'\frac12', r'\dfrac{1}{2}'),
    (r'\frac1{72}', r'\tfrac{1}{72}'),
    (r'\frac{1}2', '1/2'),
    ('1/2', '0.5'),
    (r'\frac{2}{4}', '.50'),
    (r'\frac{-1}{2}', r'-\frac{1}{2}'),
    (r'\frac{1}{-2}', '-.5'),
    (r'1\frac{1}{2}', '1.5'),
    ('1 1/2', '3/2'),
    ('5.', '5'),
    ('5.0', '5'),
    ('-0', '0'),
    ('+5', '5'),
    ('−5', '-5'),
    ('007', '7'),
    (r'$5$', '5'),
    (r'\$5', '5'),
    (r'50\%', '50'),
    ('32,348', '32348'),
    (r'32,\!348', '32348'),
    ('10{,}000', r'10\,000'),
    (r'90^\circ', '90'),
    (r'90\degree', '90'),
    (r'-\frac{-1}{2}', '1/2'),
    (r'90^{\circ}', '90°'),
    (r'5\text{ cm}', '5'),
    (r'5 \mbox{ cm}^2', '5'),
    (r'5\text{ cm$^2$}.', '5'),
    (r'\text{Friday}', 'Friday'),
    (r'\textbf{(A)}', '(A)'),
    ('x = 5', '5'),
    (r'\theta=\pi/2', r'\frac{\pi}{2}'),
    (r'3\pi/4', r'\frac{3\pi}{4}'),
    (r'\left( \frac12, 3 \right)', '(0.5,3)'),
    (r'\sqrt3', r'\sqrt{3}'),
    (r'\sqrt[3]8', r'\sqrt[3]{8}'),
    (r'2\sqrt{3}/3', r'\frac{2\sqrt3}{3}'),
    (r'\frac{\sqrt2}2', r'\frac{\sqrt{2}}{2}'),
    ('x^2 + 1', 'x^{2}+1'),
    ('2516_8', '2516_{8}'),
    (r'\pi r^2', r'\pi  r^{2}'),
    (r'(-\infty, 2]\cup[3, \infty)', r'(-\infty,2] \cup [3,\infty)'),
    (r'\lbrace 1,2 \rbrace', r'\{1,2\}'),
    (r'x \le 3', r'x\leq3'),
    (r'\frac{x}{2}', 'x/2'),
    (r'\frac{1}{0}', '1/0'),
  )
  def test_same(self, a, b):
    self.assertTrue(latex_grading.same_maths(a, b))
    self.assertTrue(latex_grading.same_maths(b, a))

  @parameterized.parameters(
    ('', ''),
    ('$', ''),
    ('5', '-5'),
    ('1/2', '1/3'),
    ('0.33', '1/3'),
    ('11/2', '1 1/2'),
    ('1/2x', r'\frac{1}{2x}'),  # who knows
    ('1/2x', r'\frac{1}{2}x'),
    (r'\pi r', r'\pir'),
    ('(1,2)', '(2,1)'),
    ('(1,2)', '[1,2]'),
    ('(1,234)', '(1234)'),
    ('x+1', '1+x'),
    ('X', 'x'),
    ('2i', '2'),
    (r'3\text{ and }5', '35'),
    (r'x=3\text{ or }x=5', '3'),
    ('x=3, y=5', '3,y=5'),
    (r'\overline{3}45', r'\overline{345}'),
    (r'0.\overline{3}', '0.3'),
    ('x^{12}', 'x^12'),
    (r'\frac{1}{0}', '0'),
    (r'\sqrt{2}', '2'),
    (r'a\leftarrow b', 'ab'),
    (r'2516_{\text{eight}}', '2516'),
    ('9' * 5000, '9' * 5001),
  )
  def test_other(self, a, b):
    self.assertFalse(latex_grading.same_maths(a, b))
    self.assertFalse(latex_grading.same_maths(b, a))

  def test_anything_may_be_written(self):
    parts = [r'\frac', r'\text', r'\sqrt', r'\left', r'\boxed']
    parts += ['<answer>', '</answer>', '####', *'{}[]()120x^_/\\.,$-+=%²٣½ ']
    rng = random.Random(0)
    for _ in range(3000):
      text = ''.join(rng.choices(parts, k=rng.randrange(25)))
      latex_grading.gsm8k_correct(text, '1')
      latex_grading.math_correct(text, '1')
      latex_grading.math_correct(f'\\boxed{{{text}}}', '1')
      self.assertTrue(latex_grading.same_maths(f'{text}1a', f'{text}1a'))


class MathTest(parameterized.TestCase):
  @parameterized.parameters(
    (r'so it is \boxed{\dfrac{1}{2}}.', r'\frac12', True),
    (r'so it is \boxed{0.5}', r'Hence \boxed{\frac{1}{2}}, or \frac24.', True),
    (r'\boxed{3}, \boxed{4}', '4', True),
    (r'\boxed{3}, \boxed{4}', '3', False),
    ('it is 4', '4', False),
    (r'\boxed{}', '4', False),
    (r'\boxed{4', '4', False),
  )
  def test_the_last_box_counts(self, text, target, right):
    self.assertEqual(latex_grading.math_correct(text, target), right)

  @parameterized.parameters('', r'\boxed{}', ' $$ ')
  def test_an_empty_target_is_refused(self, target):
    with self.assertRaisesRegex(ValueError, 'answer in the target'):
      latex_grading.math_correct(r'\boxed{1}', target)


if __name__ == '__main__':
  absltest.main()
