"""Variants of a config over seeds: run them, gather what came out.

`sweep.variants` maps the name of a variant to what it changes: {dotted key:
value}, of the type that the key has. A section is replaced whole by a mapping
and removed by None, as where a variant is another experiment; such a one may
bring keys of its own at the top. The value '{other}' stands for the workdir of
the variant `other` at the same seed. Finished runs are not run again,
interrupted ones are resumed.
"""

import pathlib
import re
from collections.abc import Mapping
from typing import Any

import jax
from absl import logging
from ml_collections import ConfigDict

from engine.runs import finished, writer
from launch import setup

_FOLDER = re.compile(r'\{([^{}]+)\}')


def variant(
  config: ConfigDict, changes: Mapping[str, Any], folders: Mapping[str, str]
) -> ConfigDict:
  """A copy of `config` with the changes of a variant.

  Args:
    config: of the sweep.
    changes: {dotted key: value}, see the head of this file.
    folders: workdirs of the variants by name.

  Raises:
    ValueError: a key that the config does not have, a value of another type,
      or a variant that the sweep does not have.
  """
  config = config.copy_and_resolve_references()
  other = 'experiment' in changes
  with config.unlocked():
    for key, value in changes.items():
      _change(config, key, _filled(key, value, folders), new=other)
  return config


def _filled(key: str, value: Any, folders: Mapping[str, str]) -> Any:
  match = _FOLDER.fullmatch(value) if isinstance(value, str) else None
  if not match:
    return value
  if match[1] not in folders:
    raise ValueError(
      f'sweep.variants sets {key} to the workdir of {match[1]}, which is none '
      f'of {", ".join(folders)}'
    )
  return folders[match[1]]


def _change(config: ConfigDict, key: str, value: Any, *, new: bool) -> None:
  *sections, last = key.split('.')
  place = config
  for name in sections:
    place = place.get(name) if isinstance(place, ConfigDict) else None
  new = (new or isinstance(value, Mapping)) and not sections
  if place is None or (last not in place and not new):
    raise ValueError(f'sweep.variants changes {key}, which is no key')
  if value is None:
    del place[last]
  elif isinstance(value, Mapping):
    with place.ignore_type():
      place[last] = ConfigDict(value)
  else:
    try:
      place[last] = value
    except TypeError as error:
      raise ValueError(
        f'sweep.variants changes {key}={place[last]!r} to {value!r}, which is '
        'of another type'
      ) from error


def sweep(config: ConfigDict, workdir: pathlib.Path) -> dict[str, list[dict]]:
  """Summaries by variant, one a seed. Writes workdir/sweep.json last.

  Raises:
    ValueError: a variant does not fit; before any of them runs.
  """
  variants, seeds = config.sweep.variants.to_dict(), config.sweep.seeds
  asked = []
  for seed in seeds:
    folders = {
      name: str(finished.variant_folder(workdir, name, seed))
      for name in variants
    }
    for name, changes in variants.items():
      changes = {'run.seed': seed} | changes
      cfg = variant(config, changes, folders).to_dict()
      asked.append((name, seed, folders[name], setup.ask(cfg)))
  summaries: dict[str, list[dict]] = {}
  for count, (name, seed, folder, run) in enumerate(asked, start=1):
    logging.info('%s, seed %d (%d of %d)', name, seed, count, len(asked))
    summaries.setdefault(name, []).append(setup.train(run, folder))
    jax.clear_caches()
  writer.write_json(
    workdir / 'sweep.json',
    {
      'experiment': config.experiment,
      'variants': list(variants),
      'seeds': list(seeds),
    },
  )
  return summaries


def default_workdir(config_path: str) -> pathlib.Path:
  """runs/<area>_<config>, from configs/<area>/<config>.py[:argument]."""
  path, _, arg = config_path.partition(':')
  path = pathlib.Path(path)
  name = f'{path.parent.name}_{path.stem}' + (f'_{arg}' if arg else '')
  return pathlib.Path('runs') / name
