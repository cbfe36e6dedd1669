"""What could tell right answers from wrong ones without any activations.

Section 7 of docs/papers/probes.md names the confounds: the difficulty that can
be read from the text alone, and the length of the answer. A probe that does
not beat these has found nothing inside the model. On the host, with
scikit-learn (the extra `probes`).

Shapes: N answers of one task.
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from sklearn import (
  feature_extraction,
  linear_model,
  model_selection,
  pipeline,
)

from engine.stats import auroc

# One-letter words too: digits are what an arithmetic question is made of.
_WORD = r'(?u)\b\w+\b'


class Lengths(NamedTuple):
  """Cross-validated AUROC of the answer's length.

  Attributes:
    characters: of its length in characters.
    tokens: of its length in tokens.
  """

  characters: float
  tokens: float


def _cross_validated(
  name: str,
  inputs: np.ndarray,
  labels: np.ndarray,
  score: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
  groups,
  folds: int,
  seed: int,
) -> float:
  """Mean over folds of the AUROC of score(train inputs, labels, test inputs).

  Not of all folds' scores together, which are of different models.
  """
  auroc.check_labels(name, labels)
  labels = np.asarray(labels, int)
  if len(inputs) != len(labels):
    raise ValueError(
      f'task {name!r}: one label an answer is needed, got {len(inputs)} '
      f'inputs and {len(labels)} labels'
    )
  rarest = np.bincount(labels).min()
  if not 2 <= folds <= rarest:
    raise ValueError(
      f'task {name!r}: folds must lie between 2 and the size of the smaller '
      f'class, {rarest}; got folds={folds}'
    )
  if groups is None:
    split = model_selection.StratifiedKFold
  else:
    split = model_selection.StratifiedGroupKFold
    if len(groups) != len(labels):
      raise ValueError(
        f'task {name!r}: one group an answer is needed, got {len(groups)} '
        f'groups and {len(labels)} labels'
      )
    if len(set(groups)) < folds:
      raise ValueError(
        f'task {name!r}: at least folds={folds} groups are needed, got '
        f'{len(set(groups))}'
      )
  parts = split(folds, shuffle=True, random_state=seed).split(
    inputs, labels, groups
  )
  areas = []
  for train, test in parts:
    if len(set(labels[train])) < 2 or len(set(labels[test])) < 2:
      raise ValueError(
        f'task {name!r}: a fold has one class only, for its groups are large; '
        f'lower folds={folds}'
      )
    scores = score(inputs[train], labels[train], inputs[test])
    areas.append(auroc.auroc(np.asarray(scores), labels[test]))
  return float(np.mean(areas))


def text_auroc(
  name: str,
  texts: Sequence[str],
  labels,
  *,
  groups: Sequence | None = None,
  folds: int = 5,
  strength: float = 1.0,
  seed: int = 0,
) -> float:
  """Cross-validated AUROC of TF-IDF and a logistic fit, from text alone.

  Words and word pairs; the vocabulary is of the training folds.

  Args:
    name: of the task, for messages.
    texts: questions, or answers.
    labels: 0 or 1.
    groups: one a text, kept in one fold: question ids, where a question has
      several answers. Else its text would be in training and in test.
    folds: of the cross-validation.
    strength: C of scikit-learn, the inverse of the penalty.
    seed: of the folds.

  Raises:
    ValueError: naming the task, if it has one class, few samples or no words.
  """
  if not any(re.search(_WORD, text) for text in texts):
    raise ValueError(
      f'task {name!r}: texts with words are needed, got {len(texts)} without'
    )

  def score(train, labels, test):
    model = pipeline.make_pipeline(
      feature_extraction.text.TfidfVectorizer(
        token_pattern=_WORD, ngram_range=(1, 2)
      ),
      linear_model.LogisticRegression(C=strength, max_iter=1000),
    )
    return model.fit(train, labels).decision_function(test)

  texts = np.array(texts, object)
  return _cross_validated(name, texts, labels, score, groups, folds, seed)


def length_auroc(
  name: str,
  lengths,
  labels,
  *,
  groups: Sequence | None = None,
  folds: int = 5,
  seed: int = 0,
) -> float:
  """Cross-validated AUROC of one number an answer, such as its length.

  Whether long or short ones are right is learned on the training folds, so a
  length that says nothing has about 0.5, not less and not more. Arguments and
  errors as for `text_auroc`.
  """

  def score(train, labels, test):
    longer = auroc.auroc(train, labels) >= 0.5
    return test if longer else -test

  lengths = np.asarray(lengths, np.float64)
  return _cross_validated(name, lengths, labels, score, groups, folds, seed)


def answer_lengths(
  name: str,
  answers: Sequence[str],
  tokens: Sequence[int],
  labels,
  *,
  groups: Sequence | None = None,
  folds: int = 5,
  seed: int = 0,
) -> Lengths:
  """`length_auroc` of the answers' characters and of their `tokens`."""

  def area(lengths):
    return length_auroc(
      name, lengths, labels, groups=groups, folds=folds, seed=seed
    )

  characters = [len(answer) for answer in answers]
  return Lengths(characters=area(characters), tokens=area(tokens))
