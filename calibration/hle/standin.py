"""An open exam of the same schema, for whoever has not the gated one.

Multiple choice from MMLU, short answers from NQ-open, word problems from ASDiv,
and generated reasoning tasks (`reasoning-gym`, the extra `tasks`). It is easier
than Humanity's Last Exam and says nothing of it: what it shows is the protocol
and its figures on answers that a small model sometimes gets right.
"""

import hashlib
import random

from calibration.hle import data
from corpora.questions import sets
from corpora.questions.question import Question

NAME = 'standin'
# Shares of the exam, in the order of its ids.
_SHARES = {'mmlu': 0.3, 'nq_open': 0.25, 'asdiv': 0.25, 'reasoning': 0.2}
_REASONING = (
  'gcd',
  'lcm',
  'letter_counting',
  'number_sequence',
  'basic_arithmetic',
  'calendar_arithmetic',
  'spell_backward',
)


def exam(count: int, *, seed: int = 0) -> data.Exam:
  """The stand-in of `count` questions.

  Args:
    count: at least 4.
    seed: of the choice of questions.

  Raises:
    ValueError: too few.
    ModuleNotFoundError: the extra `tasks` is not installed.
  """
  if count < len(_SHARES):
    raise ValueError(
      f'exam.questions must be at least {len(_SHARES)} of the stand-in, a '
      f'question a source; got {count}'
    )
  sizes = {name: int(share * count) or 1 for name, share in _SHARES.items()}
  sizes['mmlu'] += count - sum(sizes.values())
  items = []
  for name, size in sizes.items():
    if name == 'reasoning':
      items += _reasoning(size, seed)
      continue
    pool = [q for q in sets.load(name) if q.choices or len(q.answers) == 1]
    drawn = random.Random(f'hle/{name}/{seed}').sample(pool, size)
    items += [_item(question, name) for question in drawn]
  digest = hashlib.sha256('\n'.join(sorted(i.id for i in items)).encode())
  return data.Exam(
    items, len(items), 'open stand-in, not the exam', digest.hexdigest(), ''
  )


def _item(question: Question, name: str) -> data.Item:
  lines = [question.context] if question.context else []
  lines.append(question.prompt)
  answer, kind = question.answers[0], 'exactMatch'
  if question.choices:
    letters = [chr(ord('A') + i) for i in range(len(question.choices))]
    lines += [
      f'{letter}. {choice}'
      for letter, choice in zip(letters, question.choices, strict=True)
    ]
    answer, kind = letters[question.choices.index(answer)], 'multipleChoice'
  return data.Item(
    f'{name}-{question.id}', '\n'.join(lines), answer, kind, category=name
  )


def _reasoning(count: int, seed: int) -> list[data.Item]:
  import reasoning_gym  # the extra `tasks`

  out = []
  for number, name in enumerate(_REASONING):
    size = len(range(number, count, len(_REASONING)))
    if not size:
      continue
    made = reasoning_gym.create_dataset(name, size=size, seed=seed)
    out += [
      data.Item(
        f'{name}-{seed}-{i}',
        entry['question'],
        str(entry['answer']),
        'exactMatch',
        category='reasoning',
        subject=name,
      )
      for i, entry in enumerate(made)
    ]
  return out
