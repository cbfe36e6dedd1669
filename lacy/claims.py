"""The orderings that a reproduction should show, from a sweep's results.

Section 11.1 for synthetic biographies; for real text the three of the issue.
A claim is a margin: positive where it holds, averaged over seeds, with the
worst seed beside it. Nothing here knows whether it ought to hold.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Summaries = Mapping[str, Sequence[Mapping[str, Any]]]
Values = Mapping[str, Mapping[str, Any]]


def _error(v: Values, rule: str) -> float:
  return v[rule]['fact_error_cascade']


# Name -> (rules it needs, margin from one seed's summaries by rule).
CLAIMS: dict[str, tuple[tuple[str, ...], Callable[[Values], float]]] = {
  # Claim 1: the loss knows what is wrong better than what is unacceptable.
  'o1_auroc_wrong_minus_unacceptable': (
    ('standard',),
    lambda v: (
      v['standard']['auroc_loss_wrong']
      - v['standard']['auroc_loss_unacceptable']
    ),
  ),
  # 2: who calls on facts.
  'o2_calls_on_facts_lacy_minus_loss': (
    ('lacy', 'loss'),
    lambda v: v['lacy']['call_precision'] - v['loss']['call_precision'],
  ),
  'o2_calls_on_facts_loss_minus_best_rho': (
    ('loss', 'rho:low_excess', 'rho:high_ref'),
    lambda v: (
      v['loss']['call_precision']
      - max(v[r]['call_precision'] for r in ('rho:low_excess', 'rho:high_ref'))
    ),
  ),
  'o2_calls_on_facts_best_rho_minus_random': (
    ('rho:low_excess', 'rho:high_ref', 'random'),
    lambda v: (
      max(v[r]['call_precision'] for r in ('rho:low_excess', 'rho:high_ref'))
      - v['random']['call_precision']
    ),
  ),
  'o2_call_precision_lacy_minus_fact_random': (
    ('lacy', 'fact_random'),
    lambda v: (
      v['lacy']['call_precision_wrong']
      - v['fact_random']['call_precision_wrong']
    ),
  ),
  # 3: fact error after the cascade, at equal budget.
  'o3_error_loss_minus_lacy': (
    ('lacy', 'loss'),
    lambda v: _error(v, 'loss') - _error(v, 'lacy'),
  ),
  'o3_error_rho_minus_loss': (
    ('rho:low_excess', 'loss'),
    lambda v: _error(v, 'rho:low_excess') - _error(v, 'loss'),
  ),
  'o3_error_standard_minus_rho': (
    ('standard', 'rho:low_excess'),
    lambda v: _error(v, 'standard') - _error(v, 'rho:low_excess'),
  ),
  'o3_error_standard_minus_lacy': (
    ('standard', 'lacy'),
    lambda v: _error(v, 'standard') - _error(v, 'lacy'),
  ),
  'o3_error_ignore_facts_minus_standard': (
    ('ignore_facts', 'standard'),
    lambda v: _error(v, 'ignore_facts') - _error(v, 'standard'),
  ),
  # 4: facts known without calls, least first.
  'o4_leakage_fact_random_minus_lacy': (
    ('fact_random', 'lacy'),
    lambda v: v['fact_random']['fact_leakage'] - v['lacy']['fact_leakage'],
  ),
  'o4_leakage_loss_minus_fact_random': (
    ('loss', 'fact_random'),
    lambda v: v['loss']['fact_leakage'] - v['fact_random']['fact_leakage'],
  ),
  'o4_leakage_standard_minus_loss': (
    ('standard', 'loss'),
    lambda v: v['standard']['fact_leakage'] - v['loss']['fact_leakage'],
  ),
  'o4_leakage_best_other_minus_lacy': (
    ('standard', 'loss', 'lacy'),
    lambda v: (
      min(v[r]['fact_leakage'] for r in ('standard', 'loss'))
      - v['lacy']['fact_leakage']
    ),
  ),
  # 5: the loss on facts orders the other way round.
  'o5_loss_fact_lacy_minus_standard': (
    ('lacy', 'standard'),
    lambda v: v['lacy']['loss_fact'] - v['standard']['loss_fact'],
  ),
  # 6: off facts, delegation costs nothing; loss-only selection does.
  'o6_loss_nonfact_relative_lacy_to_standard': (
    ('lacy', 'standard'),
    lambda v: v['lacy']['loss_nonfact'] / v['standard']['loss_nonfact'] - 1.0,
  ),
  'o6_loss_nonfact_loss_minus_standard': (
    ('loss', 'standard'),
    lambda v: v['loss']['loss_nonfact'] - v['standard']['loss_nonfact'],
  ),
}


def margins(summaries: Summaries) -> dict[str, list[float]]:
  """[mean, lowest, highest] margin over seeds of every claim it can make.

  Args:
    summaries: by rule, one summary a seed, all rules in the same seed order.
  """
  out = {}
  for name, (rules, margin) in CLAIMS.items():
    if not all(rule in summaries for rule in rules):
      continue
    seeds = zip(*(summaries[rule] for rule in rules), strict=True)
    values = [margin(dict(zip(rules, seed, strict=True))) for seed in seeds]
    mean = sum(values) / len(values)
    out[name] = [round(x, 6) for x in (mean, min(values), max(values))]
  return out
