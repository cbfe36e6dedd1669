"""From recorded generations to the arrays that estimators read; on the host.

Shapes: N records, S samples of the record that has most, L tokens of the
longest answer.
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from calibration import log
from calibration.estimators import multi, table


def _padded(rows: Sequence[np.ndarray], size: int, dtype) -> np.ndarray:
  out = np.zeros((len(rows), size), dtype)
  for to, row in zip(out, rows, strict=True):
    to[: len(row)] = row
  return out


def answers(
  said: Sequence[log.Said], clusters: Sequence[Sequence[int]]
) -> table.Answers:
  """The greedy answers and samples of many records, padded.

  A token that ended an answer counts among its tokens, as it does in the
  record.

  Args:
    said: records; they may differ in their numbers of samples.
    clusters: of the samples of each, the same number where two mean the same
      (calibration/semantic/collapse.py).

  Raises:
    ValueError: no records, or another number of clusters than of samples.
  """
  if not said or len(said) != len(clusters):
    raise ValueError(
      'estimators need at least one record and the clusters of each, got '
      f'{len(said)} records and {len(clusters)} lists of clusters'
    )
  for number, (record, ids) in enumerate(zip(said, clusters, strict=True)):
    if len(record.lengths) != len(ids):
      raise ValueError(
        f'record {number} has {len(record.lengths)} samples and must have as '
        f'many clusters, got {len(ids)} clusters'
      )
  samples = max(len(record.lengths) for record in said)
  longest = max(len(record.greedy_logprobs) for record in said)
  longest_sample = max(int(max(record.lengths, default=0)) for record in said)

  def by_sample(name, dtype):
    rows = []
    for record in said:
      parts = log.split(getattr(record, name), record.lengths)
      parts += [np.zeros(0, dtype)] * (samples - len(parts))
      rows.append(_padded(parts, longest_sample, dtype))
    return jnp.asarray(np.stack(rows))

  def greedy(name):
    rows = [getattr(record, name) for record in said]
    return jnp.asarray(_padded(rows, longest, np.float32))

  lengths = jnp.asarray(
    _padded([record.lengths for record in said], samples, np.int32)
  )
  numbers = np.full((len(said), samples), -1, np.int32)
  for to, ids in zip(numbers, clusters, strict=True):
    to[: len(ids)] = ids
  return table.Answers(
    logprobs=greedy('greedy_logprobs'),
    entropies=greedy('greedy_entropies'),
    lengths=jnp.array([len(r.greedy_logprobs) for r in said], jnp.int32),
    characters=jnp.array([len(r.greedy) for r in said], jnp.int32),
    sample_logprobs=by_sample('logprobs', np.float32),
    sample_lengths=lengths,
    clusters=jnp.asarray(numbers),
    unique=multi.first_of_equals(by_sample('tokens', np.int32), lengths),
  )
