"""What the studies of recorded generations tell `--dry_run`."""

from collections.abc import Callable, Mapping
from typing import Any

from calibration.recording import record
from engine import options
from lm import init as model_init
from lm import transformer


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
