"""TFDS builder of puzzles, a config each, in the order they were drawn.

A record holds up to 1000 examples, for they are small and many: 50,000 are read
in a tenth of a second, and in three where each is a record of its own. Written
as ArrayRecord, without TensorFlow.
"""

import dataclasses
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds

from corpora.puzzles import form, kinds, splits

CHUNK = 1000


@dataclasses.dataclass(eq=False)
class PuzzleConfig(tfds.core.BuilderConfig):
  """Which puzzle."""

  puzzle: form.Puzzle | None = None


def _named(puzzle: form.Puzzle) -> PuzzleConfig:
  [name] = [n for n, kind in kinds.KINDS.items() if type(puzzle) is kind]
  own = [
    f'-{field.name}={getattr(puzzle, field.name)}'
    for field in dataclasses.fields(puzzle)
    if getattr(puzzle, field.name) != field.default
  ]
  return PuzzleConfig(
    name=name + ''.join(own), description=repr(puzzle), puzzle=puzzle
  )


def config(puzzle: form.Puzzle) -> PuzzleConfig:
  """The config of any puzzle; TFDS wants its own where it has that name."""
  made = _named(puzzle)
  own = {known.name: known for known in Builder.BUILDER_CONFIGS}
  return own.get(made.name, made)


class Builder(tfds.core.GeneratorBasedBuilder):
  """Prompt, answer and level of up to CHUNK examples a record."""

  VERSION = tfds.core.Version('1.1.0')
  RELEASE_NOTES: ClassVar = {
    '1.0.0': 'A stream of seeds for each split.',
    '1.1.0': 'An entry of a table says its symbol too.',
  }
  BUILDER_CONFIGS: ClassVar = [_named(kind()) for kind in kinds.KINDS.values()]

  def _info(self) -> tfds.core.DatasetInfo:
    puzzle = self.builder_config.puzzle
    shapes = {
      'prompt': (None, puzzle.prompt),
      'answer': (None, puzzle.answer),
      'level': (None,),
    }
    return self.dataset_info_from_configs(
      description=type(puzzle).__doc__,
      features=tfds.features.FeaturesDict(
        {
          name: tfds.features.Tensor(shape=shape, dtype=np.int32)
          for name, shape in shapes.items()
        }
      ),
      disable_shuffling=True,
    )

  def _split_generators(self, dl_manager):
    del dl_manager  # everything is drawn
    return {split: self._generate_examples(split) for split in splits.SIZES}

  def _generate_examples(
    self, split: str
  ) -> Iterator[tuple[int, form.Examples]]:
    made = splits.examples(self.builder_config.puzzle, split)
    for begin in range(0, len(made['level']), CHUNK):
      yield (
        begin,
        {name: value[begin : begin + CHUNK] for name, value in made.items()},
      )
