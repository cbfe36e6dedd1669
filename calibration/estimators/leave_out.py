"""How much of an answer's meaning each of its tokens holds, for SAR.

arXiv 2307.01379 takes a token out of the text, asks a cross-encoder how similar
the text is to what is left, behind the question both times, and calls 1 - that
the token's relevance. Here a token's word pieces are left out of the mean of
hidden states that a sentence encoder makes its vector from (ours): one pass for
a text, where the paper needs one for each token.

Shapes: L tokens of an answer, T word pieces of a text, D width.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from lm.checkpoints import encoder as encoder_lib

# A token alone holds all of an answer: any number will do (lm-polygraph's).
ALONE = 0.5
# Texts whose hidden states are kept at once.
_BATCH = 256


def relevance(
  hidden: Float[np.ndarray, 'T D'], held: Bool[np.ndarray, 'L T']
) -> Float[np.ndarray, ' L']:
  """1 - cosine of the mean with and without the word pieces of each token.

  Args:
    hidden: states of a text's word pieces.
    held: which of them belong to each token.

  Returns:
    In [0, 1]: 0 for a token that has none, 1 for one that has all; `ALONE` for
    a single token.
  """
  if len(held) == 1:
    return np.array([ALONE], np.float32)
  whole_D = hidden.sum(0)
  rest_LD = whole_D - held.astype(np.float32) @ hidden
  length_L = np.linalg.norm(rest_LD, axis=-1) * np.linalg.norm(whole_D)
  cosine_L = rest_LD @ whole_D / np.maximum(length_L, 1e-12)
  found_L = np.clip(1.0 - cosine_L, 0.0, 1.0)
  return np.where(held.any(-1), found_L, 0.0).astype(np.float32)


def relevances(
  questions: Sequence[str],
  answers: Sequence[Sequence[str]],
  encoder: encoder_lib.Encoder,
) -> list[np.ndarray]:
  """`relevance` of each answer's tokens behind its question.

  Args:
    questions: one for each answer.
    answers: each as the texts of its tokens, which joined are the answer.
    encoder: reads 'question answer'; tokens behind its `max_length` have 0.

  Returns:
    float32 [L] for each answer; equal answers to a question are read once.
  """
  asked = [
    (question, tuple(pieces))
    for question, pieces in zip(questions, answers, strict=True)
  ]
  distinct = sorted(set(asked), key=lambda one: sum(map(len, one[1])))
  found = {}
  for at in range(0, len(distinct), _BATCH):
    some = distinct[at : at + _BATCH]
    texts = [f'{question} {"".join(pieces)}' for question, pieces in some]
    hidden, mask = encoder.tokens(texts)
    spans = encoder.core.encode_batch(texts)
    for one, states, real, span in zip(some, hidden, mask, spans, strict=True):
      held = _held(len(one[0]) + 1, one[1], span.offsets[: real.sum()])
      found[one] = relevance(states[real], held)
  return [found[one] for one in asked]


def _held(start, pieces, offsets):
  """Which word pieces stand in each token, by their characters; [L, T]."""
  ends = start + np.cumsum([len(piece) for piece in pieces], dtype=int)
  begins = np.concatenate([[start], ends[:-1]]).astype(int)
  first, last = np.array(offsets, int).T
  inside = (first < ends[:, None]) & (last > begins[:, None])
  return inside & (last > first)
