"""Figures of a LaCy sweep from its files; no JAX.

`losses`: loss on facts and elsewhere over training. `delegation`: share of
facts right against the share of calls, one curve a method. `article`: a
held-out article with the called tokens marked, as text. `cascade`: what was
written with a real partner (lacy/cascade/experiment.py), and how much of it is
supported.
"""

import pathlib

import matplotlib.pyplot as plt
import numpy as np

from engine.report import figures as plots_lib
from engine.runs import finished

# ANSI: called facts, called others, and facts kept that came out wrong.
_CALLED_FACT, _CALLED, _WRONG, _PLAIN = (
  '\033[42;30m',
  '\033[43;30m',
  '\033[41;37m',
  '\033[0m',
)


def _arrays(folder: pathlib.Path) -> dict[str, np.ndarray]:
  with np.load(folder / 'evals' / 'test-final.npz') as file:
    return dict(file)


def losses(workdir: pathlib.Path) -> pathlib.Path:
  """Held-out loss by step, facts on the left, all else on the right."""
  figure, panels = plt.subplots(1, 2, figsize=(9, 3.4))
  runs = finished.sweep_runs(workdir)
  titles = {'loss_fact': 'fact tokens', 'loss_nonfact': 'all other tokens'}
  for axes, (key, title) in zip(panels, titles.items(), strict=True):
    for number, (name, folders) in enumerate(runs.items()):
      curves = [plots_lib.history(f, f'eval/validation/{key}') for f in folders]
      steps = curves[0][0]
      values = np.array([values for _, values in curves])
      colour = plots_lib.COLOURS[number % len(plots_lib.COLOURS)]
      dashes = '-' if number < len(plots_lib.COLOURS) else '--'
      axes.plot(steps, values.mean(0), dashes, color=colour, label=name)
      axes.fill_between(
        steps, values.min(0), values.max(0), color=colour, alpha=0.15, lw=0
      )
    axes.set_title(title)
    axes.set_xlabel('training step')
    plots_lib.style(axes)
  panels[0].set_ylabel('held-out loss, CALL forbidden (nats)')
  panels[1].legend(frameon=False, loc='center left', bbox_to_anchor=(1.0, 0.5))
  return plots_lib.finish(figure, workdir / 'figures' / 'losses.png')


def delegation(workdir: pathlib.Path) -> pathlib.Path:
  """Share of facts right as the budget of calls grows."""
  figure, axes = plt.subplots(figsize=(5.6, 4))
  share = 0.0
  beta = None
  runs = finished.sweep_runs(workdir)
  for number, (name, folders) in enumerate(runs.items()):
    made = [_arrays(folder) for folder in folders]
    x = made[0]['curve_call_share']
    y = np.array([m['curve_facts_right'] for m in made])
    colour = plots_lib.COLOURS[number % len(plots_lib.COLOURS)]
    dashes = '-' if number < len(plots_lib.COLOURS) else '--'
    axes.plot(x, y.mean(0), dashes, color=colour, label=name, lw=2)
    axes.fill_between(x, y.min(0), y.max(0), color=colour, alpha=0.15, lw=0)
    summary = finished.open_run(folders[0]).summary
    share, beta = summary['fact_share_eval'], summary['beta']
    error = summary['oracle_error']
  axes.axvline(beta, color='0.6', ls=':', lw=1)
  axes.text(beta, 1.01, f' budget {beta:g}', color='0.4', va='bottom', size=8)
  best = np.minimum(1.0, x / share) * (1.0 - error)
  axes.plot(
    x, best, color='0.75', lw=1, label='knows no facts,\ncalls on facts only'
  )
  axes.set_xlabel('share of tokens that are calls')
  axes.set_ylabel('share of fact tokens right')
  axes.set_ylim(0, 1.05)
  axes.set_xlim(0, x[-1])
  axes.legend(frameon=False, loc='center left', bbox_to_anchor=(1.0, 0.5))
  plots_lib.style(axes)
  return plots_lib.finish(figure, workdir / 'figures' / 'delegation.png')


def article(workdir: pathlib.Path, *, colour: bool = True) -> str:
  """One held-out article as each method would have delegated it.

  [[x]] is a called fact, [x] another call, and {x} a fact that the model
  would state itself and get wrong; with `colour`, backgrounds say the same.
  """
  blocks = []
  for name, folders in finished.sweep_runs(workdir).items():
    made = _arrays(folders[0])
    segments = made['article_segments']
    # The first record whose first document is of readable length.
    lengths = [(row == 1).sum() for row in segments]
    row = int(np.argmax([60 < n < 140 for n in lengths]))
    length = lengths[row]
    parts = []
    for i in range(length - 2):  # neither <bos> nor <eos>
      text = str(made['article_pieces'][row, i])
      fact, call, wrong = (
        made[f'article_{key}'][row, i] for key in ('fact', 'called', 'wrong')
      )
      parts.append(_mark(text, fact, call, wrong, colour))
    blocks.append(f'{name}:\n' + ''.join(parts).strip())
  return '\n\n'.join(blocks)


def _mark(text: str, fact, call, wrong, colour: bool) -> str:
  body = text.lstrip()
  space = text[: len(text) - len(body)]
  if call:
    style, left, right = (
      (_CALLED_FACT, '[[', ']]') if fact else (_CALLED, '[', ']')
    )
  elif fact and wrong:
    style, left, right = _WRONG, '{', '}'
  else:
    return text
  if colour:
    return f'{space}{style}{body}{_PLAIN}'
  return f'{space}{left}{body}{right}'


LEGEND = (
  '[[called fact]]  [other call]  {fact kept, and wrong}  everything else is '
  'written by the model itself'
)


def cascade(workdir: pathlib.Path) -> pathlib.Path:
  """Share of what is written that is supported, by the partner's share."""
  summary = finished.open_run(workdir).summary
  curves: dict[str, list[str]] = {}
  names = [
    key.rpartition('/')[0] for key in summary if key.endswith('/precision')
  ]
  for name in names:
    method, _, how = name.partition(' ')
    if method == 'partner':
      continue
    unit = how.partition(' ')[0]
    for curve in [unit] if unit != 'alone' else _units(names, method):
      curves.setdefault(f'{method} {curve}', []).append(name)
  methods = list(dict.fromkeys(curve.split()[0] for curve in curves))
  figure, axes = plt.subplots(figsize=(5.6, 4))
  for curve, points in curves.items():
    method, unit = curve.split()
    points = sorted(points, key=lambda name: summary[f'{name}/delegated'])
    x, y, low, high = (
      np.array([summary[f'{name}/{key}'] for name in points])
      for key in ('delegated', 'precision', 'precision_low', 'precision_high')
    )
    axes.errorbar(
      x,
      y,
      yerr=(y - low, high - y),
      fmt='o-' if unit == 'token' else 's--',
      color=plots_lib.COLOURS[methods.index(method) % len(plots_lib.COLOURS)],
      label=f'{method}, a {unit} a call',
      elinewidth=0.7,
      markersize=4,
    )
  low, y, high = (
    summary[f'partner alone/precision{end}'] for end in ('_low', '', '_high')
  )
  axes.axhline(y, color='0.5', lw=1, label='the partner alone')
  axes.axhspan(low, high, color='0.5', alpha=0.12, lw=0)
  axes.set_xlabel('share of tokens that the partner wrote')
  axes.set_ylabel('share of names and numbers supported')
  axes.set_ylim(bottom=0)
  axes.legend(frameon=False, loc='center left', bbox_to_anchor=(1.0, 0.5))
  plots_lib.style(axes)
  return plots_lib.finish(figure, workdir / 'figures' / 'cascade.png')


def _units(names, method):
  """The units that a method's calls were worth."""
  hows = (n.split() for n in names if n.startswith(f'{method} '))
  return dict.fromkeys(how[1] for how in hows if how[1] != 'alone')


def written(workdir: pathlib.Path, count: int | None = None) -> str:
  """The first `count` articles as each way of writing continued them."""
  with np.load(workdir / 'evals' / 'cascade-final.npz') as file:
    made = dict(file)
  blocks = []
  for i, title in enumerate(made['titles'][:count]):
    blocks.append(f'== {title}\n{made["references"][i]}')
    for name, texts in zip(made['ways'], made['texts'], strict=True):
      blocks.append(f'{name}:\n{texts[i]}')
  return '\n\n'.join(blocks)


def _is_cascade(workdir: pathlib.Path) -> bool:
  return (workdir / 'evals' / 'cascade-final.npz').exists()


WRITTEN_LEGEND = 'The true article, then what was written; [[by the partner]]'


def draw(workdir: pathlib.Path) -> list[pathlib.Path]:
  """All figures of a run or sweep; returns their paths."""
  if _is_cascade(workdir):
    path = workdir / 'figures' / 'texts.txt'
    paths = [cascade(workdir), path]
    path.write_text(f'{WRITTEN_LEGEND}\n\n{written(workdir)}\n')
    return paths
  text = article(workdir, colour=False)
  paths = [losses(workdir), delegation(workdir)]
  path = workdir / 'figures' / 'article.txt'
  path.write_text(f'{LEGEND}\n\n{text}\n')
  return [*paths, path]


def show(workdir: pathlib.Path, *, colour: bool) -> str:
  """What to print in a terminal after the figures."""
  if _is_cascade(workdir):
    return f'{WRITTEN_LEGEND}\n\n{written(workdir, 1)}'
  text = article(workdir, colour=colour)
  return text if colour else f'{LEGEND}\n\n{text}'
