"""Examples of a puzzle, prepared with TFDS once."""

import hashlib
import os

import numpy as np

from corpora import tfds_store
from corpora.puzzles import form, kinds, splits
from engine import assets


def load(
  puzzle: form.Puzzle | str,
  split: str,
  data_dir: str | os.PathLike | None = None,
) -> form.Examples:
  """All examples of a split, prepared with TFDS where they are not yet there.

  Args:
    puzzle: one, or its name as `parse` takes it.
    split: 'train', 'validation' or 'test'.
    data_dir: the cache, see `assets.cache_dir`.

  Returns:
    int32 arrays 'prompt' [n, P], 'answer' [n, L] and 'level' [n], in the order
    of `splits.examples`.

  Raises:
    ValueError: unknown puzzle or split, or one too small for three splits.
  """
  # TFDS takes a second to import.
  from corpora.puzzles import puzzles_dataset_builder

  if isinstance(puzzle, str):
    puzzle = kinds.parse(puzzle)
  splits.check(split)
  # Other defaults under the same name are other data.
  digest = hashlib.sha256(repr(puzzle).encode())
  folder = assets.cache_dir(data_dir) / 'tfds' / digest.hexdigest()[:16]
  folder.mkdir(parents=True, exist_ok=True)
  builder = puzzles_dataset_builder.Builder(
    config=puzzles_dataset_builder.config(puzzle),
    data_dir=str(folder),
    file_format='array_record',
  )
  tfds_store.prepare(builder, folder)
  source = builder.as_data_source(split=split)
  records = source.__getitems__(range(len(source)))
  return {
    name: np.concatenate([record[name] for record in records])
    for name in builder.info.features
  }
