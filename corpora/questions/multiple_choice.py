"""Which option a model finds likeliest, each read in full after the question.

By log p(option | question), and by the same over the bytes of the option: the
sum alone favours short options, and bytes are the same for every tokenizer.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from corpora.questions import question as questions_lib
from lm import transformer
from lm.decoding import scoring


class Accuracy(NamedTuple):
  """Shares of questions right [0, 1], and what guessing would give."""

  plain: float
  normalised: float
  chance: float
  questions: int


def prompt_of(question: questions_lib.Question) -> str:
  """The text that every option follows, each with a space before it."""
  context = f'{question.context}\n' if question.context else ''
  return f'{context}Question: {question.prompt}\nAnswer:'


def likelihoods(
  config: transformer.TransformerConfig,
  params,
  encode: Callable[[str], list[int]],
  questions: Sequence[questions_lib.Question],
  *,
  batch: int = 16,
) -> list[np.ndarray]:
  """log p(option | prompt) in nats, [options] for each question.

  Args:
    config: of the model.
    params: of the model.
    encode: text to ids; nothing is put around them.
    questions: with choices.
    batch: questions in one pass.
  """
  scores = scoring.score(
    config,
    params,
    [encode(prompt_of(question)) for question in questions],
    [[encode(f' {c}') for c in question.choices] for question in questions],
    batch=batch,
  )
  return [np.array([score.total for score in row]) for row in scores]


def accuracy(
  questions: Sequence[questions_lib.Question],
  scores: Sequence[np.ndarray],
) -> Accuracy:
  """How often the likeliest option is an answer; ties go to the first.

  Args:
    questions: at least one.
    scores: as `likelihoods` gives them.
  """
  plain, normalised, chance = [], [], []
  for question, score in zip(questions, scores, strict=True):
    right = np.array([c in question.answers for c in question.choices])
    size = np.array([len(c.encode('utf-8')) for c in question.choices])
    plain.append(right[np.argmax(score)])
    normalised.append(right[np.argmax(score / size)])
    chance.append(right.mean())
  return Accuracy(
    plain=float(np.mean(plain)),
    normalised=float(np.mean(normalised)),
    chance=float(np.mean(chance)),
    questions=len(questions),
  )
