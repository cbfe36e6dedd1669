"""The `--dry_run` of studies of recorded generations."""

from collections.abc import Callable, Mapping
from typing import Any

from calibration.recording import record
from lm import init as model_init


def dry_run(
  cfg: Mapping[str, Any], wanted: record.Recording
) -> dict[str, Callable]:
  """The fields of `Experiment` for `--dry_run`, see `lm.init.dry_run`."""
  answers = wanted.questions * wanted.samples
  tokens = answers * sum(
    getattr(wanted, f'{style}_tokens') for _, style in wanted.cells()
  )

  def cost(model) -> list[str]:
    del model
    return [
      f'samples: {answers:,} in each of {len(wanted.cells())} cells',
      f'generated tokens: {tokens:,} at most, since answers end',
      # Each token is an id and a log-probability; texts compress well.
      f'log on disk: about {tokens * 8 / 1e9:.3g} GB at most',
    ]

  return model_init.dry_run(
    cfg,
    wanted.compute,
    cost,
    flops=lambda model: 2 * model.parameters() * tokens,
  )
