"""The config that a run was started with, and what may differ when it resumes.

workdir/config.json
"""

import pathlib
from collections.abc import Mapping
from typing import Any

from absl import logging

from engine.runs import moved, writer

NAME = 'config.json'


def check(workdir: pathlib.Path, config: Mapping) -> None:
  """Raises ValueError if the run was started with a config that differs.

  What changes neither the numbers of a run nor their order may differ, and a
  run may be made longer.
  """
  path = workdir / NAME
  if not path.exists():
    return
  before = _flat(moved.modern(writer.read_json(path)))
  now = _flat(config)
  refused = []
  for name in sorted(before.keys() | now.keys()):
    pair = before.get(name, 'absent'), now.get(name, 'absent')
    if pair[0] == pair[1]:
      continue
    text = f'{name} was {pair[0]!r}, is {pair[1]!r}'
    if _may_change(name, *pair):
      logging.info('The run goes on with another config: %s', text)
    else:
      refused.append(text)
  if refused:
    raise ValueError(
      f'{workdir} holds a run with another config ({"; ".join(refused)}); '
      'give its config or another --workdir. A resumed run may change '
      'run.keep, run.log_every and mesh.*, and raise run.steps'
    )


def _may_change(name: str, before, now) -> bool:
  if name in ('run.keep', 'run.log_every') or name.startswith('mesh.'):
    return True
  numbers = type(before) is type(now) is int
  return name == 'run.steps' and numbers and now > before


def _flat(config: Mapping, prefix: str = '') -> dict[str, Any]:
  out = {}
  for name, value in config.items():
    if isinstance(value, Mapping):
      out |= _flat(value, f'{prefix}{name}.')
    else:
      out[prefix + name] = value
  return out
