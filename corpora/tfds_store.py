"""TFDS data sets on disk: those of others, and those that are made here."""

import contextlib
import os
import pathlib
import sys

import filelock


def find(name: str, what: str, otherwise: str):
  """The builder of a data set that somebody has prepared.

  Args:
    name: as TFDS takes it.
    what: how the message begins, such as 'corpus tfds:x'.
    otherwise: what else its reader can do, the end of the message.

  Raises:
    FileNotFoundError: it is not prepared.
  """
  import tensorflow_datasets as tfds  # takes a second

  folder = os.environ.get('TFDS_DATA_DIR')
  try:
    builder = tfds.builder(name, data_dir=folder, try_gcs=False)
    found = builder.info.splits
  except (tfds.core.DatasetNotFoundError, ImportError):
    found = {}  # its builder may need TensorFlow, reading it does not
  if not found:
    raise FileNotFoundError(
      f'{what} must be prepared in {folder or "~/tensorflow_datasets"}, found '
      f'nothing; run `tfds build {name} --file_format=array_record` once where '
      f'its own dependencies are installed, {otherwise}'
    )
  return builder


def prepare(builder, folder: pathlib.Path) -> None:
  """Makes a data set of ours in `folder` unless it is there; once at a time."""
  import tensorflow_datasets as tfds

  if builder.info.splits:
    return
  if not sys.stderr.isatty():
    tfds.disable_progress_bar()
  with (
    filelock.FileLock(folder / '.lock'),
    contextlib.redirect_stdout(sys.stderr),  # TFDS prints what it does
  ):
    builder.download_and_prepare(file_format='array_record')
