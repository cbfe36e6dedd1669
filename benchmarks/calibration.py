r"""Calibration: errors and diagrams beside relplot, estimators beside a loop.

python -m benchmarks.calibration --out=docs/results/calibration_speed.json

- smece_ratio_<n>: smECE with its width of n answers, ours over relplot.smECE in
  speed. Theirs is float64, ours float32 on data that lies where it is read,
  after compilation; smece_difference_<n> and smece_width_difference_<n> are
  how far the two are apart.
  Floor: every answer is read once, 12 bytes, and added to the grid at four
  places; then, whatever n, 11 widths of three real transforms of 8,192 points
  and 5,120 places to read, some 10 MFLOP and 6 MB that stay in the cache. At
  n = 1e6 that is 12 MB to read and 4e6 additions, one after the other.
- bootstrap_ratio: width, curve, density and band of a diagram of 1,000 answers
  with 1,000 replicates, over relplot's prepare_rel_diagram (without its
  interval of the error; its bags are drawn the same way). bootstrap_ratio_1e4:
  of 10,000. bootstrap_difference: mean distance of the two bands, theirs with
  its own regressor that smooths residuals, in units of the band's mean width;
  two bands of 1,000 replicates differ by some hundredths.
  Floor: n R draws of some 50 integer operations, and three products, 6 R n T =
  1.2 GFLOP for n = 1e3 and T = 200; past 4,097 answers n becomes 4,097 and
  there are two products, 3.3 GFLOP, beside 4 n R additions.
- estimators_ratio: table.estimate of 2,000 questions x 10 samples x 32 tokens
  over a plain NumPy loop. estimators_difference: largest, relative to the
  estimator's range. Floor: each log-probability is read once, 2.8 MB, and
  10 x 10 comparisons a question.
- polygraph_ratio: estimator_peers.ours of 300 questions x 10 samples x 32
  tokens over the same by lm-polygraph and uqlm, where these are installed
  (benchmarks/estimator_peers.py says how). Both find ROUGE-L with rouge-score,
  which is most of the time.
- difference_<peer>_<what>: largest over 20 random runs against relplot,
  netcal, scikit-learn, SciPy and rouge-score, live; over 5 runs of
  estimator_peers.inputs against lm-polygraph and uqlm.

Sides have processes of their own and take turns; seconds are medians.
"""

import statistics
import sys
import time

import numpy as np
import tqdm
from absl import flags

from benchmarks import alternate, estimator_peers
from benchmarks import calibration_sides as sides
from engine.runs import results
from launch import cli

_OUT = flags.DEFINE_string('out', '', 'results file; none if empty')
_REPEATS = flags.DEFINE_integer('repeats', 9, 'rounds of all sides')


def _rounds(makers, repeats: int, what: str):
  """{side: {key: (median seconds, last value)}}."""
  seen = {name: [] for name in makers}
  with alternate.sides(makers) as running:
    for _ in tqdm.trange(repeats, desc=what, leave=False):
      for name, run in running.items():
        seen[name].append(run())
  return {
    name: {
      key: (statistics.median(row[key][0] for row in rows), rows[-1][key][1])
      for key in rows[0]
    }
    for name, rows in seen.items()
  }


def errors(repeats: int) -> dict[str, float]:
  """smECE of all sizes."""
  makers = {'ours': sides.smece_ours, 'theirs': sides.smece_theirs}
  seen, out = _rounds(makers, repeats, 'smECE'), {}
  for name in sides.SIZES:
    (ours, value), (theirs, other) = (seen[side][name] for side in makers)
    out |= {
      f'smece_ratio_{name}': theirs / ours,
      f'smece_seconds_ours_{name}': ours,
      f'smece_seconds_theirs_{name}': theirs,
      f'smece_difference_{name}': abs(value[0] - other[0]),
      f'smece_width_difference_{name}': abs(value[1] - other[1]),
    }
  return out


def diagrams(repeats: int) -> dict[str, float]:
  """Bootstrap bands."""
  makers = {'ours': sides.diagram_ours, 'theirs': sides.diagram_theirs}
  seen, out = _rounds(makers, repeats, 'diagrams'), {}
  for name in sides.DIAGRAMS:
    (ours, band), (theirs, other) = (seen[side][name] for side in makers)
    end = '' if name == '1e3' else f'_{name}'
    out |= {
      f'bootstrap_ratio{end}': theirs / ours,
      f'bootstrap_seconds_ours{end}': ours,
      f'bootstrap_seconds_theirs{end}': theirs,
      f'bootstrap_difference{end}': float(
        np.abs(band - other).mean() / (other[1] - other[0]).mean()
      ),
    }
  return out


def estimators(repeats: int) -> dict[str, float]:
  """All estimators of uncertainty."""
  makers = {'ours': sides.estimators_ours, 'theirs': sides.estimators_theirs}
  seen = _rounds(makers, repeats, 'estimators')
  ours, theirs = seen['ours'], seen['theirs']
  apart = [
    np.max(np.abs(ours[name][1] - theirs[name][1])) / np.ptp(theirs[name][1])
    for name in theirs
  ]
  seconds = {side: seen[side]['ppl'][0] for side in makers}
  return {
    'estimators_ratio': seconds['theirs'] / seconds['ours'],
    'estimators_seconds_ours': seconds['ours'],
    'estimators_seconds_theirs': seconds['theirs'],
    'estimators_difference': float(max(apart)),
    'estimators': len(theirs),
  }


def peers(repeats: int) -> dict[str, float]:
  """The estimators of lm-polygraph and uqlm, ours over theirs."""
  makers = {
    'ours': estimator_peers.side_ours,
    'theirs': estimator_peers.side_theirs,
  }
  seen = _rounds(makers, repeats, 'peers')
  ours, theirs = (seen[side]['all'][0] for side in makers)
  return {
    'polygraph_ratio': theirs / ours,
    'polygraph_seconds_ours': ours,
    'polygraph_seconds_theirs': theirs,
  }


def main() -> None:
  began = time.monotonic()
  repeats = _REPEATS.value
  out = errors(repeats) | diagrams(max(repeats // 3, 1)) | estimators(repeats)
  if said := estimator_peers.missing():
    print(said)
  else:
    out |= peers(max(repeats // 3, 1))
  # Last: a process that has started JAX would slow the sides down.
  out |= sides.parity()
  if not said:
    out |= estimator_peers.parity()
  for name, value in out.items():
    print(f'{name:<40} {value:,.4g}')
  if _OUT.value:
    results.write(
      _OUT.value,
      {name: float(value) for name, value in out.items()},
      command=' '.join(['python -m benchmarks.calibration', *sys.argv[1:]]),
      seconds=time.monotonic() - began,
      seeds=[0],
    )


if __name__ == '__main__':
  cli.main(main)
