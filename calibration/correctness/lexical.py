"""Correctness from shared words: ROUGE, SQuAD's F1, alias containment.

Functions 1 to 3 of section 2.2 of docs/papers/uq_length_bias.md, and `alias`,
which is ours. They run on the host, with the package `rouge_score` (the extra
`calibration`). Its tokens are runs of ASCII letters and digits in lower case:
an answer in another script has none, and scores 0. Stemming is off; the paper
does not state it.

Shapes: N answers.
"""

import collections
import re
import string
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from rouge_score import rouge_scorer, scoring

from calibration.correctness import near
from calibration.correctness import references as references_lib
from corpora.questions import grading

_ROUGE = rouge_scorer.RougeScorer(['rouge1', 'rougeL'])
_NO_PUNCTUATION = str.maketrans('', '', string.punctuation)
_ARTICLES = re.compile(r'\b(?:a|an|the)\b')


def _rouge(kind: str, answer: str, reference: str) -> scoring.Score:
  return _ROUGE.score(reference, answer)[kind]


def rouge1_f1(answer: str, reference: str) -> float:
  """F1 of words, order ignored; in [0, 1]."""
  return float(_rouge('rouge1', answer, reference).fmeasure)


def rougel_f1(answer: str, reference: str) -> float:
  """F1 of the longest common subsequence of words; in [0, 1]."""
  return float(_rouge('rougeL', answer, reference).fmeasure)


def rougel_recall(answer: str, reference: str) -> float:
  """Share of the reference in the longest common subsequence; in [0, 1]."""
  return float(_rouge('rougeL', answer, reference).recall)


def _squad_words(text: str) -> list[str]:
  """The words that SQuAD's own script compares.

  `grading.normalise` also drops accents and reads numbers.
  """
  plain = text.lower().translate(_NO_PUNCTUATION)
  return _ARTICLES.sub(' ', plain).split()


def squad_f1(answer: str, reference: str) -> float:
  """F1 of bags of normalised words, in [0, 1]; 0 if no word is shared."""
  ours = collections.Counter(_squad_words(answer))
  theirs = collections.Counter(_squad_words(reference))
  shared = (ours & theirs).total()
  return 2 * shared / (ours.total() + theirs.total()) if shared else 0.0


def alias(answer: str, reference: str) -> float:
  """1 where a sentence says the reference, else 0; see `grading.says`.

  A reference that is a number is compared with the final number of the answer;
  any other must stand in it as whole words. It is a stand-in for a strong judge
  where references are short facts, and takes "not Paris" for Paris.
  """
  return float(grading.says(answer, [reference]))


# Functions of an answer and one reference; `scores` keeps the best reference.
FUNCTIONS: Mapping[str, Callable[[str, str], float]] = {
  'rouge1_f1': rouge1_f1,
  'rougel_f1': rougel_f1,
  'rougel_recall': rougel_recall,
  'squad_f1': squad_f1,
  'alias': alias,
}


def scores(
  name: str,
  answers: Sequence[str],
  references: Sequence[Sequence[str]],
  questions: Sequence[str] | None = None,
) -> np.ndarray:
  """A function's value on every answer, at the best of its references.

  Args:
    name: a key of `FUNCTIONS`.
    answers: an empty one scores 0.
    references: every accepted answer to each question.
    questions: what was asked, of use to `alias` alone: a number that the
      question names is not the sentence's result if it states another one.

  Returns:
    [N] in [0, 1], float64.

  Raises:
    ValueError: no function has that name, an answer has no reference, or
      questions and answers differ in number.
  """
  if name not in FUNCTIONS:
    raise ValueError(
      f'correctness must be one of {", ".join(FUNCTIONS)}, got {name!r}'
      + near.hint(name, FUNCTIONS)
    )
  references_lib.check(answers, references)
  questions = [''] * len(answers) if questions is None else questions
  if len(questions) != len(answers):
    raise ValueError(
      f'an answer needs its question, got {len(questions)} questions and '
      f'{len(answers)} answers'
    )
  rows = zip(answers, references, questions, strict=True)
  if name == 'alias':
    # All references together show whether a number is asked for.
    values = [grading.says(a, refs, question=q) for a, refs, q in rows]
  else:
    function = FUNCTIONS[name]
    values = [max(function(a, ref) for ref in refs) for a, refs, _ in rows]
  return np.array(values, np.float64)
