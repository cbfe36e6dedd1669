"""How a question is put: three styles, as text or as a conversation.

`concise` asks for the answer alone, `sentence` for one full sentence, `cot` for
a few steps and then the answer. The wordings of the paper are not known; these
are ours. Text shows worked examples, which a base model needs; a conversation
says in words what is wanted and shows the same examples as earlier turns.
Every answer is one line.
"""

from collections.abc import Mapping, Sequence

from corpora.questions import generated, sets
from corpora.questions.question import Question

STYLES = ('concise', 'sentence', 'cot')
FORMS = ('text', 'chat')

# What `cot` examples say before their answer.
MARK = 'The answer is'

_WISHES = {
  'concise': 'Answer with as few words as possible.',
  'sentence': 'Answer in one brief but complete sentence.',
  'cot': (
    'Think in a few short sentences, on one line, and end it with '
    f'"{MARK}" and the answer.'
  ),
}

# Of each kind of question: (question, answer, sentence, steps). What they are
# about is never asked (`shown`).
_SHOTS: Mapping[str, Sequence[tuple[str, str, str, str]]] = {
  'world': (
    (
      'What is the capital of Peru?',
      'Lima',
      'The capital of Peru is Lima.',
      'Peru lies on the Pacific coast. Its government sits in Lima.',
    ),
    (
      'Name the continent of Kenya.',
      'Africa',
      'Kenya is in Africa.',
      'Kenya borders Tanzania and Uganda. These are African countries.',
    ),
    (
      'Which money is used in Japan?',
      'yen',
      'People in Japan pay with the yen.',
      'Japan has a central bank of its own. It issues the yen.',
    ),
    (
      'Vienna is the capital of which country?',
      'Austria',
      'Vienna is the capital of Austria.',
      'Vienna lies on the Danube. German is spoken there.',
    ),
  ),
  'numbers': (
    (
      'What is 3 plus 5?',
      '8',
      '3 plus 5 is 8.',
      'Start at 3 and count 5 up: 4, 5, 6, 7, 8.',
    ),
    (
      'What is 9 minus 7?',
      '2',
      '9 minus 7 is 2.',
      'From 7 to 9 it is 2 steps.',
    ),
    (
      'What is the product of 4 and 6?',
      '24',
      'The product of 4 and 6 is 24.',
      '4 and 4 is 8, and 3 times 8 is 24.',
    ),
    (
      'How much is 38 and 25 together?',
      '63',
      '38 and 25 together are 63.',
      '30 and 20 is 50. 8 and 5 is 13. 50 and 13 is 63.',
    ),
  ),
  'open': (
    (
      'who wrote the play romeo and juliet',
      'William Shakespeare',
      'Romeo and Juliet was written by William Shakespeare.',
      'The play is from the 1590s. Its author worked at the Globe in London.',
    ),
    (
      'what is the largest planet in our solar system',
      'Jupiter',
      'The largest planet in our solar system is Jupiter.',
      'The giant planets are the largest. Jupiter is the first of them.',
    ),
    (
      'when did the second world war end',
      '1945',
      'The Second World War ended in 1945.',
      'Germany surrendered in May 1945. Japan followed in September.',
    ),
    (
      'where does the amazon river reach the sea',
      'Brazil',
      'The Amazon reaches the sea in Brazil.',
      'It flows east through South America. Its mouth is on the Atlantic.',
    ),
  ),
}
# Countries by code, pairs of numbers as their tasks name them.
_SHOWN = frozenset(
  ('PE', 'KE', 'JP', 'AT', '3+5', '7+9', '4+6', '25+38'),
)
_NUMBERS = ('asdiv', 'gsm8k', *(f'graded/{name}' for name in generated.NUMERIC))


def kind(question: Question) -> str:
  """'world', 'numbers' or 'open': whose examples are shown before it."""
  if question.source.startswith('world_facts/'):
    return 'world'
  if question.source.startswith(f'{sets.OWN}/') and sets.numeric([question]):
    return 'numbers'
  return 'numbers' if question.source.startswith(_NUMBERS) else 'open'


def shown(group: str) -> bool:
  """Whether an example is about that group of questions."""
  return group in _SHOWN


def messages(question: Question, style: str) -> list[dict[str, str]]:
  """A conversation that ends with the question.

  Args:
    question: is asked, after its context and before its options where it has
      any; these are lettered.
    style: one of `STYLES`.

  Raises:
    ValueError: another style.
  """
  if style not in STYLES:
    raise ValueError(f'style must be one of {", ".join(STYLES)}, got {style!r}')
  out = []
  for asked, answer, sentence, steps in _SHOTS[kind(question)]:
    said = {
      'concise': answer,
      'sentence': sentence,
      'cot': f'{steps} {MARK} {answer}.',
    }[style]
    out.append({'role': 'user', 'content': f'{asked}\n{_WISHES[style]}'})
    out.append({'role': 'assistant', 'content': said})
  options = [
    f'{chr(ord("A") + number)}. {choice}'
    for number, choice in enumerate(question.choices)
  ]
  context = [question.context] if question.context else []
  lines = [*context, question.prompt, *options, _WISHES[style]]
  return [*out, {'role': 'user', 'content': '\n'.join(lines)}]


def text(question: Question, style: str) -> str:
  """The same examples as plain text, to go on from 'A:'.

  Args:
    question: see `messages`.
    style: see `messages`.

  Raises:
    ValueError: another style.
  """
  turns = [m['content'] for m in messages(question, style)]
  turns = [turn.removesuffix(f'\n{_WISHES[style]}') for turn in turns]
  lines = [
    f'{"Q" if i % 2 == 0 else "A"}: {turn}' for i, turn in enumerate(turns)
  ]
  pairs = ['\n'.join(lines[i : i + 2]) for i in range(0, len(lines), 2)]
  return '\n\n'.join(pairs) + '\nA:'
