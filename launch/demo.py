r"""The main job: LaCy and its baselines on real Wikipedia text, and who
delegates well.

make demo, or: python -m launch.demo --workdir=runs/demo

Fetches the corpus, trains a tokenizer, marks the facts, trains three small
models, evaluates them on held-out articles, prints a table and an article,
draws two figures, and says where the time went. Every stage resumes.
"""

import importlib
import pathlib
import sys
import time

from absl import flags

from configs.lacy import wiki
from launch import cli, setup, variants

_WORKDIR = flags.DEFINE_string('workdir', 'runs/demo', 'where it is written')


class _Clock:
  """Seconds by stage, in order."""

  def __init__(self):
    self._last = time.monotonic()
    self.stages: list[tuple[str, float]] = []

  def lap(self, stage: str) -> None:
    now = time.monotonic()
    self.stages.append((stage, now - self._last))
    self._last = now

  def __str__(self) -> str:
    total = sum(seconds for _, seconds in self.stages)
    lines = [
      f'  {stage:<34} {seconds:7.1f} s'
      for stage, seconds in [*self.stages, ('total', total)]
    ]
    return '\n'.join(['where the time went', *lines])


def main() -> None:
  workdir = pathlib.Path(_WORKDIR.value)
  config = wiki.get_config('demo')
  setup.compile_cache()
  clock = _Clock()
  area = importlib.import_module(config.experiment)
  corpus = area.open_corpus(config.to_dict())
  clock.lap('corpus and tokenizer')
  for split in ('train', 'validation', 'test'):
    corpus.split(split)
  clock.lap('facts, on all cores')
  summaries = variants.sweep(config, workdir)
  for name, runs in summaries.items():
    for stage in ('train', 'eval'):
      clock.stages.append((f'{name}, {stage}', runs[0][f'seconds_{stage}']))
  rest = sum(s for _, s in clock.stages[2:])
  clock.lap('rest (start, compile, save)')
  clock.stages[-1] = (clock.stages[-1][0], clock.stages[-1][1] - rest)
  plots = importlib.import_module(f'{config.experiment.split(".")[0]}.plots')
  paths = plots.draw(workdir)
  clock.lap('figures')
  print(plots.show(workdir, colour=sys.stdout.isatty()))
  print()
  print(variants.table(area.COLUMNS, summaries))
  print()
  beta = config.lacy.beta
  print(
    f'fact error: facts wrong when the {beta:.0%} of tokens with the highest '
    'call score go to an oracle\nleakage: facts right with calls forbidden '
    '(lower: delegated, not stored)\n'
  )
  print(clock)
  print('\nfigures:')
  for path in paths:
    print(f'  {path}')


if __name__ == '__main__':
  cli.main(main)
