"""What the comparison should show, row by row, from a sweep's summaries.

Section 11.2. A claim is a number with its range over seeds; the name says which
sign or size would make it hold (engine/report/claims.py).

A summary holds 'accuracy' and 'nfe' of samplers, see keys.py. Samplers are
compared at equal passes by straight lines between the points of a family; at
most as many passes may be spent, so that a curve never falls.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from diffusion_sampler.report import keys
from engine.report import claims as claims_lib

Summary = claims_lib.Summary
Point = tuple[float, float]  # passes, accuracy

# What a sweep shows in the terminal: key, heading, format. Runs that have no
# such figure leave it out.
COLUMNS = (
  ('nll_bound', 'nll bound', '.3f'),
  ('accuracy', 'accuracy', '.3f'),
  ('nfe', 'passes', '.2f'),
)

# Reads the order off the task: an upper bound to compare with, not a rule that
# the comparison is against.
ORACLES = ('left_to_right',)
# A policy without its fallback. One that fell silent in training does nothing
# here, while with the fallback it only looks slow.
ALONE = 'policy(fallback=0)'


def points(
  summary: Summary, block: int, figure: str = 'accuracy'
) -> dict[str, Point]:
  """{sampler: (passes, figure)} at one block length."""
  found = [key for key in map(keys.parse, summary) if key]
  return {
    key.sampler: (summary[str(key._replace(figure='nfe'))], summary[str(key)])
    for key in found
    if (key.block, key.figure) == (block, figure)
  }


def blocks(summary: Summary) -> list[int]:
  """Block lengths that were measured, the longest (full diffusion) last."""
  return sorted({key.block for key in map(keys.parse, summary) if key})


def curve(found: Mapping[str, Point], name: str) -> list[Point]:
  """Points of one family, by passes."""
  return sorted(p for s, p in found.items() if keys.family(s) == name)


def best_at(passes: float, line: Sequence[Point]) -> float:
  """Accuracy of a curve with at most so many passes; nan below its first."""
  if not line or passes < line[0][0] - 1e-9:
    return float('nan')
  x, y = np.array(line).T
  reached = y[x <= passes + 1e-9].max()
  return float(max(reached, np.interp(passes, x, y)))


def envelope(passes: float, found: Mapping[str, Point]) -> float:
  """The best family there, oracles aside; nan where none is so quick."""
  names = {keys.family(s) for s in found} - set(ORACLES)
  values = [best_at(passes, curve(found, name)) for name in names]
  values = [v for v in values if not np.isnan(v)]
  return max(values) if values else float('nan')


def _policies(runs: Mapping[str, Summary], prefix: str) -> dict[str, Summary]:
  """Variants '<prefix>_a=<alpha>' by alpha's text, in ascending order."""
  found = {
    name.rpartition('_a=')[2]: run
    for name, run in runs.items()
    if name.rpartition('_a=')[0] == prefix
  }
  return dict(sorted(found.items(), key=lambda item: float(item[0])))


def _own(run: Summary, block: int) -> Point:
  return points(run, block)['policy']


def _margins(runs, prefix, block, line_at) -> list[float]:
  """Every measured point of the policies less what `line_at` reaches there."""
  out = []
  for run in _policies(runs, prefix).values():
    for passes, accuracy in points(run, block).values():
      there = line_at(passes)
      if not np.isnan(there):
        out.append(accuracy - there)
  return out


def _threshold_over(runs, other: str) -> float:
  """Mean margin at the passes of either family, in the shortest blocks."""
  found = points(runs['heuristics'], blocks(runs['heuristics'])[0])
  line, beside = curve(found, 'threshold'), curve(found, other)
  gaps = [best_at(x, line) - best_at(x, beside) for x, _ in line + beside]
  gaps = [g for g in gaps if not np.isnan(g)]
  return float(np.mean(gaps)) if gaps else float('nan')


def _threshold_loses(runs) -> float:
  short, *_, full = blocks(runs['heuristics'])
  name = 'threshold(threshold=0.9)'
  return (
    points(runs['heuristics'], short)[name][1]
    - points(runs['heuristics'], full)[name][1]
  )


def _semi_block(runs) -> int:
  """The block of the policies that were trained in blocks."""
  one = next(iter(_policies(runs, 'semi').values()))
  return next(b for b in blocks(one))


def _semi_margins(runs) -> list[float]:
  block = _semi_block(runs)
  line = curve(points(runs['heuristics'], block), 'threshold')
  return _margins(runs, 'semi', block, lambda n: best_at(n, line))


def _full(runs) -> int:
  return blocks(runs['heuristics'])[-1]


def _full_margins(runs, prefix) -> list[float]:
  found = points(runs['heuristics'], _full(runs))
  return sorted(
    _margins(runs, prefix, _full(runs), lambda n: envelope(n, found)),
    reverse=True,
  )


def _third(margins: Sequence[float]) -> float:
  return margins[2] if len(margins) > 2 else float('nan')


def _steered_gain(runs, what: Callable) -> float:
  plain, steered = _policies(runs, 'policy'), _policies(runs, 'steered')
  shared = [a for a in steered if a in plain]
  return float(np.mean([what(steered[a]) - what(plain[a]) for a in shared]))


def _inversions(runs) -> float:
  passes = [
    _own(run, _full(runs))[0] for run in _policies(runs, 'policy').values()
  ]
  return float(sum(b > a for a, b in itertools.pairwise(passes)))


def _only(runs, prefix) -> tuple[str, Summary]:
  return next(iter(_policies(runs, prefix).items()))


def _beside(runs, prefix, place: int) -> float:
  """An ablation's figure less the plain policy's of the same alpha."""
  alpha, run = _only(runs, prefix)
  plain = _policies(runs, 'policy')[alpha]
  return _own(run, _full(runs))[place] - _own(plain, _full(runs))[place]


def _blind(runs, what: str) -> float:
  found = points(runs['blind'], _full(runs))
  return found['policy'][1] - found[f'policy(blind={what})'][1]


def _transfer(runs, name: str) -> float:
  """The policy's margin over thresholds on a denoiser it never met."""
  run = runs[name]
  block = blocks(run)[-1]
  found = points(run, block)
  passes, accuracy = found['policy']
  return accuracy - best_at(passes, curve(found, 'threshold'))


Measure = Callable[[Mapping[str, Summary]], float]


def _still_draws(runs) -> float:
  """The worst accuracy of a policy left to itself, as it was trained."""
  return min(
    points(run, block)[ALONE][1]
    for run in runs.values()
    for block in blocks(run)
    if ALONE in points(run, block)
  )


# Name -> (variants it needs, as prefixes; the number of one seed).
CLAIMS: dict[str, tuple[tuple[str, ...], Measure]] = {
  'r0_accuracy_of_the_worst_policy_without_fallback': (
    ('policy_a=',),
    _still_draws,
  ),
  'r1_threshold_minus_random_semi': (
    ('heuristics',),
    lambda r: _threshold_over(r, 'random'),
  ),
  'r1_threshold_minus_top_k_semi': (
    ('heuristics',),
    lambda r: _threshold_over(r, 'top_k confidence'),
  ),
  'r2_threshold_short_blocks_minus_full': (('heuristics',), _threshold_loses),
  'r3_policy_minus_threshold_semi_mean': (
    ('heuristics', 'semi'),
    lambda r: float(np.mean(_semi_margins(r))),
  ),
  'r3_policy_minus_threshold_semi_worst': (
    ('heuristics', 'semi'),
    lambda r: min(_semi_margins(r)),
  ),
  'r4_policy_minus_best_rule_full_third_level': (
    ('heuristics', 'policy_a='),
    lambda r: _third(_full_margins(r, 'policy')),
  ),
  'r4_policy_levels_above_every_rule': (
    ('heuristics', 'policy_a='),
    lambda r: float(sum(m > 0 for m in _full_margins(r, 'policy'))),
  ),
  'r4_steered_minus_best_rule_full_third_level': (
    ('heuristics', 'steered'),
    lambda r: _third(_full_margins(r, 'steered')),
  ),
  'r5_steered_minus_policy_accuracy': (
    ('heuristics', 'policy_a=', 'steered'),
    lambda r: _steered_gain(r, lambda run: _own(run, _full(r))[1]),
  ),
  'r5_steered_writes_rightwards': (
    ('heuristics', 'steered'),
    lambda r: float(
      np.mean(
        [
          run[f'policy@{_full(r)}/rightwards']
          for run in _policies(r, 'steered').values()
        ]
      )
    ),
  ),
  'r6_inversions_of_passes_in_alpha': (
    ('heuristics', 'policy_a='),
    _inversions,
  ),
  'r7_additive_passes': (
    ('heuristics', 'additive'),
    lambda r: _own(_only(r, 'additive')[1], _full(r))[0],
  ),
  'r7_additive_accuracy': (
    ('heuristics', 'additive'),
    lambda r: _own(_only(r, 'additive')[1], _full(r))[1],
  ),
  'r8_dpls_minus_bernoulli_accuracy': (
    ('heuristics', 'policy_a=', 'dpls'),
    lambda r: _beside(r, 'dpls', 1),
  ),
  'r8_dpls_minus_bernoulli_passes': (
    ('heuristics', 'policy_a=', 'dpls'),
    lambda r: _beside(r, 'dpls', 0),
  ),
  'r8_top_5_minus_top_1_accuracy': (
    ('heuristics', 'policy_a=', 'top5'),
    lambda r: _beside(r, 'top5', 1),
  ),
  'r9_accuracy_lost_without_mask': (
    ('heuristics', 'blind'),
    lambda r: _blind(r, 'mask'),
  ),
  'r9_accuracy_lost_without_time': (
    ('heuristics', 'blind'),
    lambda r: _blind(r, 'time'),
  ),
  'r10_policy_minus_threshold_on_other_denoiser': (
    ('transfer_wide',),
    lambda r: _transfer(r, 'transfer_wide'),
  ),
  'r10_policy_minus_threshold_at_twice_the_length': (
    ('transfer_long',),
    lambda r: _transfer(r, 'transfer_long'),
  ),
}


def claims(summaries: claims_lib.Summaries) -> dict[str, list[float]]:
  """The margins of a sweep.

  Left out are those that need variants which it does not have, or that have
  nothing to compare at equal passes.
  """
  possible = {
    name: measure
    for name, (needed, measure) in CLAIMS.items()
    if all(any(v.startswith(n) for v in summaries) for n in needed)
  }
  return claims_lib.margins(possible, summaries)
