"""From a config to checked settings, puzzles and finished runs."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import grain
import jax
import numpy as np

from corpora import puzzles as puzzles_lib
from corpora.text import pipeline
from diffusion_sampler.sampling import canvas
from engine import checkpoint, options
from engine.runs import finished as finished_lib
from lm import transformer


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
  """Which puzzle, see corpora/puzzles.

  Attributes:
    puzzle: 'chain', 'sudoku(fewest=6)', ...
    batch_size: sequences, or prompts, a step, over all devices.
    eval_records: of the validation split, read during training.
    test_records: of the test split, read at the end; 0: all.
  """

  puzzle: str = 'chain'
  batch_size: int = 256
  eval_records: int = 256
  test_records: int = 1000


class Task(NamedTuple):
  """A puzzle and how much of it to read."""

  puzzle: Any
  config: DataConfig

  def layout(self, block: int = 0) -> canvas.Layout:
    """Of its answers in blocks; 0: one block, full diffusion."""
    p = self.puzzle
    return canvas.Layout(
      prompt=p.prompt,
      answer=p.answer,
      block=block or p.answer,
      mask_id=p.mask_id,
      eos_id=p.eos_id,
    )

  def split(self, name: str) -> dict[str, np.ndarray]:
    """Arrays 'prompt' [R, P], 'answer' [R, L] and 'level' [R]."""
    return puzzles_lib.load(self.config.puzzle, name)

  def train_data(self, seed: int) -> grain.IterDataset:
    """Shuffled batches of those arrays, for ever; each process its share."""
    dataset = pipeline.dataset(
      self.split('train'),
      batch_size=self.config.batch_size,
      seed=seed,
      process_index=jax.process_index(),
      process_count=jax.process_count(),
    )
    read = grain.ReadOptions(num_threads=1, prefetch_buffer_size=4)
    return dataset.to_iter_dataset(read)


def task(cfg: Mapping[str, Any]) -> Task:
  """Raises ValueError where the puzzle or a field does not fit."""
  config = options.section(cfg['data'], 'data', DataConfig)
  return Task(puzzles_lib.parse(config.puzzle), config)


def model(cfg: Mapping[str, Any], task: Task) -> transformer.TransformerConfig:
  """The denoiser's shape.

  Raises:
    ValueError: its vocabulary is not the puzzle's.
  """
  config = options.section(cfg['model'], 'model', transformer.TransformerConfig)
  if config.vocab_size != task.puzzle.vocab_size:
    raise ValueError(
      f'model.vocab_size={config.vocab_size} must be '
      f'{task.puzzle.vocab_size}, that of data.puzzle={task.config.puzzle}'
    )
  return config


class Finished(NamedTuple):
  """A run that was found: its config and parameters."""

  config: dict[str, Any]
  params: Any


def finished(workdir: str, key: str) -> Finished:
  """Reads a run.

  Args:
    workdir: of the run.
    key: of the config that names it, for the message.

  Raises:
    FileNotFoundError: no finished run there.
    ValueError: the run was continued and is not finished.
  """
  run = finished_lib.open_run(workdir, key=key)
  params, _ = checkpoint.restore_params(run.workdir)
  return Finished(run.config, params)


def frozen_denoiser(
  workdir: str, task: Task
) -> tuple[transformer.TransformerConfig, Any]:
  """Shape and parameters of the denoiser of a finished run.

  Raises:
    FileNotFoundError: no finished run there.
    ValueError: it was trained on another vocabulary.
  """
  run = finished(workdir, 'denoiser')
  return model(run.config, task), run.params
