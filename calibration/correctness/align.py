"""AlignScore as a plug-in, with no substitute where it is not installed.

Function 6 of section 2.2 of docs/papers/uq_length_bias.md (Zha et al., 2023,
arXiv 2305.16739): a trained RoBERTa that says how far a context supports a
claim. The authors' package is on no registry and the checkpoint is theirs to
give, so the user brings both and names the checkpoint in `study.align`.
"""

import importlib
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from calibration.correctness import near
from calibration.correctness import references as references_lib

_SOURCE = 'github.com/yuh-zha/AlignScore'


class Scorer(Protocol):
  """The method of the authors' class that is used here."""

  def score(
    self, *, contexts: Sequence[str], claims: Sequence[str]
  ) -> Sequence[float]: ...


MODELS = ('roberta-base', 'roberta-large')


def check(model: str) -> None:
  """Raises unless AlignScore is installed and has a RoBERTa of that name.

  Raises:
    ValueError: names the package or the models.
  """
  if model not in MODELS:
    raise ValueError(
      f'the model of AlignScore must be one of {", ".join(MODELS)}, got '
      f'{model!r}{near.hint(model, MODELS)}'
    )
  _package()


def _package():
  try:
    return importlib.import_module('alignscore')
  except ModuleNotFoundError as error:
    raise ValueError(
      f'AlignScore needs the package {error.name!r}, which is not installed; '
      f"install alignscore from {_SOURCE} or set study.align to ''"
    ) from error


def load(
  checkpoint: str,
  *,
  model: str = 'roberta-large',
  device: str = 'cpu',
  batch: int = 32,
) -> Scorer:
  """The authors' scorer, in the mode of their paper (`nli_sp`).

  Args:
    checkpoint: path of the authors' file. PyTorch's format can run code: load
      no file from anybody else.
    model: the RoBERTa that the checkpoint was trained from, one of `MODELS`.
    device: PyTorch's name of the device.
    batch: pairs in one pass.

  Raises:
    ValueError: see `check`.
  """
  check(model)
  return _package().AlignScore(
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
  """How far the best of its references supports each answer.

  The reference is the context and the answer the claim; the paper does not
  state which is which. An empty answer scores 0.

  Returns:
    [N] in [0, 1], float64.

  Raises:
    ValueError: an answer has no reference, or the scorer does not return one
      score a pair.
  """
  pairs = references_lib.pairs(answers, references)
  values: Sequence[float] = []
  if pairs:
    values = scorer.score(
      contexts=[pair.reference for pair in pairs],
      claims=[pair.answer for pair in pairs],
    )
  if len(values) != len(pairs):
    raise ValueError(
      f'the scorer must give a score a pair, {len(pairs)}, got {len(values)}'
    )
  return references_lib.best(pairs, values, len(answers))
