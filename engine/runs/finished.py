"""Reading finished runs and sweeps: their configs, summaries and folders.

No JAX: figures are drawn from what this returns. `checkpoint.restore_params`
reads the parameters of a run from its `workdir`.
"""

import os
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from engine.runs import moved, writer


class Finished(NamedTuple):
  """A run that reached its last step: its config under today's names, its
  summary, its folder."""

  config: dict[str, Any]
  summary: dict[str, Any]
  workdir: pathlib.Path


def open_run(
  folder: str | os.PathLike, *, key: str = '', train: str = ''
) -> Finished:
  """Reads a finished run.

  A run writes summary.json last. A run that crashed, was stopped or was
  continued to more steps and not yet finished is refused.

  Args:
    folder: the workdir of the run.
    key: the config key that names the folder, for the message.
    train: how to train such a run, for the message.

  Raises:
    FileNotFoundError: no config.json or no summary.json in the folder.
    ValueError: the run was continued and has not reached its last step, or a
      file is no JSON object.
  """
  workdir = pathlib.Path(folder)
  named = f'{key}={str(folder)!r}' if key else f'{workdir}'
  advice = f'train it {train}'.rstrip() + ' until it ends'
  if key:
    advice += f', or change --config.{key}'
  for name in ('config.json', 'summary.json'):
    if not str(folder) or not (workdir / name).exists():
      raise FileNotFoundError(
        f'{named} must be the workdir of a finished run, but has no {name}; '
        f'{advice}'
      )
  config = moved.modern(_object(workdir / 'config.json'))
  summary = _object(workdir / 'summary.json')
  wanted, made = config.get('run', {}).get('steps'), summary.get('steps')
  # An experiment without parameters trains nothing, and counts no steps.
  trained = summary.get('parameters', 0) > 0
  if trained and None not in (wanted, made) and made != wanted:
    raise ValueError(
      f'{named} must be the workdir of a finished run, but its summary.json is '
      f'of step {made} and its config.json asks for run.steps={wanted}; '
      f'{advice}'
    )
  return Finished(config, summary, workdir)


def summary_at(
  workdir: pathlib.Path, step: int, steps: int
) -> dict[str, Any] | None:
  """The summary of a run that ended at `steps`; None where it must go on.

  Args:
    workdir: of the run.
    step: of its newest checkpoint.
    steps: that are asked for.
  """
  path = workdir / 'summary.json'
  if not path.exists():
    return None
  summary = writer.read_json(path)
  return summary if step == summary.get('steps') == steps else None


def sweep_runs(
  folder: str | os.PathLike, *, key: str = ''
) -> dict[str, list[pathlib.Path]]:
  """Folders of the runs by variant, one a seed; {'run': [folder]} for one run.

  Args:
    folder: the workdir of a sweep or of a run.
    key: the config key that names the folder, for the message.

  Raises:
    FileNotFoundError: neither a finished sweep nor a finished run.
    ValueError: sweep.json is no JSON object.
  """
  root = pathlib.Path(folder)
  if (root / 'sweep.json').exists():
    sweep = _object(root / 'sweep.json')
    return {
      name: [variant_folder(root, name, seed) for seed in sweep['seeds']]
      for name in sweep['variants']
    }
  if not str(folder) or not (root / 'summary.json').exists():
    named = f'{key}={str(folder)!r}' if key else f'{root}'
    raise FileNotFoundError(
      f'{named} must hold a finished run or sweep, but has neither '
      'summary.json nor sweep.json; run launch.train or launch.sweep there '
      'until it ends' + (f', or change --config.{key}' if key else '')
    )
  return {'run': [root]}


def variant_folder(root: pathlib.Path, variant: str, seed: int) -> pathlib.Path:
  """The workdir of one run of a sweep."""
  return root / f'{variant.replace(":", "-")}-{seed}'


def _object(path: pathlib.Path) -> Mapping[str, Any]:
  """The JSON object in a file."""
  value = writer.read_json(path)
  if not isinstance(value, dict):
    raise ValueError(
      f'{path} must hold a JSON object, came {type(value).__name__}; remove it '
      'and run again'
    )
  return value
