"""A reliability diagram: its numbers as a file, and the figure of them; no JAX.

calibration/metrics/reliability.py measures them. Everything that the figure
shows is in the file, with what a reader needs to judge it: how many answers and
samples there are, what a calibrated model would have shown, and the gap without
the winner's curse (section 4.2 of docs/papers/semantic_calibration.md).

Shapes: T points of the mesh.
"""

import os
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np

from engine.report import figures as plots_lib
from engine.runs import writer

_BLACK, _ORANGE, _BLUE = plots_lib.COLOURS[:3]
_GREY = '#8C8C8C'


class Diagram(NamedTuple):
  """Arrays [T] over confidence, and figures of the whole run.

  Attributes:
    mesh: confidences.
    density: of confidences, 1 in the mean.
    accuracy: smoothed, by confidence.
    low: of its bootstrap band.
    high: likewise.
    null_low: of where the curve of perfect calibration would lie.
    null_high: likewise.
    smece: [estimate, low, high], answers drawn again; as relplot has it.
    smece_whole: with confidences of 0 and 1 counted whole (smooth.py).
    width: of the Gaussian.
    floor: smECE of perfect calibration at these confidences, [mean, low, high].
    ece: with ten bins of equal width, as the edge rule 'left' has it.
    gap: mean confidence less accuracy.
    split_gap: the same from split halves of the samples; NaN if not given.
    confidence: mean.
    right: mean, the accuracy.
    answers: how many.
    samples: behind a confidence, M; 0 where it is no frequency.
  """

  mesh: np.ndarray
  density: np.ndarray
  accuracy: np.ndarray
  low: np.ndarray
  high: np.ndarray
  null_low: np.ndarray
  null_high: np.ndarray
  smece: np.ndarray
  smece_whole: float
  width: float
  floor: np.ndarray
  ece: float
  gap: float
  split_gap: float
  confidence: float
  right: float
  answers: int
  samples: int


def save(path: str | os.PathLike, diagram: Diagram) -> None:
  """Writes an npz file, whole or not at all."""
  with writer.replace(path) as temporary:
    np.savez(temporary, **diagram._asdict())


def load(path: str | os.PathLike) -> Diagram:
  """What `save` wrote.

  Raises:
    ValueError: the file is of something else.
  """
  with np.load(path, allow_pickle=False) as file:
    if set(file.files) != set(Diagram._fields):
      odd = sorted(set(file.files) ^ set(Diagram._fields))
      raise ValueError(
        f'{path} must hold the arrays of a reliability diagram, and differs '
        f'in {", ".join(odd[:5])}; give a file that diagram.save wrote'
      )
    arrays = {name: file[name] for name in file.files}
  return Diagram(
    **{name: a if a.ndim else a.item() for name, a in arrays.items()}
  )


def caption(diagram: Diagram) -> str:
  """One line: n, M, smECE with its interval, floor, gaps."""
  parts = [f'n = {diagram.answers}']
  if diagram.samples:
    parts.append(f'M = {diagram.samples}')
  value, low, high = diagram.smece
  floor, _, top = diagram.floor
  ends = f'{diagram.smece_whole:.3f}'
  ends = '' if ends == f'{value:.3f}' else f', ends whole {ends}'
  parts += [
    f'smECE {value:.3f} [{low:.3f}, {high:.3f}]{ends}',
    f'null floor {floor:.3f} (to {top:.3f})',
    f'gap {diagram.gap:+.3f}',
  ]
  if not np.isnan(diagram.split_gap):
    parts.append(f'split-half gap {diagram.split_gap:+.3f}')
  return ', '.join(parts)


def draw(axes, diagram: Diagram) -> None:
  """The diagram on square axes, densities along their foot."""
  d = diagram
  axes.plot([0, 1], [0, 1], color=_BLACK, lw=0.8, ls=':')
  axes.fill_between(
    d.mesh,
    d.null_low,
    d.null_high,
    color=_GREY,
    alpha=0.3,
    lw=0,
    label='if calibrated, 95%',
  )
  # Where less than one answer lies within a width, the curve is made up.
  shown = d.density * d.answers * d.width >= 1.0
  axes.fill_between(
    d.mesh, d.low, d.high, where=shown, color=_BLUE, alpha=0.25, lw=0
  )
  axes.plot(
    d.mesh,
    np.where(shown, d.accuracy, np.nan),
    color=_BLUE,
    lw=2,
    label='accuracy, with bootstrap 95%',
  )
  axes.fill_between(
    d.mesh,
    0,
    0.15 * d.density / d.density.max(),
    color=_ORANGE,
    alpha=0.6,
    lw=0,
    zorder=0,
    label='density of confidences',
  )
  axes.plot(d.confidence, d.right, 'o', color=_BLACK, ms=5, label='mean')
  axes.set_xlim(0, 1)
  axes.set_ylim(0, 1)
  axes.set_aspect('equal')
  axes.set_xlabel('confidence')
  axes.set_ylabel('accuracy')
  plots_lib.style(axes)


def figure(diagram: Diagram, title: str = ''):
  """A matplotlib figure, with the caption below it."""
  out, axes = plt.subplots(figsize=(5.2, 5.6), layout='constrained')
  draw(axes, diagram)
  axes.legend(frameon=False, fontsize=8, loc='upper left')
  if title:
    axes.set_title(title, fontsize=11)
  head, _, tail = caption(diagram).partition(', null floor')
  out.supxlabel(f'{head}\nnull floor{tail}', fontsize=8)
  return out
