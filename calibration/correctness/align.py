"""AlignScore as a plug-in: nothing here stands in for it.

Function 6 of section 2.2 of docs/papers/uq_length_bias.md (Zha et al., 2023,
arXiv 2305.16739): a trained RoBERTa that says how far a context supports a
claim. Its authors' package is not on a registry and its checkpoint is theirs
to give, so both come from the user.
"""

import importlib
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from calibration.correctness import lexical

_SOURCE = 'github.com/yuh-zha/AlignScore'


class Scorer(Protocol):
  """What the authors' class offers; any other of this form will do."""

  def score(
    self, *, contexts: Sequence[str], claims: Sequence[str]
  ) -> Sequence[float]: ...


def load(
  checkpoint: str,
  *,
  model: str = 'roberta-large',
  device: str = 'cpu',
  batch: int = 32,
) -> Scorer:
  """The authors' scorer, in the mode of their paper (`nli_sp`).

  Args:
    checkpoint: their file. PyTorch's format can run code: only from them.
    model: the RoBERTa it belongs to.
    device: in PyTorch's words.
    batch: pairs at a time.

  Raises:
    ValueError: the package is not installed.
  """
  try:
    package = importlib.import_module('alignscore')
  except ModuleNotFoundError as error:
    raise ValueError(
      f'AlignScore needs the package {error.name!r}, which is not installed; '
      f'install alignscore from {_SOURCE} or leave align_score out of the '
      'correctness functions'
    ) from error
  return package.AlignScore(
    model=model,
    batch_size=batch,
    device=device,
    ckpt_path=checkpoint,
    evaluation_mode='nli_sp',
  )


def scores(
  scorer: Scorer,
  answers: Sequence[str],
  references: Sequence[Sequence[str]],
) -> np.ndarray:
  """How far a reference supports the answer, at the best of its references.

  The reference is the context, the answer the claim; which is which is not
  stated in the paper. An empty answer scores 0.

  Returns:
    [N] in [0, 1], float64.

  Raises:
    ValueError: an answer without a reference, or another number of scores.
  """
  lexical.check(answers, references)
  pairs = [
    (i, reference)
    for i, accepted in enumerate(references)
    for reference in accepted
    if answers[i].strip() and reference.strip()
  ]
  found = np.zeros(len(answers))
  if not pairs:
    return found
  values = scorer.score(
    contexts=[reference for _, reference in pairs],
    claims=[answers[i] for i, _ in pairs],
  )
  if len(values) != len(pairs):
    raise ValueError(
      f'the scorer must give a score a pair, {len(pairs)}, got {len(values)}'
    )
  np.maximum.at(found, [i for i, _ in pairs], np.asarray(values, np.float64))
  return found
