"""Files of docs/results: what came out, and how to get it again."""

import datetime
import importlib.metadata
import os
import pathlib
import platform
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from engine.runs import writer

_PACKAGES = (
  'jax',
  'jaxlib',
  'flax',
  'optax',
  'numpy',
  'tokenizers',
  'spacy',
  'torch',
  'transformers',
  'scipy',
  'scikit-learn',
  'skglm',
  'relplot',
  'netcal',
  'rouge-score',
)


def versions() -> dict[str, str]:
  """Of Python and of the packages that are installed and matter to results."""
  found = {'python': platform.python_version()}
  for name in _PACKAGES:
    try:
      found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
      continue
  return found


def machine() -> str:
  """Processor model and cores, and accelerators that this program used.

  Never a host's name.
  """
  model = platform.machine()
  info = pathlib.Path('/proc/cpuinfo')
  if info.exists():
    for line in info.read_text().splitlines():
      if line.startswith('model name'):
        model = line.partition(':')[2].strip()
        break
  model = f'{model}, {os.cpu_count()} cores'
  jax = sys.modules.get('jax')  # nothing is started only to be described
  devices = jax.devices() if jax else []
  if devices and devices[0].platform != 'cpu':
    model += f', {len(devices)} {devices[0].device_kind}'
  return model


def write(
  path: str | os.PathLike,
  results: Mapping[str, Any],
  *,
  command: str,
  seconds: float,
  seeds: Sequence[int],
  config: str = '',
) -> None:
  """Writes a results file, whole or not at all.

  Args:
    path: where, usually in docs/results.
    results: flat; numbers, [mean, low, high] or strings.
    command: what makes this file.
    seconds: what that took.
    seeds: of the runs behind it.
    config: a hash of what was run; left out where empty.
  """
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  writer.write_json(
    path,
    {
      'command': command,
      'versions': versions(),
      'machine': machine(),
      'date': datetime.date.today().isoformat(),
      'seconds': round(seconds, 1),
      'seeds': list(seeds),
      **({'config': config} if config else {}),
      'results': dict(results),
    },
  )
