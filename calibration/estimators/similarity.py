"""How alike answers to one question are, for the estimators that ask it.

lm-polygraph and uqlm ask a classifier of entailment or a cross-encoder. None of
these is at hand here: cosines of sentence vectors and overlap of words take
their place (ours). A cosine of two sentences about one question is high even
where they name different things. All values are in [0, 1], 1 for equal texts.
Runs on the host.

Shapes: N questions, K answers to each.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from calibration.correctness import lexical

Rows = Sequence[Sequence[str]]


def cosines(
  rows: Rows, sentences: Callable[[list[str]], np.ndarray]
) -> Float[np.ndarray, 'N K K']:
  """Cosines of sentence vectors, those below 0 set to 0.

  Args:
    rows: K answers to each question.
    sentences: texts to unit vectors, see `lm.checkpoints.encoder`; each text is
      encoded once.
  """
  distinct = list(dict.fromkeys(text for row in rows for text in row))
  place = {text: at for at, text in enumerate(distinct)}
  vectors = np.asarray(sentences(distinct), np.float32)
  unit_NKD = vectors[[[place[text] for text in row] for row in rows]]
  found = np.einsum('nkd,njd->nkj', unit_NKD, unit_NKD)
  return np.where(_equal(rows), 1.0, np.clip(found, 0, 1)).astype(np.float32)


def rouge_l(rows: Rows) -> Float[np.ndarray, 'N K K']:
  """ROUGE-L F1 of every two answers, see `lexical.rougel_f1`."""
  size = len(rows[0]) if rows else 0
  out = np.zeros((len(rows), size, size), np.float32)
  for matrix, row in zip(out, rows, strict=True):
    known: dict[tuple[str, str], float] = {}
    for i, one in enumerate(row):
      for j, other in enumerate(row[:i]):
        pair = min(one, other), max(one, other)
        if pair not in known:
          known[pair] = lexical.rougel_f1(*pair)
        matrix[i, j] = matrix[j, i] = known[pair]
  return np.where(_equal(rows), 1.0, out).astype(np.float32)


def _equal(rows):
  """Which texts of a row are the same; an empty one, too, is like itself."""
  return np.array([[[a == b for a in row] for b in row] for row in rows])
