"""Are a language model's semantic confidences calibrated? Nothing is trained.

Records what is missing (record.py), then scores each cell from the log alone:
docs/papers/semantic_calibration.md section 4. `build(cfg)` reads
configs/calibration/semantic*.py.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from calibration.correctness import collapse
from calibration.metrics import binned, diagram, reliability, resampling, smooth
from calibration.recording import cell as cell_lib
from calibration.recording import prompts, record, setup
from calibration.semantic import answered, confidence, probe, recalibrate
from corpora.questions import sets
from engine import experiment as experiment_lib
from engine import options, stop
from engine.report import claims as claims_lib
from engine.stats import auroc as auroc_lib

COLUMNS = tuple(
  (f'{style}/{key}', f'{heading} ({style})', '.3f')
  for style in prompts.STYLES
  for key, heading in (('smece', 'smECE'), ('floor', 'floor'), ('gap', 'gap'))
)


def build(cfg: Mapping[str, Any]) -> experiment_lib.Experiment:
  """Reads the sections `record` and `probe`, and `draws`.

  Raises:
    ValueError: a field that does not fit.
  """
  wanted = options.section(cfg['record'], 'record', record.Recording)
  fitted = options.section(cfg['probe'], 'probe', probe.ProbeConfig)
  draws, steps = cfg['draws'], cfg['run']['steps']

  def test(state, key):
    del state
    record.gather(wanted)
    folder = wanted.at()
    out: dict[str, Any] = {'form': wanted.form}
    for number, (name, style) in enumerate(wanted.cells()):
      stop.check()
      found = cell_lib.load(folder, name, style)
      name = sets.label(name)
      figures, drawn = measure(
        f'{name}, {style}',
        jax.random.fold_in(key, number),
        found,
        style,
        fitted,
        draws=draws,
      )
      out |= {f'{name}/{style}/{k}': v for k, v in figures.items()}
      out |= {
        f'array/{name}/{style}/{field}': np.asarray(value)
        for field, value in drawn._asdict().items()
      }
    return out | means(out, wanted.styles)

  return experiment_lib.Experiment(
    open=lambda: experiment_lib.only_evaluates(test, steps=steps),
    **setup.dry_run(cfg, wanted),
    columns=COLUMNS,
    claims=claims,
    figures='calibration.semantic.plots',
  )


def means(
  figures: Mapping[str, Any], styles: Sequence[str]
) -> dict[str, float]:
  """Means of each style over its sets, for the table of a sweep."""
  out = {}
  for style in styles:
    for key in ('smece', 'floor', 'gap'):
      values = [
        value
        for name, value in figures.items()
        if name.endswith(f'/{style}/{key}') and name.count('/') == 2
      ]
      if values:
        out[f'{style}/{key}'] = float(np.mean(values))
  return out


def measure(
  name: str,
  key: jax.Array,
  cell: cell_lib.Cell,
  style: str,
  config: probe.ProbeConfig,
  *,
  draws: int,
) -> tuple[dict[str, float | str], diagram.Diagram]:
  """All figures of a cell, and its reliability diagram.

  Args:
    name: the cell's name, for messages.
    key: consumed here.
    cell: see cell.py.
    style: the style in which the cell was asked.
    config: settings of the probe that predicts the model's own distribution.
    draws: replicates of an interval.
  """
  # What stands between programs is on the host: eager operations are compiled
  # one by one.
  numbers = jnp.asarray(cell.numbers)
  samples, classes = numbers.shape[1], cell.classes
  plug = confidence.plug_in(numbers, classes=classes)
  correct = jnp.asarray(correct_of(plug, cell.right))
  split = split_gap(numbers, cell.right)
  diagram_key, exact_key, answered_key = jax.random.split(key, 3)
  drawn = reliability.measure(
    name,
    diagram_key,
    plug.value,
    correct,
    samples=samples,
    split_gap=split,
    draws=draws,
  )
  counts = np.round(np.asarray(plug.value) * samples).astype(np.int32)
  bins = binned.by_counts(
    jnp.asarray(counts), jnp.asarray(np.int32(samples)), correct
  )
  levels = binned.by_level(plug.value, correct)
  mass = confidence.counts(numbers, classes=classes)
  out = {
    'n': float(len(cell.said)),
    'samples': float(samples),
    'right': drawn.right,
    'confidence': drawn.confidence,
    'gap': drawn.gap,
    'split_gap': split,
    'smece': float(drawn.smece[0]),
    'smece_low': float(drawn.smece[1]),
    'smece_high': float(drawn.smece[2]),
    'smece_whole': drawn.smece_whole,
    'floor': float(drawn.floor[0]),
    'floor_high': float(drawn.floor[2]),
    'ece': float(binned.ece(bins)),
    'rms': float(binned.rmsce(bins)),
    'brier': float(binned.brier(plug.value, correct)),
    'entropy': float(np.mean(confidence.entropy(mass))),
    'unanswered': float(1 - _sampled(cell, cell.answered).mean()),
    'sample_right': float(_sampled(cell, cell.right).mean()),
    'cut': float(1 - np.mean([one.ended for one in cell.said])),
    'greedy_right': float(np.mean([greedy_right(o, style) for o in cell.said])),
  }
  # It is infinite if every sample agreed and was wrong, and then left out.
  if np.isfinite(loss_gap := float(binned.loss_gap(levels))):
    out['loss_gap'] = loss_gap
  if 0 < drawn.right < 1:
    out['auroc'] = float(auroc_lib.auroc(plug.value, correct))
  out |= collapse.measured(cell.numbers)
  out |= _weighted(cell, numbers)
  out |= _exact(name, exact_key, cell, style, draws)
  out |= answered.measure(
    answered_key, cell.numbers, cell.answered, cell.right, draws=draws
  )
  out |= own_distribution(cell, np.asarray(mass) / samples, config)
  out |= _recalibrated(cell, plug.value, correct)
  return out, drawn


def correct_of(found: confidence.Confidence, right) -> np.ndarray:
  """Whether the class of a confidence is right, float32 [Q]; on the host."""
  top_Q1 = np.asarray(found.top)[:, None]
  picked_Q1 = np.take_along_axis(np.asarray(right), top_Q1, -1)
  return picked_Q1[:, 0].astype(np.float32)


def split_gap(numbers: jax.Array, right) -> float:
  """Mean confidence less accuracy by split halves: no winner's curse."""
  gaps = [
    np.mean(np.asarray(half.value) - correct_of(half, right))
    for half in confidence.split_half(numbers, classes=right.shape[1])
  ]
  return float(np.mean(gaps))


def greedy_right(one, style: str) -> bool:
  """Whether the greedy text means a right answer."""
  said = collapse.label(one.question, one.greedy, style)
  return collapse.is_right(one.question, style, said)


def _sampled(cell, flags) -> np.ndarray:
  """A flag of each sample's class, [Q, S]."""
  return np.take_along_axis(flags, cell.numbers, 1)


def _weighted(cell, numbers) -> dict[str, float]:
  """Errors of the confidences that likelihoods of the samples give."""
  found = confidence.likelihood_weighted(
    numbers,
    jnp.asarray(cell.totals),
    jnp.asarray(cell.unique),
    classes=cell.classes,
  )
  correct = jnp.asarray(correct_of(found, cell.right))
  return {
    'weighted/smece': float(smooth.smece(found.value, correct).value),
    'weighted/gap': float(binned.gap(found.value, correct)),
  }


def _exact(name, key, cell, style, draws) -> dict[str, float]:
  """Errors without sampling, where the answers are a closed set."""
  conf, correct, covered = [], [], []
  for one in cell.said:
    masses = cell_lib.exact_masses(one, style)
    if not masses:
      return {}
    top = max(masses, key=masses.__getitem__)
    conf.append(masses[top])
    correct.append(collapse.is_right(one.question, style, top))
    covered.append(sum(masses.values()))
  c = np.clip(np.array(conf, np.float32), 0.0, 1.0)  # float32 sums
  c, a = jnp.asarray(c), jnp.asarray(np.array(correct, np.float32))
  floor = resampling.null_floor(
    reliability.smece, key, c, draws=max(draws // 5, 1)
  )
  binned.check(name, c, a)
  return {
    'exact/covered': float(np.mean(covered)),
    'exact/confidence': float(np.mean(c)),
    'exact/right': float(np.mean(a)),
    'exact/gap': float(binned.gap(c, a)),
    'exact/smece': float(smooth.smece(c, a).value),
    'exact/floor': float(floor[0]),
  }


# Number of shares by rank that the probe predicts; the rest are summed.
_RANKS = 5


def halves(groups: np.ndarray) -> np.ndarray:
  """A mask of half of the questions, whole groups, in a fixed order."""
  names, inverse = np.unique(groups, return_inverse=True)
  chosen = np.random.default_rng(0).permutation(len(names)) < len(names) / 2
  return chosen[inverse]


def own_distribution(
  cell: cell_lib.Cell, share: np.ndarray, config: probe.ProbeConfig
) -> dict[str, float]:
  """How well the prompt's hidden state tells the model's own shares by rank.

  A linear probe is fitted on one half of the questions and read on the other,
  both ways. Answers differ by question, so shares are by rank (ours);
  `probe/constant` is a prediction that reads nothing.
  """
  x = jnp.asarray(np.stack([one.prompt_hidden for one in cell.said]))
  missing = max(_RANKS - share.shape[1], 0)
  share = np.pad(share, ((0, 0), (0, missing)))
  pi = probe.by_rank(jnp.asarray(share), _RANKS)
  valid = jnp.asarray(np.ones(pi.shape, bool))
  half = halves(cell.groups)
  found = {'probe/kl': [], 'probe/constant': []}
  for train in (half, ~half):
    train, other = jnp.asarray(train), jnp.asarray(~train)
    head = probe.fit_linear(x, pi, train, valid, config=config)
    log_q = probe.predict(head, x, valid)
    found['probe/kl'].append(probe.report(log_q, pi, other).kl)
    flat = probe.constant(pi, train)
    found['probe/constant'].append(probe.report(flat, pi, other).kl)
  return {name: float(np.mean(values)) for name, values in found.items()}


def _recalibrated(cell, conf, correct) -> dict[str, float]:
  """The effect of a tilt that is learned on one half on the other half."""
  half = halves(cell.groups)
  c, a = np.asarray(conf), np.asarray(correct)
  after, saved = np.array(c), []
  for train in (half, ~half):
    other = jnp.asarray(c[~train]), jnp.asarray(a[~train])
    fitted = recalibrate.fit(jnp.asarray(c[train]), jnp.asarray(a[train]))
    after[~train] = recalibrate.apply(fitted, other[0])
    saved.append(recalibrate.recovered(fitted, *other))
  return {
    'tau/smece': float(smooth.smece(jnp.asarray(after), correct).value),
    'tau/saved': float(np.mean(saved)),
  }


def claims(summaries: claims_lib.Summaries) -> dict[str, list[float]]:
  """What the paper predicts, over the cells of each model."""
  return claims_lib.margins_of_each(CLAIMS, summaries)


def _mean(run, styles, key) -> float:
  """Over the cells of those styles; NaN where there are none."""
  values = [
    value
    for name, value in run.items()
    if name.count('/') == 2
    and name.split('/')[1] in styles
    and name.endswith(f'/{key}')
  ]
  return float(np.mean(values)) if values else float('nan')


def _above(run, styles) -> float:
  return _mean(run, styles, 'smece') - _mean(run, styles, 'floor')


_DIRECT, _CHAIN = ('concise', 'sentence'), ('cot',)
# Section 3.5: direct answers are calibrated for a base model, chains of thought
# are not. A claim's name says which sign would make it hold.
CLAIMS: Mapping[str, Callable[[claims_lib.Summary], float]] = {
  'direct answers above the floor (smECE less floor)': (
    lambda run: _above(run, _DIRECT)
  ),
  'chains of thought above the floor (smECE less floor)': (
    lambda run: _above(run, _CHAIN)
  ),
  'chains of thought are worse than direct answers (> 0)': (
    lambda run: _above(run, _CHAIN) - _above(run, _DIRECT)
  ),
  'too sure when answering directly (split-half gap)': (
    lambda run: _mean(run, _DIRECT, 'split_gap')
  ),
  'too sure after a chain of thought (split-half gap)': (
    lambda run: _mean(run, _CHAIN, 'split_gap')
  ),
}
