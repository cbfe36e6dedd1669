"""Does length bias how uncertainty is judged? Nothing is trained.

Every estimator against every function of correctness, on one recording of full
sentences (record.py): docs/papers/uq_length_bias.md section 4. `build(cfg)`
reads configs/calibration/length_bias*.py.

No strong judge fits on two cores. On short factual answers `alias` takes its
place: whether the sentence says an accepted answer (corpora grading.py). A
judge, AlignScore and people count where the config names them.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from absl import logging

from calibration.correctness import collapse, ratings, thresholds
from calibration.estimators import (
  names,
  probe,
  table,
)
from calibration.length_bias import answers as answers_lib
from calibration.length_bias import study as study_lib
from calibration.length_bias import tables
from calibration.length_bias import world as length_world
from calibration.recording import cell as cell_lib
from calibration.recording import record, self_report, setup
from corpora.questions import sets
from engine import experiment as experiment_lib
from engine import options, stop
from engine.report import claims as claims_lib

STYLE = 'sentence'
_WORD = re.compile(r'[a-z0-9]+')
TRUSTED = 'alias'
# The paper's headline compares these two: a long sentence cannot pass this one,
# and TRUSTED does not depend on length.
LEXICAL = 'rougel_f1@0.3'

COLUMNS = tuple(
  (f'mean/{setting}/{name}/auroc', f'{name}, {title}', '.3f')
  for name in ('tokens', 'nsp', 'ppl', 'se_norm')
  for setting, title in ((LEXICAL, 'ROUGE-L .3'), (TRUSTED, 'alias'))
)


def build(cfg: Mapping[str, Any]) -> experiment_lib.Experiment:
  """Reads the sections `record`, `study`, `tables`, `probe` and `world`.

  Raises:
    ValueError: a field that does not fit.
  """
  wanted = options.section(cfg['record'], 'record', record.Recording)
  study = options.section(cfg['study'], 'study', study_lib.Study)
  how = options.section(cfg['tables'], 'tables', tables.Settings)
  fitted = options.section(cfg['probe'], 'probe', probe.Probe)
  world = options.section(cfg['world'], 'world', length_world.World)
  seed, steps = cfg['run']['seed'], cfg['run']['steps']
  if wanted.styles != (STYLE,):
    raise ValueError(
      f"record.styles must be ('{STYLE}',), the paper's one, got "
      f'{wanted.styles}'
    )
  if study.samples > wanted.samples:
    raise ValueError(
      f'study.samples={study.samples} must be recorded, but record.samples='
      f'{wanted.samples}'
    )

  def test(state, key):
    del state
    record.gather(wanted)
    cells = {
      name: cell_lib.load(wanted.at(), name, STYLE)
      for name, _ in wanted.cells()
    }
    people = study_lib.rated(study, cells)
    if study.reports:
      self_report.gather(wanted)
    models = study_lib.Models.load(study, wanted)
    found: dict[str, Any] = {}
    for number, (name, cell) in enumerate(cells.items()):
      stop.check()
      reports = None
      if study.reports:
        ids = [one.question.id for one in cell.said]
        reports = self_report.load(wanted, name, STYLE, ids)
      figures = measure(
        jax.random.fold_in(key, number),
        cell,
        study,
        how,
        fitted,
        models,
        seed=seed,
        people=people[name],
        reports=reports,
      )
      found |= {f'{sets.label(name)}/{k}': v for k, v in figures.items()}
    found |= means(found, tuple(sets.label(name) for name, _ in wanted.cells()))
    known = length_world.sweep(world)
    return flat(found) | {f'controlled/{k}': v for k, v in known.items()}

  return experiment_lib.Experiment(
    open=lambda: experiment_lib.only_evaluates(test, steps=steps),
    **setup.dry_run(cfg, wanted),
    columns=COLUMNS,
    claims=claims,
    figures='calibration.length_bias.plots',
  )


def flat(figures: Mapping[str, Any]) -> dict[str, Any]:
  """[estimate, low, high] as three keys; arrays and the rest as they are."""
  out: dict[str, Any] = {}
  for name, value in figures.items():
    if isinstance(value, list):
      out[name], out[f'{name}_low'], out[f'{name}_high'] = map(float, value)
    else:
      out[name] = value
  return out


def measure(
  key: jax.Array,
  cell: cell_lib.Cell,
  study: study_lib.Study,
  how: tables.Settings,
  fitted: probe.Probe,
  models: study_lib.Models,
  *,
  seed: int,
  people: ratings.Ratings | None = None,
  reports: Sequence[self_report.Report] | None = None,
) -> dict[str, Any]:
  """The table of one set, with its lengths and values as arrays.

  Args:
    key: consumed here.
    cell: full sentences.
    study: the estimators and functions.
    how: settings of the table.
    fitted: settings of the probes.
    models: those that functions of correctness need.
    seed: seed of the probes' folds.
    people: ratings of the same answers, in their order.
    reports: what the model says of the same answers, in their order.
  """
  values, out = study_lib.values_of(cell, study, models)
  answers = answers_lib.of(cell, study, models)
  table.check(answers)
  out |= collapse.measured(np.asarray(answers.clusters))
  scores = {k: np.asarray(v) for k, v in table.estimate(answers).items()}
  if reports is not None:
    said, unread = answers_lib.reported(reports)
    scores |= said
    out |= unread
  states = np.stack([one.answer_hidden for one in cell.said])
  targets = {
    'probe_rouge': thresholds.label(values['rougel_f1'], study.rouge_label),
    'probe_alias': values[TRUSTED],
  }
  if study.judge:
    targets['probe_judge'] = values['judge']
  for name, label in targets.items():
    # Where there is nothing to learn from, that estimator is left out.
    try:
      scores[name] = probe.out_of_fold(
        states, label, cell.groups, probe=fitted, seed=seed
      )
    except ValueError as error:
      logging.warning('%s: left out: %s', name, error)
  # Words as ROUGE counts them: a number of three digits is three tokens.
  words = np.array(
    [len(_WORD.findall(one.greedy.lower())) for one in cell.said]
  )
  out |= tables.report(
    key, scores, values, words, settings=how, trusted=TRUSTED, people=people
  )
  if people is not None:
    out['people/rated'] = float(people.rated())
    out['people/raters'] = float(len(people.raters))
  out |= {
    'n': float(len(words)),
    'tokens': float(answers.lengths.mean()),
    'words': float(words.mean()),
    'array/lengths': words,
    'array/values': np.stack(list(values.values())),
    'array/functions': ','.join(values),
  }
  return out


def means(
  figures: Mapping[str, Any], sets: tuple[str, ...]
) -> dict[str, float]:
  """Mean AUROCs over the sets with enough answers of both classes.

  A set counts if it has them in the setting and in the trusted one. All
  estimators of a setting have the same sets; `mean/<setting>/sets` counts them.
  """
  out: dict[str, float] = {}
  keys = [key.split('/', 1) for key in figures if key.endswith('/known')]
  for setting in dict.fromkeys(rest.rpartition('/')[0] for _, rest in keys):
    kept = [
      name
      for name in sets
      if f'{name}/{setting}/omitted' not in figures
      and not figures[f'{name}/{setting}/few']
      and not figures[f'{name}/{TRUSTED}/few']
    ]
    out[f'mean/{setting}/sets'] = float(len(kept))
    for estimator in names.NAMES:
      for kind in ('auroc', 'within', 'partial'):
        values = [
          figures.get(f'{name}/{setting}/{estimator}/{kind}') for name in kept
        ]
        if values and None not in values:
          out[f'mean/{setting}/{estimator}/{kind}'] = float(
            np.mean([value[0] for value in values])
          )
  return out


def claims(summaries: claims_lib.Summaries) -> dict[str, list[float]]:
  """The paper's direction, from the means of each model. Signs are theirs."""
  return claims_lib.margins_of_each(CLAIMS, summaries)


def _less(estimator: str, kind: str):
  """AUROC against the lexical function less AUROC against the trusted one.

  The mean over the sets with enough answers of both classes by both functions.
  """
  end = f'/{LEXICAL}/{estimator}/{kind}'

  def value(run):
    sets = [key.removesuffix(end) for key in run if key.endswith(end)]
    found = [
      run[f'{name}{end}'] - run[f'{name}/{TRUSTED}/{estimator}/{kind}']
      for name in sets
      if name != 'mean'
      and not run[f'{name}/{LEXICAL}/few']
      and not run[f'{name}/{TRUSTED}/few']
    ]
    return float(np.mean(found)) if found else float('nan')

  return value


def _spearman(function: str):
  def value(run):
    found = [
      value
      for key, value in run.items()
      if key.endswith(f'/spearman/function/{function}')
    ]
    return float(np.mean(found)) if found else float('nan')

  return value


CLAIMS = {
  'length looks better by ROUGE-L F1 > .3 than by alias (> 0)': _less(
    'tokens', 'auroc'
  ),
  'so does the sequence probability (> 0)': _less('nsp', 'auroc'),
  'perplexity looks worse (< 0)': _less('ppl', 'auroc'),
  'mean token entropy looks worse (< 0)': _less('mte', 'auroc'),
  'within lengths, sequence probability moves less (nearer 0)': _less(
    'nsp', 'within'
  ),
  'within lengths, perplexity moves less (nearer 0)': _less('ppl', 'within'),
  'the longer, the lower ROUGE-L F1 (Spearman, < 0)': _spearman('rougel_f1'),
  'but not ROUGE-L recall (Spearman, near 0)': _spearman('rougel_recall'),
}
