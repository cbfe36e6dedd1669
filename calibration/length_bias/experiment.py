"""Does length bias how uncertainty is judged? Nothing is trained.

Every estimator against every function of correctness, on one recording of full
sentences (record.py): docs/papers/uq_length_bias.md section 4. `build(cfg)`
reads configs/calibration/length_bias*.py.

No strong judge is at hand on two cores. `alias`, whether an accepted answer
stands in the sentence as whole words, takes its place on short factual answers
and is called what it is; a judge is asked where the config names one.
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from calibration.correctness import collapse, embedding, lexical
from calibration.correctness import judge as judge_lib
from calibration.estimators import names, probe, table
from calibration.length_bias import tables
from calibration.length_bias import world as length_world
from calibration.recording import cell as cell_lib
from calibration.recording import record, setup
from corpora.questions import sets
from engine import experiment as experiment_lib
from engine import options, stop
from engine.report import claims as claims_lib
from lm.checkpoints import encoder as encoder_lib
from lm.judging import judge as asking
from lm.judging import local

STYLE = 'sentence'
_WORD = re.compile(r'[a-z0-9]+')
TRUSTED = 'alias'
# What the paper's headline compares: the longer the sentence, the less it can
# pass the first; the last does not see length.
LEXICAL = 'rougel_f1@0.3'

COLUMNS = tuple(
  (f'mean/{setting}/{name}/auroc', f'{name}, {title}', '.3f')
  for name in ('tokens', 'nsp', 'ppl', 'se_norm')
  for setting, title in ((LEXICAL, 'ROUGE-L .3'), (TRUSTED, 'alias'))
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
  """What is scored.

  Attributes:
    samples: of those recorded, for estimators that sample.
    encoder: of sentences, see `lm.encoder`; none where empty, and then neither
      BERTScore nor SentenceBERT.
    judge: model that judges, see `lm.hub.resolve`; none where empty.
    same: cosine above which two answers mean the same; 0 for answers that
      name the same thing (collapse.py). Stands for entailment both ways.
    rouge_label: ROUGE-L F1 above which an answer is right to the probe. The
      paper has 0.5, which a full sentence about one word cannot pass.
  """

  samples: int = 10
  encoder: str = 'minilm_l6'
  judge: str = ''
  same: float = 0.0
  rouge_label: float = 0.3

  def __post_init__(self):
    if self.samples < 1:
      raise ValueError(f'study.samples must be positive, got {self.samples}')
    if not 0 <= self.same <= 1:
      raise ValueError(f'study.same must be in [0, 1], got {self.same}')
    if self.same and not self.encoder:
      raise ValueError(
        f'study.same={self.same} needs sentences encoded; set study.encoder, '
        'or study.same to 0'
      )


def build(cfg: Mapping[str, Any]) -> experiment_lib.Experiment:
  """Reads the sections `record`, `study`, `tables`, `probe` and `world`.

  Raises:
    ValueError: a field that does not fit.
  """
  wanted = options.section(cfg['record'], 'record', record.Recording)
  study = options.section(cfg['study'], 'study', Study)
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
    encoder = encoder_lib.Encoder.load(study.encoder) if study.encoder else None
    found: dict[str, Any] = {}
    for number, (name, _) in enumerate(wanted.cells()):
      stop.check()
      cell = cell_lib.load(wanted.at(), name, STYLE)
      name = sets.label(name)
      figures = measure(
        jax.random.fold_in(key, number),
        cell,
        study,
        how,
        fitted,
        encoder,
        seed=seed,
      )
      found |= {f'{name}/{k}': v for k, v in figures.items()}
    found |= means(found, tuple(sets.label(name) for name, _ in wanted.cells()))
    known = length_world.sweep(world)
    return flat(found) | {f'controlled/{k}': v for k, v in known.items()}

  return experiment_lib.Experiment(
    open=lambda: experiment_lib.only_evaluates(test, steps=steps),
    **setup.dry_run(cfg, wanted),
    columns=COLUMNS,
    claims=claims,
    figures='calibration.length_bias.study_plots',
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
  study: Study,
  how: tables.Settings,
  fitted: probe.Probe,
  encoder: encoder_lib.Encoder | None,
  *,
  seed: int,
) -> dict[str, Any]:
  """The table of one set, with its lengths and values as arrays.

  Args:
    key: consumed here.
    cell: of full sentences.
    study: what is scored.
    how: the table.
    fitted: the probes.
    encoder: of sentences, or None.
    seed: of the probes' folds.
  """
  texts = [one.greedy for one in cell.said]
  references = [one.question.answers for one in cell.said]
  values = {
    name: lexical.scores(name, texts, references) for name in lexical.FUNCTIONS
  }
  if encoder is not None:
    values['bert_score'] = embedding.bert_score(
      texts, references, embedding.between_ends(encoder.tokens)
    )
    values['sentence'] = embedding.sentence_cosine(
      texts, references, encoder.sentences
    )
  out: dict[str, Any] = {}
  if study.judge:
    judged = judge(study.judge, cell)
    values['judge'] = judged.labels
    out |= {f'judge/{k}': float(v) for k, v in judged.figures().items()}
  answers = answers_of(cell, study, encoder)
  table.check(answers)
  scores = {k: np.asarray(v) for k, v in table.estimate(answers).items()}
  states = np.stack([one.answer_hidden for one in cell.said])
  targets = {
    'probe_rouge': (values['rougel_f1'] > study.rouge_label).astype(float),
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
  # What ROUGE counts: a number of three digits is a word and three tokens.
  words = np.array([len(_WORD.findall(text.lower())) for text in texts])
  out |= tables.report(
    key, scores, values, words, settings=how, trusted=TRUSTED
  )
  out |= {
    'n': float(len(texts)),
    'tokens': float(answers.lengths.mean()),
    'words': float(words.mean()),
    'array/lengths': words,
    'array/values': np.stack(list(values.values())),
    'array/functions': ','.join(values),
  }
  return out


def judge(name: str, cell: cell_lib.Cell) -> judge_lib.Judged:
  """Labels of a local model that is asked yes or no."""
  with local.Local.open(name) as model:
    return judge_lib.labels(
      asking.Judge(model.ask, judge_lib.SCHEMA),
      [one.question.prompt for one in cell.said],
      [one.greedy for one in cell.said],
      [one.question.answers for one in cell.said],
    )


def answers_of(
  cell: cell_lib.Cell, study: Study, encoder: encoder_lib.Encoder | None
) -> table.Answers:
  """What the estimators read: tokens before the one that ended an answer."""
  sizes = [len(one.greedy_tokens) - one.greedy_ended for one in cell.said]
  # An empty answer is its end.
  sizes = [max(size, 1) for size in sizes]
  rows, counts, meanings = [], [], []
  for i, one in enumerate(cell.said):
    parts = cell_lib.parts(one)[: study.samples]
    ended = one.ended[: study.samples]
    parts = [p[: max(len(p) - e, 1)] for p, e in zip(parts, ended, strict=True)]
    rows.append(parts)
    counts.append([len(part) for part in parts])
    numbers = cell.numbers[i, : study.samples]
    if study.same:
      texts = list(one.samples[: study.samples])
      same = collapse.similar(texts, encoder.sentences, threshold=study.same)
      numbers = collapse.clusters(texts, same)
    meanings.append(numbers)
  width = max(max(row) for row in counts)
  return table.Answers(
    logprobs=jnp.asarray(
      _padded([o.greedy_logprobs for o in cell.said], sizes)
    ),
    entropies=jnp.asarray(
      _padded([o.greedy_entropies for o in cell.said], sizes)
    ),
    lengths=jnp.array(sizes, jnp.int32),
    characters=jnp.array([len(one.greedy) for one in cell.said], jnp.int32),
    sample_logprobs=jnp.asarray(
      np.stack([cell_lib.padded(row, width) for row in rows])
    ),
    sample_lengths=jnp.array(counts, jnp.int32),
    clusters=jnp.asarray(np.stack(meanings)),
    unique=jnp.asarray(cell.unique[:, : study.samples]),
  )


def _padded(rows, sizes):
  """The first of each row, no longer than the longest of them."""
  cut = [row[:size] for row, size in zip(rows, sizes, strict=True)]
  return cell_lib.padded(cut, max(sizes))


def means(
  figures: Mapping[str, Any], sets: tuple[str, ...]
) -> dict[str, float]:
  """AUROCs over the sets that have enough of both classes in both settings.

  The same sets for every estimator of a setting; `mean/<setting>/sets` counts
  them.
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
  """AUROC against the lexical function less that against the trusted one.

  The mean over the sets that have enough answers of both classes by both.
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
