"""Correctness from shared words: ROUGE, SQuAD's F1, alias containment.

Functions 1 to 3 of section 2.2 of docs/papers/uq_length_bias.md, and one that
is ours. On the host, with the package `rouge_score` (the extra `calibration`),
whose tokens are runs of ASCII letters and digits in lower case: an answer in
another script has none, and scores 0. Stemming is off; the paper does not say.

Shapes: N answers.
"""

import collections
import re
import string
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from rouge_score import rouge_scorer, scoring

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
  """As SQuAD's own script has it.

  `grading.normalise` goes further, and drops accents.
  """
  plain = text.lower().translate(_NO_PUNCTUATION)
  return _ARTICLES.sub(' ', plain).split()


def squad_f1(answer: str, reference: str) -> float:
  """F1 of bags of normalised words; in [0, 1]. 0 where nothing is shared."""
  ours = collections.Counter(_squad_words(answer))
  theirs = collections.Counter(_squad_words(reference))
  shared = (ours & theirs).total()
  return 2 * shared / (ours.total() + theirs.total()) if shared else 0.0


def alias(answer: str, reference: str) -> float:
  """1 where the normalised reference stands in the answer as whole words.

  Gold containment with aliases: a stand-in for a strong judge where references
  are short facts. It takes "not Paris" for Paris.
  """
  return float(grading.contains(answer, [reference]))


# Of an answer and one reference.
FUNCTIONS: Mapping[str, Callable[[str, str], float]] = {
  'rouge1_f1': rouge1_f1,
  'rougel_f1': rougel_f1,
  'rougel_recall': rougel_recall,
  'squad_f1': squad_f1,
  'alias': alias,
}


def check(answers: Sequence[str], references: Sequence[Sequence[str]]) -> None:
  """Raises unless every answer has a list of one reference or more.

  Raises:
    ValueError: which has not.
  """
  if len(answers) != len(references):
    raise ValueError(
      f'an answer needs a list of references, got {len(answers)} answers and '
      f'{len(references)} lists'
    )
  for number, accepted in enumerate(references):
    if isinstance(accepted, str) or not any(map(str.strip, accepted)):
      raise ValueError(
        f'references of answer {number} must be a list with some text, got '
        f'{accepted!r}'
      )


def scores(
  name: str, answers: Sequence[str], references: Sequence[Sequence[str]]
) -> np.ndarray:
  """A function's value on every answer, at the best of its references.

  Args:
    name: a key of `FUNCTIONS`.
    answers: may be empty, which scores 0.
    references: every accepted one of each answer.

  Returns:
    [N] in [0, 1], float64.

  Raises:
    ValueError: no function of that name, or an answer without a reference.
  """
  if name not in FUNCTIONS:
    raise ValueError(
      f'correctness must be one of {", ".join(FUNCTIONS)}, got {name!r}'
    )
  check(answers, references)
  function = FUNCTIONS[name]
  return np.array(
    [
      max(function(answer, reference) for reference in accepted)
      for answer, accepted in zip(answers, references, strict=True)
    ],
    np.float64,
  )
