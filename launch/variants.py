"""Variants of a config over seeds: run them, gather what came out.

A config names its variants in `sweep.variants`: (name, 'key=value ...') pairs,
where {other} in a value stands for the workdir of another variant at the same
seed. Finished runs are not run again, interrupted ones are resumed.
"""

import pathlib
import statistics
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import jax
from absl import logging
from ml_collections import ConfigDict

from engine.runs import writer
from launch import setup


def variant(config: ConfigDict, changes: str, folders: Mapping[str, str]):
  """A copy of `config` with 'key=value ...' applied.

  Raises:
    ValueError: a key that the config does not have.
  """
  config = config.copy_and_resolve_references()
  with config.unlocked():
    for change in changes.split():
      key, _, text = change.partition('=')
      if key not in set(_keys(config)):
        raise ValueError(f'sweep.variants changes {key}, which is no key')
      value = text.format(**folders)
      config.update_from_flattened_dict({key: type(_get(config, key))(value)})
  return config


def _keys(config, prefix=''):
  for name, value in config.items():
    if isinstance(value, ConfigDict):
      yield from _keys(value, f'{prefix}{name}.')
    else:
      yield prefix + name


def _get(config, key):
  for name in key.split('.'):
    config = config[name]
  return config


def sweep(config: ConfigDict, workdir: pathlib.Path) -> dict[str, list[dict]]:
  """Summaries by variant, one a seed. Writes workdir/sweep.json last."""
  summaries: dict[str, list[dict]] = {}
  variants, seeds = config.sweep.variants, config.sweep.seeds
  for s, seed in enumerate(seeds):
    folders = {
      name: str(workdir / f'{name.replace(":", "-")}-{seed}')
      for name, _ in variants
    }
    for v, (name, changes) in enumerate(variants):
      count = s * len(variants) + v + 1
      logging.info(
        '%s, seed %d (%d of %d)', name, seed, count, len(seeds) * len(variants)
      )
      changes = f'run.seed={seed} {changes}'
      cfg = variant(config, changes, folders).to_dict()
      summary = setup.train(cfg, folders[name])
      if 'interrupted' in summary:
        sys.exit(0)
      summaries.setdefault(name, []).append(summary)
      jax.clear_caches()
  writer.write_json(
    workdir / 'sweep.json',
    {
      'experiment': config.experiment,
      'variants': [name for name, _ in variants],
      'seeds': list(seeds),
    },
  )
  return summaries


def spread(values: Sequence[Any]):
  """[mean, lowest, highest] of numbers; one value where all agree."""
  if all(value == values[0] for value in values):
    return values[0]
  if not all(isinstance(value, int | float) for value in values):
    return ', '.join(map(str, values))
  return [
    round(x, 6) for x in (statistics.fmean(values), min(values), max(values))
  ]


def flatten(summaries: Mapping[str, Sequence[Mapping]]) -> dict[str, Any]:
  """{'variant/key': spread over seeds}."""
  return {
    f'{name}/{key}': spread([summary[key] for summary in runs])
    for name, runs in summaries.items()
    for key in runs[0]
  }


def table(columns, summaries: Mapping[str, Sequence[Mapping]]) -> str:
  """Means over seeds, a row a variant.

  Args:
    columns: (key, heading, format) of what to show; a dash where a variant
      has no such figure.
    summaries: as `sweep` returns.
  """
  rows = [['', *(heading for _, heading, _ in columns)]]
  for name, runs in summaries.items():
    row = [name]
    for key, _, form in columns:
      values = [run[key] for run in runs if key in run]
      row.append(format(statistics.fmean(values), form) if values else '-')
    rows.append(row)
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  lines = []
  for name, *cells in rows:
    padded = [c.rjust(w) for c, w in zip(cells, widths[1:], strict=True)]
    lines.append('  '.join([name.ljust(widths[0]), *padded]))
  return '\n'.join(lines)


def default_workdir(config_path: str) -> pathlib.Path:
  """runs/<area>_<config>, from configs/<area>/<config>.py[:argument]."""
  path, _, arg = config_path.partition(':')
  path = pathlib.Path(path)
  name = f'{path.parent.name}_{path.stem}' + (f'_{arg}' if arg else '')
  return pathlib.Path('runs') / name
