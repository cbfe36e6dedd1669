"""What the studies of recorded generations share: config, recording, cost."""

from collections.abc import Mapping
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


def abstract(cfg: Mapping[str, Any]):
  """The model that is asked, for `--dry_run`.

  Raises:
    ValueError: the section `model` does not describe one.
  """
  wanted = options.section(cfg['record'], 'record', record.Recording)
  config = transformer.TransformerConfig(**cfg['model'])

  return model_init.only_asked(config, wanted.compute), None


def cost(cfg: Mapping[str, Any]) -> list[str]:
  """What `--dry_run` says of a recording: at most, since answers end."""
  wanted = options.section(cfg['record'], 'record', record.Recording)
  config = transformer.TransformerConfig(**cfg['model'])
  answers = wanted.questions * wanted.samples
  tokens = answers * sum(
    getattr(wanted, f'{style}_tokens') for _, style in wanted.cells()
  )
  return [
    f'samples: {answers:,} in each of {len(wanted.cells())} cells',
    f'generated tokens: {tokens:,} at most, '
    f'{2.0 * config.parameters() * tokens:.3g} FLOPs',
    # An id and a log-probability each; texts beside them compress.
    f'log on disk: about {tokens * 8 / 1e9:.3g} GB at most',
  ]
