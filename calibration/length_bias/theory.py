"""The effect of answer length on an AUROC, in closed form.

Sections 3 and 4 of docs/papers/uq_length_bias.md (the paper's appendix C).

Letters: h is the truth, h^ the label that a correctness function gives, and g
an uncertainty. A = AUROC(g; h) = P(g_i < g_j | h_i = 1, h_j = 0). The
predictive values are T1 = P(h=1 | h^=1) and T0 = P(h=0 | h^=0).

Shapes: N answers.
"""

import fractions
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from calibration.correctness import thresholds
from engine.stats import auroc as auroc_lib


def longest_passing(
  reference_words: int, threshold: float, *, rule: str = '>='
) -> int:
  """The largest length of a sentence that contains the reference and passes.

  A sentence of L words that contains a reference of m words has ROUGE-L F1 of
  2m / (L + m), so it passes if L <= m (2/t - 1). The result is exact for the
  decimal value of t: 0.1 is one tenth. Ours, not the paper's.

  Args:
    reference_words: m, 1 or more.
    threshold: t, in (0, 1].
    rule: '>=', or '>' if a value equal to the threshold does not pass.

  Returns:
    L in words; less than m if no sentence passes.

  Raises:
    ValueError: a number is out of its range, or `rule` is neither '>' nor '>='.
  """
  if reference_words < 1 or not 0.0 < threshold <= 1.0:
    raise ValueError(
      'reference_words must be positive and threshold in (0, 1], got '
      f'{reference_words} and {threshold}'
    )
  thresholds.check_rule(rule)
  edge = reference_words * (2 / fractions.Fraction(str(threshold)) - 1)
  return math.floor(edge) if rule == '>=' else math.ceil(edge) - 1


def observed_auroc(true: float, t1: float, t0: float) -> float:
  """Case 1: AUROC against h^ if its errors are independent of g given h.

  A T1 T0 + (1-A) F1 F0 + F1 T0 / 2 + T1 F0 / 2, where F = 1 - T. The distance
  from 0.5 shrinks by the same factor for every g.

  Args:
    true: A, in [0, 1].
    t1: T1, in [0, 1].
    t0: T0, in [0, 1].

  Raises:
    ValueError: an argument is outside [0, 1].
  """
  _check_shares(auroc=true, t1=t1, t0=t0)
  f1, f0 = 1.0 - t1, 1.0 - t0
  both = true * t1 * t0 + (1.0 - true) * f1 * f0
  return both + 0.5 * f1 * t0 + 0.5 * t1 * f0


def true_auroc(observed: float, t1: float, t0: float) -> float:
  """The inverse of Case 1: A from the AUROC against h^.

  Args:
    observed: AUROC against h^, in [0, 1].
    t1: T1, in [0, 1].
    t0: T0, in [0, 1].

  Returns:
    A. A value outside [0, 1] means that the errors do not satisfy Case 1.

  Raises:
    ValueError: an argument is outside [0, 1], or T1 + T0 = 1, where h^ is
      independent of h.
  """
  _check_shares(auroc=observed, t1=t1, t0=t0)
  # The factor T1 T0 - F1 F0 is T1 + T0 - 1.
  factor = t1 + t0 - 1.0
  if abs(factor) < 1e-9:
    raise ValueError(
      f't1 + t0 must not be 1: labels that know nothing of the truth do not '
      f'say what an AUROC was, got t1={t1} and t0={t0}'
    )
  return 0.5 + (observed - 0.5) / factor


def _check_shares(**shares: float) -> None:
  for name, value in shares.items():
    if not 0.0 <= value <= 1.0:
      raise ValueError(f'{name} must lie in [0, 1], got {value}')


def _weights(weights, like):
  if weights is None:
    return jnp.ones(like.shape[-1], jnp.float32)
  return weights.astype(jnp.float32)


@jax.jit
def predictive_values(
  accepted: Shaped[Array, ' N'],
  truth: Shaped[Array, ' N'],
  weights: Shaped[Array, ' N'] | None = None,
) -> Float[Array, '2']:
  """The predictive values [T1, T0].

  Args:
    accepted: h^, 0 or 1 of any dtype.
    truth: h, 0 or 1 of any dtype.
    weights: not negative; 0 or False leaves an answer out.

  Returns:
    In [0, 1]. T1 is NaN if h^ is never 1, T0 if h^ is never 0.
  """
  weights = _weights(weights, truth)
  accepted, truth = accepted.astype(bool), truth.astype(bool)

  def share(said):
    return jnp.sum(weights * (said & (truth == accepted))) / jnp.sum(
      weights * said
    )

  return jnp.stack([share(accepted), share(~accepted)])


@jax.jit
def acceptance_rates(
  accepted: Shaped[Array, ' N'],
  truth: Shaped[Array, ' N'],
  strata: Int[Array, ' N'],
  weights: Shaped[Array, ' N'] | None = None,
) -> Float[Array, ' N']:
  """P(h^ = 1 | h, stratum) for every answer, estimated from all answers.

  Args:
    accepted: h^, 0 or 1, or the probability that h^ = 1.
    truth: h.
    strata: numbers in [0, N), see `controlled.strata`. If every answer has its
      own stratum, the rates repeat h^, and Case 2 predicts any h^ perfectly.
    weights: not negative; 0 or False leaves an answer out.

  Returns:
    The rate of the answer's own (h, stratum), in [0, 1].
  """
  weights = _weights(weights, truth)
  cell_N = 2 * strata + truth.astype(jnp.int32)
  cells = 2 * truth.shape[0]

  def total(values_N):
    return jax.ops.segment_sum(weights * values_N, cell_N, cells)

  count_C = total(jnp.ones_like(weights))
  rate_C = total(accepted.astype(jnp.float32)) / jnp.where(
    count_C > 0, count_C, 1.0
  )
  return rate_C[cell_N]


@jax.jit
def predicted_auroc(
  scores: Float[Array, '... N'],
  rates: Float[Array, ' N'],
  weights: Shaped[Array, ' N'] | None = None,
) -> Float[Array, '...']:
  """Case 2: AUROC if answer i is accepted with probability `rates[i]`.

  sum_ij a_i (1 - a_j) [u_i < u_j] / sum_ij a_i (1 - a_j), where a are the
  rates: given h and the stratum, acceptance is random. The answers represent a
  population, so the pair of an answer with itself counts one half. With one
  stratum the result is that of Case 1.

  Args:
    scores: uncertainties u; a higher value is less certain.
    rates: a, see `acceptance_rates`.
    weights: not negative; 0 or False leaves an answer out.
  """
  weights = _weights(weights, rates)
  # Every answer enters twice: as accepted and as rejected.
  return auroc_lib.auroc(
    -jnp.concatenate([scores, scores], -1),
    jnp.concatenate([jnp.ones_like(rates), jnp.zeros_like(rates)]),
    jnp.concatenate([weights * rates, weights * (1.0 - rates)]),
  )


class Bias(NamedTuple):
  """The AUROC against h^, the true AUROC, and two predictions by theory.

  Attributes:
    true: AUROC against h.
    observed: AUROC against h^.
    case1: AUROC against h^ if its errors were independent of g given h.
    case2: AUROC against h^ if its errors depended on h and the stratum alone.
  """

  true: Float[Array, '...']
  observed: Float[Array, '...']
  case1: Float[Array, '...']
  case2: Float[Array, '...']


@jax.jit
def bias(
  scores: Float[Array, '... N'],
  accepted: Shaped[Array, ' N'],
  truth: Shaped[Array, ' N'],
  strata: Int[Array, ' N'],
  weights: Shaped[Array, ' N'] | None = None,
) -> Bias:
  """Computes the AUROCs of `Bias` for every row of scores.

  Args:
    scores: uncertainties; a higher value is less certain.
    accepted: h^.
    truth: h, by a trusted labeller.
    strata: strata of length, numbers in [0, N), see `controlled.strata`.
    weights: not negative; 0 or False leaves an answer out.
  """
  weights = _weights(weights, truth)
  one = jnp.zeros_like(strata)

  def case(strata):
    rates = acceptance_rates(accepted, truth, strata, weights)
    return predicted_auroc(scores, rates, weights)

  return Bias(
    true=auroc_lib.auroc(-scores, truth, weights),
    observed=auroc_lib.auroc(-scores, accepted, weights),
    case1=case(one),
    case2=case(strata),
  )
