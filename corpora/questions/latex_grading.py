r"""Which text answers to mathematical questions are right (section 4.1).

GSM8K asks for a number, MATH for an expression in the last \boxed{}. Two
expressions are the same where their canonical forms are: notation that says the
same thing is rewritten, every number and numeric fraction becomes one reduced
fraction, and what is left is compared letter by letter. Nothing is evaluated,
so that x + 1 and 1 + x differ.
"""

import math
import re
from fractions import Fraction

TOLERANCE = 1e-6
# Python refuses to read integers of thousands of digits; nobody means one.
MOST_DIGITS = 100

# GSM8K.

_DECIMAL = r'(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)'
_PLAIN = re.compile(rf'([-+]?)({_DECIMAL})(?:/([0-9]+))?\.?')
# A minus behind a word or a bracket subtracts; a point there ends a sentence.
_IN_TEXT = re.compile(
  r'(?:(?<![\w)\]}])-)?(?:\\?\$-?)?'
  r'(?:[0-9]+(?:,[0-9]{3}(?![0-9]))*(?:\.[0-9]+)?|(?<![\w.])\.[0-9]+)'
  r'(?:/[0-9]+)?'
)


def number(text: str) -> float | None:
  """The value of a decimal number or a fraction a/b, None where it is neither.

  Spaces, commas, dollar and percent signs are ignored: '$1,234.50' is 1234.5
  and '50%' is 50.
  """
  text = re.sub(r'[\s,]|\\?[$%]', '', text).replace('−', '-')
  match = _PLAIN.fullmatch(text)
  if not match:
    return None
  sign, over, under = match.groups(default='1')
  if float(under) == 0.0:
    return None
  value = float(over) / float(under)
  if not math.isfinite(value):
    return None
  return -value if sign == '-' else value


def _numbers(text: str) -> list[float | None]:
  """Every number in a text; [None] where there is none."""
  found = [number(m[0]) for m in _IN_TEXT.finditer(text.replace('−', '-'))]
  return [value for value in found if value is not None] or [None]


def _gsm8k(text: str) -> float | None:
  """The number that a text gives as its answer.

  What is in the last <answer>...</answer> where there is one, else the line
  behind the last '####', else the last number of the text. Among words the
  last number of the tag counts, and the first of the line.
  """
  end = text.rfind('</answer>')
  begin = text.rfind('<answer>', 0, max(end, 0))
  if begin >= 0:
    stated, which = text[begin + len('<answer>') : end], -1
  elif '####' in text:
    line = text.rpartition('####')[2].strip().partition('\n')[0]
    stated, which = line, 0
  else:
    return _numbers(text)[-1]
  whole = number(stated)
  return _numbers(stated)[which] if whole is None else whole


def gsm8k_correct(text: str, target: str) -> bool:
  """Whether a text ends in the right number, within 1e-6.

  Args:
    text: what was written, anything.
    target: a number, or a worked solution with it behind '####'.

  Raises:
    ValueError: no number in the target.
  """
  wanted = _gsm8k(target)
  if wanted is None:
    raise ValueError(f'expected a number in the target, came {target!r}')
  given = _gsm8k(text)
  return given is not None and abs(given - wanted) <= TOLERANCE


# MATH.


def boxed(text: str) -> str | None:
  r"""What the last \boxed{...} or \fbox{...} holds, braces balanced.

  '\boxed 5' without braces holds what follows up to a space or '$'. None where
  there is no box, or the last one does not end.
  """
  begins = [m.end() for m in re.finditer(r'\\(?:boxed|fbox)(?![A-Za-z])', text)]
  if not begins:
    return None
  rest = text[begins[-1] :].lstrip()
  if not rest.startswith('{'):
    return re.match(r'[^\s$]*', rest)[0] or None
  depth = 0
  for match in re.finditer(r'\\.|[{}]', rest, re.DOTALL):
    depth += {'{': 1, '}': -1}.get(match[0], 0)
    if depth == 0:
      return rest[1 : match.start()]
  return None


# Spacing, sizes, and the signs of dollars, per cent and degrees.
_DROPPED = re.compile(
  r'\\(?:[!,;: $%]|q?quad|displaystyle|limits|left|right|[bB]igg?[lr]?|degree)'
  r'|[$%~°]'
)
_SYNONYMS = {
  r'\frac': (r'\dfrac', r'\tfrac', r'\cfrac'),
  r'\text': (r'\mbox', r'\hbox', r'\textrm', r'\textnormal', r'\textbf'),
  r'\mathrm': (r'\mathbf', r'\operatorname'),
  r'\leq': (r'\le', '≤'),
  r'\geq': (r'\ge', '≥'),
  r'\neq': (r'\ne', '≠'),
  r'\pi': ('π',),
  r'\infty': ('∞',),
  r'\{': (r'\lbrace',),
  r'\}': (r'\rbrace',),
  '-': ('−',),
}
_RENAMED = {
  other: name for name, others in _SYNONYMS.items() for other in others
}
# How many arguments follow, each a single token or a group.
_ARGUMENTS = {r'\frac': 2, r'\sqrt': 1, '^': 1, '_': 1}
_GROUP = r'\{((?:[^{}]|\{[^{}]*\})*)\}'


def _tokens(text: str) -> list[str]:
  """Commands, escaped characters and single characters; no spaces."""
  text = text.replace('{,}', ',')
  # '1 1/2', before its space goes.
  text = re.sub(r'(?<=[0-9])\s+([0-9]+)/([0-9]+)', r'\\frac{\1}{\2}', text)
  tokens = re.findall(r'\\[A-Za-z]+|\\.|[^\s\\]', text, re.DOTALL)
  tokens = [_RENAMED.get(t, t) for t in tokens if not _DROPPED.fullmatch(t)]
  while tokens and tokens[-1] in '.,':
    tokens.pop()
  letter = tokens[:1] and re.fullmatch(r'\\?[A-Za-z]+', tokens[0])
  if letter and tokens.count('=') == 1 and tokens[1] == '=':
    tokens = tokens[2:]  # x = 5
  return tokens


def _braced(tokens: list[str]) -> str:
  """Braces around every argument: 'x^2' is 'x^{2}'."""
  made, stack, missing, optional = [], [], 0, False
  for token in tokens:
    before = made[-1] if made else ''
    if optional or (token == '[' and before == r'\sqrt'):
      optional = token != ']'  # the 3 of \sqrt[3]{x}
      made.append(token)
    elif token == '{':
      stack.append(max(missing - 1, 0))
      missing = 0
      made.append(token)
    elif token == '}':
      missing = stack.pop() if stack else 0
      made.append(token)
    elif missing:
      missing -= 1
      made += ['{', token, '}']
    else:
      missing = _ARGUMENTS.get(token, 0)
      if token[0].isalpha() and re.fullmatch(r'\\[A-Za-z]+', before):
        made.append(' ')
      made.append(token)
  return ''.join(made)


# a/b where a and b are a number, a name, or a number times a name (a only),
# and nothing that could belong to them touches them.
_NAME = r'(?:\\sqrt\{[^{}]*\}|[A-Za-z]|\\[A-Za-z]+)'
_SLASH = re.compile(
  rf'(?<![\w)\]}}\\/.!^])((?:{_DECIMAL}){_NAME}?|{_NAME})'
  rf'/((?:{_DECIMAL})|{_NAME})(?![\w(\[{{\\/.!^])'
)
# A mixed number, a fraction, a decimal number.
_SIGNED = rf'(-?{_DECIMAL})'
_VALUE = re.compile(
  rf'([0-9]+)\\frac\{{([0-9]+)\}}\{{([0-9]+)\}}'
  rf'|\\frac\{{{_SIGNED}\}}\{{{_SIGNED}\}}'
  rf'|({_DECIMAL})'
)


def _reduced(match: re.Match) -> str:
  """One reduced fraction, its sign before it; what has no value stays."""
  whole, a, b, over, under, plain = match.groups()
  if len(match[0]) > MOST_DIGITS:
    return f'<{match[0]}>'
  below = Fraction(b or under or 1)
  if below == 0:
    return match[0]
  value = Fraction(whole or 0) + Fraction(a or over or plain) / below
  return ('-' if value < 0 else '') + f'<{abs(value)}>'


def _canonical(text: str) -> str:
  """The form in which two expressions that say the same are equal."""
  text = _braced(_tokens(text))
  text = text.replace(r'^{\circ}', '')
  # A unit behind the answer goes, other words stay.
  text = re.sub(rf'(?<=[^_^{{])\\text{_GROUP}(?:\^{_GROUP})?$', '', text)
  text = re.sub(rf'\\(?:text|mathrm){_GROUP}', r'\1', text)
  text = _SLASH.sub(r'\\frac{\1}{\2}', text)
  if re.fullmatch(r'[-+]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?', text):
    text = text.replace(',', '')
  text = _VALUE.sub(_reduced, text)
  text = re.sub(r'^(\+|--)', '', text)
  return '<0>' if text == '-<0>' else text


def same_maths(a: str, b: str) -> bool:
  """Whether two LaTeX answers say the same; an empty one says nothing."""
  one = _canonical(a)
  return one != '' and one == _canonical(b)


def math_correct(text: str, target: str) -> bool:
  r"""Whether the last box of a text holds the right answer.

  Args:
    text: what was written, anything.
    target: a solution with a box, or what is in it.

  Raises:
    ValueError: nothing in the target.
  """
  wanted = boxed(target)
  wanted = target if wanted is None else wanted
  if not _canonical(wanted):
    raise ValueError(f'expected an answer in the target, came {target!r}')
  given = boxed(text)
  return given is not None and same_maths(given, wanted)
