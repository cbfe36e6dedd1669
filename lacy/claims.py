"""The orderings that a reproduction should show, from a sweep's results.

Section 11.1 for synthetic biographies; for real text the three of the issue.
A claim is a margin: positive where it holds, averaged over seeds, with the
worst seed beside it (engine/report/claims.py).
"""

from collections.abc import Callable, Mapping

from engine.report import claims

Values = Mapping[str, claims.Summary]


def _less(figure: str, rule: str, *others: str) -> Callable[[Values], float]:
  """A figure of one rule less the largest of the others'."""
  return lambda v: v[rule][figure] - max(v[other][figure] for other in others)


# Of one seed's summaries by rule.
CLAIMS: dict[str, Callable[[Values], float]] = {
  # Claim 1: the loss knows what is wrong better than what is unacceptable.
  'o1_auroc_wrong_minus_unacceptable': (
    lambda v: (
      v['standard']['auroc_loss_wrong']
      - v['standard']['auroc_loss_unacceptable']
    )
  ),
  # 2: who calls on facts.
  'o2_calls_on_facts_lacy_minus_loss': _less('call_precision', 'lacy', 'loss'),
  'o2_calls_on_facts_loss_minus_best_rho': _less(
    'call_precision', 'loss', 'rho:low_excess', 'rho:high_ref'
  ),
  'o2_calls_on_facts_best_rho_minus_random': (
    lambda v: (
      max(v[r]['call_precision'] for r in ('rho:low_excess', 'rho:high_ref'))
      - v['random']['call_precision']
    )
  ),
  'o2_call_precision_lacy_minus_fact_random': _less(
    'call_precision_wrong', 'lacy', 'fact_random'
  ),
  # 3: fact error after the cascade, at equal budget.
  'o3_error_loss_minus_lacy': _less('fact_error_cascade', 'loss', 'lacy'),
  'o3_error_rho_minus_loss': _less(
    'fact_error_cascade', 'rho:low_excess', 'loss'
  ),
  'o3_error_standard_minus_rho': _less(
    'fact_error_cascade', 'standard', 'rho:low_excess'
  ),
  'o3_error_standard_minus_lacy': _less(
    'fact_error_cascade', 'standard', 'lacy'
  ),
  'o3_error_ignore_facts_minus_standard': _less(
    'fact_error_cascade', 'ignore_facts', 'standard'
  ),
  # 4: facts known without calls, least first.
  'o4_leakage_fact_random_minus_lacy': _less(
    'fact_leakage', 'fact_random', 'lacy'
  ),
  'o4_leakage_loss_minus_fact_random': _less(
    'fact_leakage', 'loss', 'fact_random'
  ),
  'o4_leakage_standard_minus_loss': _less('fact_leakage', 'standard', 'loss'),
  'o4_leakage_best_other_minus_lacy': (
    lambda v: (
      min(v[r]['fact_leakage'] for r in ('standard', 'loss'))
      - v['lacy']['fact_leakage']
    )
  ),
  # 5: the loss on facts orders the other way round.
  'o5_loss_fact_lacy_minus_standard': _less('loss_fact', 'lacy', 'standard'),
  # 6: off facts, delegation costs nothing; loss-only selection does.
  'o6_loss_nonfact_relative_lacy_to_standard': (
    lambda v: v['lacy']['loss_nonfact'] / v['standard']['loss_nonfact'] - 1.0
  ),
  'o6_loss_nonfact_loss_minus_standard': _less(
    'loss_nonfact', 'loss', 'standard'
  ),
}


def margins(summaries: claims.Summaries) -> dict[str, list[float]]:
  """The margins of a sweep whose variants are rules."""
  return claims.margins(CLAIMS, summaries)
