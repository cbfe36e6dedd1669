"""Seeds of a sweep that ran on other machines, read from their results files.

Each machine runs one seed and writes its file; one joins them:

python -m launch.sweep --config=C --config.sweep.seeds='(1,)' --out=seed_1.json
python -m launch.sweep --config=C --config.sweep.seeds='(2,)' \
  --join=seed_0.json,seed_1.json --out=all.json
"""

import hashlib
import importlib
import json
import os
import pathlib
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from engine.runs import writer

# The summary of each variant.
Summaries = Mapping[str, Mapping[str, Any]]
# What a sweep adds to the figures of its runs.
CLAIMS = 'margin/'
_OLD = 'old_digests.toml'


def digest(config: ConfigDict) -> str:
  """Of all that makes runs comparable: the config but for its seeds."""
  plain = config.to_dict()
  plain['sweep'] = {k: v for k, v in plain['sweep'].items() if k != 'seeds'}
  text = json.dumps(plain, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()[:16]


def same(made: str | None, config: ConfigDict) -> bool:
  """Whether a results file with the digest `made` is of this config.

  A file of an earlier release has the digest of another form of its config.
  """
  if made == digest(config):
    return True
  old = tomllib.loads((pathlib.Path(__file__).parent / _OLD).read_text())
  if made not in old:
    return False
  name, _, argument = old[made].partition(':')
  module = importlib.import_module(f'configs.{name.replace("/", ".")}')
  return digest(module.get_config(argument)) == digest(config)


def read(
  paths: Sequence[str | os.PathLike], config: ConfigDict
) -> dict[int, Summaries]:
  """{seed: summaries} of results files of single seeds.

  Args:
    paths: made by launch.sweep.
    config: of the sweep that they shall join.

  Raises:
    FileNotFoundError: no such file.
    ValueError: one of several seeds, of another config, or of a seed that is
      there already.
  """
  names, wanted = list(config.sweep.variants), digest(config)
  out: dict[int, Summaries] = {}
  for path in map(pathlib.Path, paths):
    made = writer.read_json(path)
    seeds = made['seeds']
    if len(seeds) != 1:
      raise ValueError(f'--join: {path} must be of one seed, has {seeds}')
    if not same(made.get('config'), config):
      raise ValueError(
        f'--join: {path} must be of this config ({wanted}), got '
        f'{made.get("config", "none")}; give the same --config, or run the '
        'seed again'
      )
    seed = seeds[0]
    if seed in out or seed in config.sweep.seeds:
      raise ValueError(
        f'--join: seed {seed} of {path} is there twice; change '
        '--config.sweep.seeds or leave the file out'
      )
    out[seed] = _summaries(made['results'], names)
  return out


def _summaries(results: Mapping[str, Any], names: Sequence[str]):
  out: dict[str, dict[str, Any]] = {name: {} for name in names}
  for key, value in results.items():
    name, _, figure = key.partition('/')
    if not key.startswith(CLAIMS):
      out[name][figure] = value
  return out


def join(
  here: Mapping[str, Sequence[Mapping]],
  seeds: Sequence[int],
  others: Mapping[int, Summaries],
) -> tuple[dict[str, list[Mapping]], list[int]]:
  """Summaries by variant over all seeds, and the seeds, both in their order.

  Args:
    here: as `variants.sweep` returns, in the order of `seeds`.
    seeds: that ran here.
    others: see `read`.
  """
  every = dict(others)
  for i, seed in enumerate(seeds):
    every[seed] = {name: runs[i] for name, runs in here.items()}
  order = sorted(every)
  names = next(iter(every.values()))
  return {name: [every[s][name] for s in order] for name in names}, order
