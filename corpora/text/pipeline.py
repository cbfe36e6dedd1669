"""Records to batches: a grain MapDataset whose state is one integer.

The order of the records depends on the seed alone: every process takes its
contiguous share of every global batch, so runs on one and on many hosts see
the same data.

Letters: R records, B global batch, T context.
"""

from collections.abc import Mapping

import grain
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Int


class TokenBatch(struct.PyTreeNode):
  """What a step sees; everything aligned with `targets`."""

  tokens: Int[Array, 'B T']
  targets: Int[Array, 'B T']
  weights: Float[Array, 'B T']  # 1 where the target counts, else 0
  segments: Int[Array, 'B T']  # of the input token; 0 is padding
  positions: Int[Array, 'B T']  # of the input token in its document


def to_batch(record: Mapping[str, np.ndarray]) -> TokenBatch:
  """Inputs and targets of packed records [B, T + 1], as numpy arrays.

  A target counts where it lies in the segment of its input, and that is not
  padding.
  """
  tokens = np.asarray(record['tokens'], np.int32)
  segments = np.asarray(record['segments'], np.int32)
  positions = np.asarray(record['positions'], np.int32)
  inputs = segments[:, :-1]
  counts = (inputs == segments[:, 1:]) & (inputs != 0)
  return TokenBatch(
    tokens=tokens[:, :-1],
    targets=tokens[:, 1:],
    weights=counts.astype(np.float32),
    segments=inputs,
    positions=positions[:, :-1],
  )


def dataset(
  arrays: Mapping[str, np.ndarray],
  *,
  batch_size: int,
  seed: int,
  shuffle: bool = True,
  repeat: bool = True,
  process_index: int = 0,
  process_count: int = 1,
) -> grain.MapDataset:
  """Batches {name: [B / process_count, ...]} of equally indexed arrays.

  Args:
    arrays: each [R, ...], mapped or in memory; the same R for all.
    batch_size: global, over all processes.
    seed: of the order; records are shuffled anew in every epoch.
    shuffle: False for the order of the arrays.
    repeat: for ever. Else one epoch, whose last batch is filled up with rows
      of zeros (which are padding: segment 0), so that every record is seen
      exactly once and all batches have one shape.
    process_index: which share of every batch is ours.
    process_count: number of shares.
  """
  sizes = {name: len(array) for name, array in arrays.items()}
  num_records = next(iter(sizes.values()), 0)
  if len(set(sizes.values())) != 1:
    raise ValueError(
      f'arrays must have the same number of records, got {sizes}'
    )
  if batch_size < 1 or batch_size % process_count:
    raise ValueError(
      f'data.batch_size={batch_size} must be positive and divide over the '
      f'{process_count} processes; change --config.data.batch_size'
    )
  if num_records < (batch_size if repeat else 1):
    raise ValueError(
      f'data.batch_size={batch_size} must be at most the number of records, '
      f'got {num_records}; change --config.data.batch_size or give more text'
    )
  share = batch_size // process_count
  mine = slice(process_index * share, (process_index + 1) * share)

  def rows(indices: np.ndarray) -> dict[str, np.ndarray]:
    indices = indices[mine]
    filler = indices >= num_records
    out = {}
    for name, array in arrays.items():
      out[name] = np.array(array[np.where(filler, 0, indices)])
      out[name][filler] = 0
    return out

  indices = grain.MapDataset.range(num_records).seed(seed)
  if shuffle:
    indices = indices.shuffle()
  if repeat:
    indices = indices.repeat()
  else:
    padding = -num_records % batch_size
    tail = grain.MapDataset.range(num_records, num_records + padding)
    indices = grain.MapDataset.concatenate([indices, tail])
  return indices.batch(batch_size).map(rows)
