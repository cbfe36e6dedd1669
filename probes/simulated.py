"""Worlds whose geometry of truth is known, through the same comparison.

`build(cfg)` reads configs/probes/worlds.py. The seed makes the world.
"""

from collections.abc import Mapping
from typing import Any

import jax

from engine import experiment as experiment_lib
from engine import options
from probes import claims as claims_lib
from probes import worlds
from probes.comparing import compare, report


def build(cfg: Mapping[str, Any]) -> experiment_lib.Experiment:
  """Reads the sections `world` and `probes`.

  Raises:
    ValueError: a field that does not fit.
  """
  world = options.section(cfg['world'], 'world', worlds.World)
  probes = options.section(cfg['probes'], 'probes', compare.Settings)
  seed, steps = cfg['run']['seed'], cfg['run']['steps']
  names = [f'task{t}' for t in range(world.tasks)]

  def test(state, key):
    del state
    samples = worlds.draw(jax.random.key(seed), world)
    return report.measure(
      key, lambda _: samples, {'world': 'truth'}, names, probes, seed=seed
    )

  return experiment_lib.Experiment(
    open=lambda: experiment_lib.only_evaluates(test, steps=steps),
    columns=claims_lib.columns('truth'),
    claims=claims_lib.claims,
    figures='probes.plots',
  )
