"""What the figures of samplers show, as numbers read from files; no JAX.

Families. A rule's is its name and what it scores by, whatever its other
options: 'threshold', 'top_k margin'. A policy's is the name of its variant
before '_a=', and what follows is its alpha: 'policy b4_a=0.5' belongs to
'policy b4'; a name without '_a=' is a family by itself. Options that a policy
is sampled with make a curve of their own, in its family's colour. A world is a
denoiser and a puzzle: only what was measured in one world shares a panel.

Shapes: S seeds, n rounds.
"""

import collections
import pathlib
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from corpora import puzzles
from diffusion_sampler.report import keys
from engine.report import claims as claims_lib
from engine.report import figures as plots_lib
from engine.runs import finished


class Run(NamedTuple):
  """A variant: its folder and summary at each seed, and L of its answers."""

  variant: str
  folders: list[pathlib.Path]
  summaries: list[dict[str, Any]]
  answer: int
  eos_id: int | None
  world: tuple[str, str]


class Point(NamedTuple):
  """Mean, lowest and highest over seeds; `note` is a policy's alpha."""

  passes: tuple[float, float, float]
  value: tuple[float, float, float]
  note: str


class Curve(NamedTuple):
  """Points of a family by passes; `options` are a policy's at sampling."""

  family: str
  options: str
  points: list[Point]


class Panel(NamedTuple):
  title: str
  curves: list[Curve]
  world: tuple[str, str]


class _Task(NamedTuple):
  name: str
  answer: int
  eos_id: int | None


def _task(data: Mapping) -> _Task:
  """A puzzle, questions in words, or gaps in a text."""
  if 'gap' in data:
    return _Task(data['corpus'], data['gap'] + data['after'], None)
  if 'puzzle' not in data:
    return _Task(data['questions'], data['answer'], data['eos_id'])
  puzzle = puzzles.parse(data['puzzle'])
  return _Task(data['puzzle'], puzzle.answer, puzzle.eos_id)


def gather(workdir: pathlib.Path) -> list[Run]:
  """What was run, the world with most variants first.

  Raises:
    FileNotFoundError: no finished run or sweep, or none that sampled.
  """
  out = []
  alone = not (workdir / 'sweep.json').exists()
  for name, folders in finished.sweep_runs(workdir).items():
    opened = [finished.open_run(folder) for folder in folders]
    config = opened[0].config
    task, seed = _task(config['data']), config['run']['seed']
    denoiser = pathlib.Path(config.get('denoiser') or folders[0]).name
    run = Run(
      variant='policy' if alone else name,
      folders=folders,
      summaries=[run.summary for run in opened],
      answer=task.answer,
      eos_id=task.eos_id,
      world=(f'denoiser: {denoiser.removesuffix(f"-{seed}")}', task.name),
    )
    if any(key.endswith('/accuracy') for key in run.summaries[0]):
      out.append(run)
  if not out:
    raise FileNotFoundError(
      f'{workdir} must hold runs that measured samplers, but no summary.json '
      "there has a figure '<sampler>@<block>/accuracy'; set "
      '--config.sampling.samplers'
    )
  sizes = collections.Counter(run.world for run in out)
  return sorted(out, key=lambda run: -sizes[run.world])


def alpha_of(variant: str) -> tuple[str, str]:
  """'steered_a=1' is ('steered', '1'); '' where a name tells no alpha."""
  family, _, alpha = variant.rpartition('_a=')
  return (family, alpha) if family else (variant, '')


def _place(variant: str, sampler: str) -> tuple[str, str, str]:
  """Family, options and note of what a variant measured."""
  family = keys.family(sampler)
  if not keys.is_policy(sampler):
    # Its default, spelled out beside those that spell it.
    return ('top_k confidence' if family == 'top_k' else family), '', ''
  family, alpha = alpha_of(variant)
  return family, sampler.partition('(')[2].rstrip(')'), alpha


def panels(runs: Sequence[Run], figure: str = 'accuracy') -> list[Panel]:
  """Curves by block length in every world; empty without such a figure.

  What several variants of a world measured, a threshold on the same denoiser,
  is taken from the first of them.
  """
  found: dict[tuple, dict] = {}
  whole = {run.world: run.answer for run in runs}
  for run in runs:
    for key in run.summaries[0]:
      told = keys.parse(key)
      if not told or told.figure != figure:
        continue
      passes, value = (
        [summary[str(told._replace(figure=which))] for summary in run.summaries]
        for which in ('nfe', figure)
      )
      if np.isnan(value).any():  # no such record
        continue
      family, options, note = _place(run.variant, told.sampler)
      curve = found.setdefault((run.world, told.block), {})
      curve = curve.setdefault((family, options), {})
      owner = run.variant if keys.is_policy(told.sampler) else ''
      three = (tuple(claims_lib.interval(v)) for v in (passes, value))
      point = Point(*three, note)
      curve.setdefault((owner, told.sampler), point)
  worlds = list(whole)
  out = []
  for world, block in sorted(found, key=lambda k: (worlds.index(k[0]), k[1])):
    title = f'blocks of {block}'
    if block >= whole[world]:
      title = 'full diffusion (block = whole answer)'
    own = [part for part in world if any(part not in w for w in worlds)]
    title = '\n'.join([title, *textwrap.wrap(', '.join(own), 50)])
    curves = [
      Curve(family, options, sorted(points.values()))
      for (family, options), points in found[world, block].items()
    ]
    out.append(Panel(title, curves, world))
  # One point alone compares nothing.
  telling = [p for p in out if sum(len(c.points) for c in p.curves) > 1]
  return telling or out


class Learning(NamedTuple):
  """A metric of a policy by round, [S, n]."""

  rounds: np.ndarray
  values: np.ndarray


TRAINED = {'reward': 'reward', 'accuracy': 'share right', 'nfe': 'passes (NFE)'}


def learning(runs: Sequence[Run]) -> dict[str, dict[str, Learning]]:
  """{variant: {metric: by round}} of the policies."""
  out: dict[str, dict[str, Learning]] = {}
  for run in runs:
    for name in TRAINED:
      seeds = [
        dict(zip(*plots_lib.history(folder, f'train/{name}'), strict=True))
        for folder in run.folders
        if (folder / 'metrics.jsonl').exists()
      ]
      rounds = sorted(set.intersection(*map(set, seeds))) if seeds else []
      if rounds:
        values = np.array([[seed[r] for r in rounds] for seed in seeds])
        made = Learning(np.array(rounds), values)
        out.setdefault(run.variant, {})[name] = made
  return {v: found for v, found in out.items() if 'reward' in found}
