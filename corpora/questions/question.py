"""One question: the record that all question sets are lists of."""

from typing import NamedTuple


class Question(NamedTuple):
  """A question with its accepted answers; no part of it is a prompt yet.

  Attributes:
    id: unique within its source.
    prompt: the question.
    answers: every right answer; among `choices` where there are any.
    choices: the options, in the order they are asked in.
    context: a passage to read first, '' where there is none.
    source: data set and split.
    group: what the question is about; '' where id and context say it, see
      `tasks.group`.
  """

  id: str
  prompt: str
  answers: tuple[str, ...]
  choices: tuple[str, ...] = ()
  context: str = ''
  source: str = ''
  group: str = ''
