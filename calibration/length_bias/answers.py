"""What estimators read of recorded answers: probabilities, meanings, reports.

Section 2.1 of docs/papers/uq_length_bias.md.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from calibration.correctness import collapse
from calibration.estimators import leave_out, similarity, table, verbal
from calibration.length_bias import study as study_lib
from calibration.recording import cell as cell_lib
from calibration.recording import log, self_report


def of(
  cell: cell_lib.Cell, study: study_lib.Study, models: study_lib.Models
) -> table.Answers:
  """What estimators read; the token that ends an answer is left out.

  Meanings are alike by the sentence encoder, by ROUGE-L where there is none.
  SAR of tokens needs the encoder and the tokenizer of the model that answered.
  """
  sizes = [len(one.greedy_tokens) - one.greedy_ended for one in cell.said]
  # An empty answer is its end.
  sizes = [max(size, 1) for size in sizes]
  rows, counts, meanings, texts = [], [], [], []
  for i, one in enumerate(cell.said):
    parts = cell_lib.parts(one)[: study.samples]
    ended = one.ended[: study.samples]
    parts = [p[: max(len(p) - e, 1)] for p, e in zip(parts, ended, strict=True)]
    rows.append(parts)
    counts.append([len(part) for part in parts])
    numbers = cell.numbers[i, : study.samples]
    said = list(one.samples[: study.samples])
    if study.same:
      same = collapse.similar(
        said, models.encoder.sentences, threshold=study.same
      )
      numbers = collapse.clusters(said, same)
    meanings.append(numbers)
    texts.append([one.greedy, *said])
  width = max(max(row) for row in counts)
  lexical = similarity.rouge_l(texts)
  alike = lexical
  if models.encoder is not None:
    alike = similarity.cosines(texts, models.encoder.sentences)
  return table.Answers(
    logprobs=jnp.asarray(
      _padded([o.greedy_logprobs for o in cell.said], sizes)
    ),
    entropies=jnp.asarray(
      _padded([o.greedy_entropies for o in cell.said], sizes)
    ),
    lengths=jnp.array(sizes, jnp.int32),
    characters=jnp.array([len(one.greedy) for one in cell.said], jnp.int32),
    sample_logprobs=jnp.asarray(
      np.stack([cell_lib.padded(row, width) for row in rows])
    ),
    sample_lengths=jnp.array(counts, jnp.int32),
    clusters=jnp.asarray(np.stack(meanings)),
    unique=jnp.asarray(cell.unique[:, : study.samples]),
    similarity=jnp.asarray(alike[:, 1:, 1:]),
    lexical=jnp.asarray(lexical[:, 1:, 1:]),
    with_greedy=jnp.asarray(alike[:, 0, 1:]),
    **_relevance(cell, sizes, counts, models),
  )


def reported(
  reports: Sequence[self_report.Report],
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
  """Estimators from what a model says of its answers, and shares unread.

  Verbalised confidence is there if some reply states one.
  """
  scores = {'p_true': verbal.p_true(one.log_true for one in reports)}
  unread = {}
  for name, replies, pattern in (
    ('verbal_1s', [r.one_step for r in reports], verbal.AFTER_GUESS),
    ('verbal_2s', [r.two_steps for r in reports], verbal.ALONE),
  ):
    values, share = verbal.uncertainty(replies, pattern)
    if any(replies):
      unread[f'{name}/unread'] = share
    if share < 1:
      scores[name] = values
  return scores, unread


def _relevance(cell, sizes, counts, models) -> dict[str, jax.Array]:
  """What each token adds to the meaning, of greedy answers and of samples."""
  if models.encoder is None or models.tokenizer is None:
    return {}
  questions, answers = [], []
  for one, size, row in zip(cell.said, sizes, counts, strict=True):
    parts = log.split(one.tokens, one.lengths)[: len(row)]
    ids = [one.greedy_tokens[:size]]
    ids += [part[:count] for part, count in zip(parts, row, strict=True)]
    answers += [models.tokenizer.pieces(each) for each in ids]
    questions += [one.question.prompt] * len(ids)
  found = leave_out.relevances(questions, answers, models.encoder)
  each = 1 + len(counts[0])
  rows = [found[at : at + each] for at in range(0, len(found), each)]
  width = max(max(row) for row in counts)
  return {
    'relevance': jnp.asarray(
      cell_lib.padded([row[0] for row in rows], max(sizes))
    ),
    'sample_relevance': jnp.asarray(
      np.stack([cell_lib.padded(row[1:], width) for row in rows])
    ),
  }


def _padded(rows, sizes):
  """The first `sizes` of each row, padded to the longest."""
  cut = [row[:size] for row, size in zip(rows, sizes, strict=True)]
  return cell_lib.padded(cut, max(sizes))
