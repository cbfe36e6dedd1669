"""What the studies of recorded generations share: config, recording, cost."""

from collections.abc import Callable, Mapping
from typing import Any

import jax

from calibration.recording import record
from engine import mesh as mesh_lib
from engine import options
from engine.runs import manifest as manifest_lib
from lm import init as model_init
from lm import transformer


def own_device():
  """A mesh of one device: each process answers by itself."""
  own = mesh_lib.make(mesh_lib.MeshConfig(), jax.local_devices()[:1])
  return mesh_lib.use(own)


def gather(wanted: record.Recording) -> None:
  """Records what is missing; opens no model where nothing is."""
  manifest_lib.check(wanted.at(), wanted.manifest())
  if record.missing(wanted):
    with own_device():
      record.record(
        wanted,
        record.open_model(wanted),
        process=jax.process_index(),
        processes=jax.process_count(),
      )
  if jax.process_count() > 1:
    from jax.experimental import multihost_utils

    multihost_utils.sync_global_devices('recorded')


def dry_run(
  cfg: Mapping[str, Any], wanted: record.Recording
) -> dict[str, Callable]:
  """The fields of `Experiment` that `--dry_run` asks, for a recording.

  Without a section `model`, which only describes the model that is asked,
  there are none.
  """
  if 'model' not in cfg:
    return {}
  config = options.section(cfg['model'], 'model', transformer.TransformerConfig)
  answers = wanted.questions * wanted.samples
  tokens = answers * sum(
    getattr(wanted, f'{style}_tokens') for _, style in wanted.cells()
  )

  def cost() -> list[str]:
    return [
      f'samples: {answers:,} in each of {len(wanted.cells())} cells',
      f'generated tokens: {tokens:,} at most, since answers end',
      # An id and a log-probability each; texts beside them compress.
      f'log on disk: about {tokens * 8 / 1e9:.3g} GB at most',
    ]

  return {
    'abstract': lambda: (model_init.only_asked(config, wanted.compute), None),
    'flops': lambda: 2 * config.parameters() * tokens,
    'cost': cost,
  }
