"""The numbers of a reliability diagram, measured."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, Shaped

from calibration.metrics import binned, diagram, resampling, smooth


def smece(conf, correct, weights):
  """The value alone, for resampling."""
  return smooth.smece(conf, correct, weights).value


def measure(
  name: str,
  key: Key[Array, ''],
  conf: Float[Array, ' N'],
  correct: Shaped[Array, ' N'],
  *,
  samples: int = 0,
  split_gap: float = float('nan'),
  draws: int = 1000,
) -> diagram.Diagram:
  """Curve, bands, errors and floor of a run.

  Args:
    name: of the task, for messages.
    key: consumed here.
    conf: in [0, 1].
    correct: 0 or 1.
    samples: behind a confidence, M, if it is a frequency.
    split_gap: from split halves of the samples, if there are any.
    draws: of answers, for the intervals; a fifth as many of the null.

  Raises:
    ValueError: naming the task, where an input is none of these.
  """
  binned.check(name, conf, correct)
  again, band, floor, null = jax.random.split(key, 4)
  width = smooth.smece(conf, correct).width
  curve = smooth.curve(conf, correct, width)
  nulls = max(draws // 5, 1)
  band = resampling.band(band, conf, correct, width, draws=draws)
  null = resampling.null_band(null, conf, width, draws=nulls)
  ece = binned.ece(binned.by_width(conf, correct))
  return diagram.Diagram(
    mesh=np.asarray(curve.mesh),
    density=np.asarray(curve.density),
    accuracy=np.asarray(curve.accuracy),
    low=np.asarray(band.low),
    high=np.asarray(band.high),
    null_low=np.asarray(null.low),
    null_high=np.asarray(null.high),
    smece=np.asarray(
      resampling.bootstrap(smece, again, conf, correct, draws=draws)
    ),
    smece_whole=float(smooth.smece(conf, correct, ends='whole').value),
    width=float(width),
    floor=np.asarray(resampling.null_floor(smece, floor, conf, draws=nulls)),
    ece=float(ece),
    gap=float(binned.gap(conf, correct)),
    split_gap=float(split_gap),
    confidence=float(jnp.mean(conf)),
    right=float(jnp.mean(correct)),
    answers=conf.size,
    samples=samples,
  )
