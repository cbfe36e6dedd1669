"""Correctness from embeddings: BERTScore and the cosine of sentences.

Functions 4 and 5 of section 2.2 of docs/papers/uq_length_bias.md, for any
encoder. A threshold fits one encoder only: the paper chose 0.8, 0.4 and 0.9 for
encoders of RoBERTa-large's size, and small encoders have other scales.

Shapes: N answers, P pairs of texts, T positions, S positions of the other
text, D width.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from calibration.correctness import references as references_lib

# Texts to embeddings [B, T, D] and a mask [B, T] of the tokens that count.
# BERTScore counts none of the encoder's special tokens.
Tokens = Callable[[list[str]], tuple[np.ndarray, np.ndarray]]
# Texts to embeddings [B, D], in any norm.
Sentences = Callable[[list[str]], np.ndarray]

# Positions are padded to a multiple of this: few shapes, few programs.
_STEP = 16


def between_ends(tokens: Tokens) -> Tokens:
  """Masks out the first and the last token of every text.

  For encoders whose masks include [CLS] and [SEP]. The `bert_score` package
  gives these two no weight, but lets other tokens match with them.
  """

  def inner(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    embeddings, mask = tokens(texts)
    mask = np.asarray(mask, bool)
    seen = np.cumsum(mask, -1)
    return embeddings, mask & (seen > 1) & (seen < seen[:, -1:])

  return inner


def _unit(x):
  x = x.astype(jnp.float32)
  return x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


@jax.jit
def greedy_f1(
  answer: Float[Array, 'P T D'],
  answer_mask: Bool[Array, 'P T'],
  reference: Float[Array, 'P S D'],
  reference_mask: Bool[Array, 'P S'],
) -> Float[Array, ' P']:
  """BERTScore F1 (Zhang et al., 2020, arXiv 1904.09675, eq. 1).

  Every token is matched with the token of the other text that has the highest
  cosine; precision is the mean over the answer's tokens, recall over the
  reference's. Without idf and without rescaling by a baseline.

  Returns:
    At most 1; 0 if a text has no tokens, or precision and recall sum to 0.
  """
  cosine_PTS = jnp.einsum(
    'ptd,psd->pts',
    _unit(answer),
    _unit(reference),
    precision=jax.lax.Precision.HIGHEST,
  )
  both_PTS = answer_mask[:, :, None] & reference_mask[:, None, :]
  cosine_PTS = jnp.where(both_PTS, cosine_PTS, -jnp.inf)

  def mean(best, mask):
    total = jnp.where(mask, best, 0.0).sum(-1)
    return total / jnp.maximum(mask.sum(-1), 1)

  precision_P = mean(cosine_PTS.max(2), answer_mask)
  recall_P = mean(cosine_PTS.max(1), reference_mask)
  total_P = precision_P + recall_P
  f1_P = 2 * precision_P * recall_P / jnp.where(total_P == 0, 1.0, total_P)
  there_P = answer_mask.any(-1) & reference_mask.any(-1) & (total_P != 0)
  return jnp.where(there_P, f1_P, 0.0)


def _parts(items, size):
  return [items[i : i + size] for i in range(0, len(items), size)]


def _batches(pairs, size):
  """Each text once, with texts of similar length to keep padding small."""
  texts = {text for p in pairs for text in (p.answer, p.reference)}
  return _parts(sorted(texts, key=lambda text: (len(text), text)), size)


def bert_score(
  answers: Sequence[str],
  references: Sequence[Sequence[str]],
  tokens: Tokens,
  *,
  batch: int = 64,
) -> np.ndarray:
  """BERTScore F1 of every answer, at the best of its references.

  Args:
    answers: an empty one scores 0.
    references: every accepted answer to each question.
    tokens: the encoder, one embedding a token.
    batch: texts, and pairs, in one pass.

  Returns:
    [N] float64, at most 1.

  Raises:
    ValueError: an answer has no reference, or the encoder's mask does not fit
      its embeddings.
  """
  pairs = references_lib.pairs(answers, references)
  found: dict[str, np.ndarray] = {}
  for texts in _batches(pairs, batch):
    embeddings, mask = map(np.asarray, tokens(texts))
    if mask.shape != embeddings.shape[:2] or len(mask) != len(texts):
      raise ValueError(
        f'tokens must give [{len(texts)}, T, D] and a mask [{len(texts)}, T], '
        f'got {embeddings.shape} and {mask.shape}'
      )
    for text, row, keep in zip(texts, embeddings, mask, strict=True):
      found[text] = row[keep.astype(bool)]

  def padded(rows):
    size = -(-max(map(len, rows)) // _STEP) * _STEP or _STEP
    out = np.zeros((batch, size, rows[0].shape[-1]), np.float32)
    mask = np.zeros((batch, size), bool)
    for i, row in enumerate(rows):
      out[i, : len(row)], mask[i, : len(row)] = row, True
    return jnp.asarray(out), jnp.asarray(mask)

  pairs.sort(key=lambda pair: len(found[pair.answer]))
  values: list[float] = []
  for part in _parts(pairs, batch):
    f1_P = greedy_f1(
      *padded([found[pair.answer] for pair in part]),
      *padded([found[pair.reference] for pair in part]),
    )
    values += np.asarray(f1_P)[: len(part)].tolist()
  return references_lib.best(pairs, values, len(answers))


def sentence_cosine(
  answers: Sequence[str],
  references: Sequence[Sequence[str]],
  sentences: Sentences,
  *,
  batch: int = 64,
) -> np.ndarray:
  """Cosine of an answer and the nearest of its references (SentenceBERT).

  Args:
    answers: an empty one scores 0.
    references: every accepted answer to each question.
    sentences: the encoder, one embedding a text.
    batch: texts in one pass.

  Returns:
    [N] float64 in [-1, 1].

  Raises:
    ValueError: an answer has no reference, or the encoder does not return one
      embedding a text.
  """
  pairs = references_lib.pairs(answers, references)
  found: dict[str, np.ndarray] = {}
  for texts in _batches(pairs, batch):
    embeddings = np.asarray(sentences(texts), np.float64)
    if embeddings.ndim != 2 or len(embeddings) != len(texts):
      raise ValueError(
        f'sentences must give [{len(texts)}, D], got {embeddings.shape}'
      )
    norms = np.maximum(np.linalg.norm(embeddings, axis=-1), 1e-12)
    found.update(zip(texts, embeddings / norms[:, None], strict=True))
  values = [found[pair.answer] @ found[pair.reference] for pair in pairs]
  return references_lib.best(pairs, values, len(answers))
