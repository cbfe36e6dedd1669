"""Whole documents into fixed-length records, ahead of time.

Best fit, longest first inside blocks of documents, so that the plan of a
stream needs only one block in memory. A document longer than a record is cut
in pieces that share one token: the last input of a piece is never a target
twice, and every token but a document's first is a target exactly once.

Letters: R records, T context; a record is T + 1 tokens, inputs [:T] and
targets [1:].
"""

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator

import filelock
import numpy as np

from engine.runs import writer

BLOCK = 100_000
_PIECES_AT_ONCE = 1 << 16
_RECORDS_AT_ONCE = 1 << 13


@dataclasses.dataclass(frozen=True)
class Plan:
  """Where each piece goes.

  pieces: int64 [P, 4] of (record, offset in the record, start in the flat
    stream, length), ordered by record and offset.
  """

  pieces: np.ndarray
  num_records: int
  record_length: int

  @property
  def utilisation(self) -> float:
    """Share of the tokens of the records that is not padding."""
    size = self.num_records * self.record_length
    return float(self.pieces[:, 3].sum() / size) if size else 0.0


def plan(
  lengths: np.ndarray, record_length: int, *, block: int = BLOCK
) -> Plan:
  """Assigns documents that follow one another in a flat stream to records.

  Args:
    lengths: tokens of each document; those below 2 predict nothing and are
      left out.
    record_length: T + 1, at least 2.
    block: documents considered together.
  """
  lengths = np.asarray(lengths, np.int64)
  if record_length < 2:
    raise ValueError(
      f'record_length must be at least 2 (an input and a target), '
      f'got {record_length}; change --config.data.context'
    )
  starts = np.cumsum(lengths) - lengths
  chunks, num_records = [np.zeros((0, 4), np.int64)], 0
  for begin in range(0, len(lengths), block):
    some = slice(begin, begin + block)
    start, length = _cut(starts[some], lengths[some], record_length)
    order = np.argsort(-length, kind='stable')
    start, length = start[order], length[order]
    record, offset, opened = _best_fit(length.tolist(), record_length)
    chunks.append(np.stack([record + num_records, offset, start, length], 1))
    num_records += opened
  pieces = np.concatenate(chunks)
  pieces = pieces[np.lexsort((pieces[:, 1], pieces[:, 0]))]
  return Plan(pieces, num_records, record_length)


def _cut(starts, lengths, record_length):
  """Pieces of at most record_length that overlap by one token."""
  step = record_length - 1
  keep = lengths >= 2
  starts, lengths = starts[keep], lengths[keep]
  counts = -(-(lengths - 1) // step)  # targets over targets a piece
  number = np.arange(counts.sum()) - np.repeat(
    np.cumsum(counts) - counts, counts
  )
  left = np.repeat(lengths, counts) - number * step
  return np.repeat(starts, counts) + number * step, np.minimum(
    left, record_length
  )


def _best_fit(lengths: list[int], capacity: int):
  """Record and offset of each length, and the number of records.

  Records lie in stacks by the room they have left; bit r of `rooms` says that
  stack r is not empty, so the tightest fit is the lowest bit from `length` on.
  """
  stacks = [[] for _ in range(capacity + 1)]
  rooms, opened = 0, 0
  record = np.zeros(len(lengths), np.int64)
  offset = np.zeros(len(lengths), np.int64)
  for i, length in enumerate(lengths):
    fitting = rooms >> length
    if fitting:
      room = length + (fitting & -fitting).bit_length() - 1
      chosen = stacks[room].pop()
      if not stacks[room]:
        rooms ^= 1 << room
    else:
      room, chosen, opened = capacity, opened, opened + 1
    record[i], offset[i] = chosen, capacity - room
    stacks[room - length].append(chosen)
    rooms |= 1 << (room - length)
  return record, offset, opened


def pack(plan: Plan, flat: np.ndarray, fill) -> np.ndarray:
  """Any array along the stream as [R, record_length]; `fill` is padding."""
  shape = (plan.num_records, plan.record_length)
  out = np.full(shape, fill, flat.dtype)
  for pieces in _some(plan.pieces):
    where, inside = _positions(pieces, plan.record_length)
    begin = np.repeat(pieces[:, 2], pieces[:, 3])
    out.reshape(-1)[where] = flat[begin + inside]
  return out


def segments_and_positions(plan: Plan) -> tuple[np.ndarray, np.ndarray]:
  """Both [R, record_length]: uint16, 0 in the padding, and int32."""
  shape = (plan.num_records, plan.record_length)
  segments, positions = np.zeros(shape, np.uint16), np.zeros(shape, np.int32)
  new = np.diff(plan.pieces[:, 0], prepend=-1) != 0
  index = np.arange(len(plan.pieces))
  number = index - np.maximum.accumulate(np.where(new, index, 0)) + 1
  for pieces, numbers in zip(_some(plan.pieces), _some(number), strict=True):
    where, inside = _positions(pieces, plan.record_length)
    segments.reshape(-1)[where] = np.repeat(numbers, pieces[:, 3])
    positions.reshape(-1)[where] = inside
  return segments, positions


def _some(rows: np.ndarray) -> Iterator[np.ndarray]:
  """Bounds the indices that are in memory at a time."""
  for begin in range(0, len(rows), _PIECES_AT_ONCE):
    yield rows[begin : begin + _PIECES_AT_ONCE]


def _positions(pieces, record_length):
  """Flat position in the records, and offset in the piece, of every token."""
  lengths = pieces[:, 3]
  inside = np.arange(lengths.sum()) - np.repeat(
    np.cumsum(lengths) - lengths, lengths
  )
  begin = pieces[:, 0] * record_length + pieces[:, 1]
  return np.repeat(begin, lengths) + inside, inside


class Records(dict):
  """Arrays [R, T + 1] by name, and the plan that made them."""

  def __init__(self, arrays: dict[str, np.ndarray], plan: Plan):
    super().__init__(arrays)
    self.plan = plan


def records(split, context: int, pad_id: int) -> Records:
  """The packed split: tokens, segments, positions, all [R, T + 1], mapped.

  Made once and kept beside the split.

  Args:
    split: a `prepare.Split` (or anything with tokens, starts and folder).
    context: T, the inputs of a record.
    pad_id: id in the padding, where the segment is 0.

  Returns:
    tokens (dtype of the split), segments (uint16; documents count from 1 in
    every record) and positions (int32, from 0 in every piece), with `.plan`.
  """
  if len(split.starts) < 2:
    raise ValueError(
      f'split {split.folder.name} must hold at least one document to be '
      f'packed, got none in {split.folder}; give the corpus more documents, '
      'each with a title of its own (its split follows from the title)'
    )
  target = pathlib.Path(split.folder) / f'records-{context}-{pad_id}'
  if not target.exists():
    with filelock.FileLock(target.with_name(f'.{target.name}.lock')):
      if not target.exists():
        _write(split, context, pad_id, target)
  arrays = {
    name: np.load(target / f'{name}.npy', mmap_mode='r')
    for name in ('tokens', 'segments', 'positions')
  }
  pieces = np.load(target / 'pieces.npy', mmap_mode='r')
  return Records(arrays, Plan(pieces, *arrays['tokens'].shape))


def _write(split, context: int, pad_id: int, target: pathlib.Path) -> None:
  """Appends blocks of records, so that a full disk is an OSError."""
  made = plan(np.diff(split.starts), context + 1)
  with writer.replace(target) as building:
    building.mkdir()
    with contextlib.ExitStack() as stack:
      files = {}
      for name, dtype in (
        ('tokens', split.tokens.dtype),
        ('segments', np.dtype(np.uint16)),
        ('positions', np.dtype(np.int32)),
      ):
        files[name] = stack.enter_context(open(building / f'{name}.npy', 'wb'))
        header = {
          'descr': np.lib.format.dtype_to_descr(dtype),
          'fortran_order': False,
          'shape': (made.num_records, made.record_length),
        }
        np.lib.format.write_array_header_1_0(files[name], header)
      for block in _blocks(made):
        segments, positions = segments_and_positions(block)
        pack(block, split.tokens, pad_id).tofile(files['tokens'])
        segments.tofile(files['segments'])
        positions.tofile(files['positions'])
    np.save(building / 'pieces.npy', made.pieces)


def _blocks(plan: Plan) -> Iterator[Plan]:
  """The plan, some records at a time."""
  for begin in range(0, plan.num_records, _RECORDS_AT_ONCE):
    end = min(begin + _RECORDS_AT_ONCE, plan.num_records)
    first, last = np.searchsorted(plan.pieces[:, 0], (begin, end))
    pieces = plan.pieces[first:last] - np.array([begin, 0, 0, 0])
    yield Plan(pieces, end - begin, plan.record_length)
