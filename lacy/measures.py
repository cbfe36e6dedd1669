"""Figures of merit of a delegating model, from per-token numbers.

Plain numpy on the flat arrays of one evaluation; sections 7 and 11.1.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from engine.stats import auroc


class Tokens(NamedTuple):
  """One entry a counted position, all [N].

  `loss`: -log p of the truth over V (CALL forbidden), nats. `wrong`: argmax
  over V differs from the truth. `bad`: the argmax is not acceptable either
  (equals `wrong` where acceptability is not known). `score`: orders calls,
  highest first. `log_call`: log p(CALL). `argmax_call`: CALL tops the softmax.
  """

  fact: np.ndarray
  loss: np.ndarray
  wrong: np.ndarray
  bad: np.ndarray
  score: np.ndarray
  log_call: np.ndarray
  argmax_call: np.ndarray


def top_share(score: np.ndarray, beta: float) -> np.ndarray:
  """The round(beta N) highest scores, ties to the earlier: the calls."""
  called = np.zeros(len(score), bool)
  order = np.argsort(-score, kind='stable')
  called[order[: int(np.floor(beta * len(score) + 0.5))]] = True
  return called


def _mean(values, where=None) -> float:
  values = values if where is None else values[where]
  return float(np.mean(values)) if len(values) else float('nan')


def _auroc(score, label) -> float:
  return float(auroc.auroc(score, label))


def fact_error(
  tokens: Tokens, called: np.ndarray, oracle_error: float
) -> float:
  """Share of facts stated wrong when called ones come from an oracle.

  The oracle errs with probability `oracle_error`; its expectation enters.
  """
  error = np.where(called, oracle_error, tokens.wrong)
  return _mean(error, tokens.fact)


def teacher_forced(
  tokens: Tokens, *, beta: float, oracle_error: float
) -> dict[str, float]:
  """Every figure at one call budget, contexts being the true text.

  `call_precision`: share of calls on facts; `call_recall`: share of facts
  called; `call_precision_wrong`, `call_recall_wrong`: the same against tokens
  that the model would get unacceptably wrong (section 7, diagnostics).
  `fact_leakage`: facts right with CALL forbidden.
  """
  fact = tokens.fact.astype(bool)
  called = top_share(tokens.score, beta)
  return {
    'fact_share_eval': _mean(fact),
    'call_rate': _mean(called),
    'fact_error_cascade': fact_error(tokens, called, oracle_error),
    'fact_leakage': 1.0 - _mean(tokens.wrong, fact),
    'loss_fact': _mean(tokens.loss, fact),
    'loss_nonfact': _mean(tokens.loss, ~fact),
    'call_precision': _mean(fact, called),
    'call_recall': _mean(called, fact),
    'call_precision_wrong': _mean(tokens.bad, called),
    'call_recall_wrong': _mean(called, tokens.bad.astype(bool)),
    'auroc_loss_wrong': _auroc(tokens.loss, tokens.wrong),
    'auroc_loss_unacceptable': _auroc(tokens.loss, tokens.bad),
    'auroc_call_fact': _auroc(tokens.score, fact),
    'log_mean_p_call_fact': _log_mean(tokens.log_call, fact),
    'log_mean_p_call_nonfact': _log_mean(tokens.log_call, ~fact),
    'argmax_call_rate': _mean(tokens.argmax_call),
    'tokens_eval': len(fact),
  }


def _log_mean(log_values, where) -> float:
  values = log_values[where].astype(np.float64)
  if not len(values):
    return float('nan')
  return float(np.logaddexp.reduce(values) - np.log(len(values)))


def delegation_curve(
  tokens: Tokens, *, oracle_error: float, budgets: np.ndarray
) -> Mapping[str, np.ndarray]:
  """Share of facts right against the share of calls, [len(budgets)] each."""
  right = [
    1.0 - fact_error(tokens, top_share(tokens.score, beta), oracle_error)
    for beta in budgets
  ]
  return {'call_share': budgets, 'facts_right': np.array(right)}
