"""TFDS builder of 10,033 lead sections of English Wikipedia.

The splits follow a hash of the title (see `splits.split_of`), so that they
never move when entries come or go. Written as ArrayRecord, without TensorFlow.
"""

import json
import pathlib
from collections.abc import Iterator
from typing import ClassVar

import tensorflow_datasets as tfds
from absl import logging

from corpora import splits
from engine import assets

NAME = 'wiki_summaries'


class Builder(tfds.core.GeneratorBasedBuilder):
  """Title, topic, short description and text."""

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES: ClassVar = {'1.0.0': 'Splits 90/5/5 by a hash of the title.'}

  def __init__(self, *, assets_dir: str | None = None, **kwargs):
    """`assets_dir` is the cache of `assets.fetch`; the rest is TFDS's own."""
    self._assets_dir = assets_dir
    super().__init__(**kwargs)

  def _info(self) -> tfds.core.DatasetInfo:
    return self.dataset_info_from_configs(
      description='Lead sections of English Wikipedia, one an article.',
      homepage='https://en.wikipedia.org',
      license=assets.TABLE[NAME].licence,
      features=tfds.features.FeaturesDict(
        {
          'title': tfds.features.Text(),
          'topic': tfds.features.Text(),
          'description': tfds.features.Text(),
          'text': tfds.features.Text(),
        }
      ),
    )

  def _split_generators(self, dl_manager):
    del dl_manager  # `assets` pins and checks the one file
    path = assets.fetch(NAME, data_dir=self._assets_dir)
    return {
      split: self._generate_examples(path, split) for split in splits.SPLITS
    }

  def _generate_examples(
    self, path: pathlib.Path, split: str
  ) -> Iterator[tuple[str, dict[str, str]]]:
    empty = 0
    for entry in json.loads(path.read_text(encoding='utf-8')).values():
      if splits.split_of(entry['title']) != split:
        continue
      if not entry['extract'].strip():
        empty += 1
        continue
      yield (
        entry['title'],
        {
          'title': entry['title'],
          'topic': entry['topic'],
          'description': entry['description'],
          'text': entry['extract'],
        },
      )
    if empty:
      logging.warning('%s/%s: left out %d empty entries', NAME, split, empty)
