"""What answer length does to an AUROC, in closed form.

Sections 3 and 4 of docs/papers/uq_length_bias.md (the paper's appendix C). h
is the truth, h^ the label of a correctness function, g an uncertainty; A is
AUROC(g; h) = P(g_i < g_j | h_i = 1, h_j = 0). T1 = P(h=1 | h^=1) and
T0 = P(h=0 | h^=0) are predictive values.

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
  """The most words of a sentence that holds the reference and still passes.

  With L words around m of the reference, ROUGE-L F1 is 2m / (L + m), so that
  L <= m (2/t - 1) passes. Exact in t as it is written: 0.1 is a tenth. Ours,
  not the paper's.

  Args:
    reference_words: m, 1 or more.
    threshold: t, in (0, 1].
    rule: '>=', or '>' where a value at the threshold does not pass.

  Returns:
    L; less than m where no sentence passes.

  Raises:
    ValueError: numbers outside, or another rule.
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
  """Case 1: AUROC against h^ when its errors know nothing of g given h.

  A T1 T0 + (1-A) F1 F0 + F1 T0 / 2 + T1 F0 / 2 with F = 1 - T: shrunk towards
  0.5 by the same factor for every g.
  """
  _check_shares(auroc=true, t1=t1, t0=t0)
  f1, f0 = 1.0 - t1, 1.0 - t0
  both = true * t1 * t0 + (1.0 - true) * f1 * f0
  return both + 0.5 * f1 * t0 + 0.5 * t1 * f0


def true_auroc(observed: float, t1: float, t0: float) -> float:
  """Case 1 the other way: the A behind an AUROC against h^.

  Outside of [0, 1] the errors are no Case 1.

  Raises:
    ValueError: shares outside, or T1 + T0 = 1, where h^ knows nothing of h.
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
  """[T1, T0]; NaN where h^ never says so.

  Args:
    accepted: h^, 0 or 1 of any dtype.
    truth: h.
    weights: not negative; 0 or False leaves an answer out.
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
  """P(h^ = 1 | h, stratum) of every answer, measured on all of them.

  Args:
    accepted: h^; probabilities instead of 0 and 1 may be given.
    truth: h.
    strata: numbers in [0, N), see `length_controlled.strata`. As fine as the
      answers they explain everything, and so nothing.
    weights: not negative; 0 or False leaves an answer out.
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
  """Case 2: AUROC when answer i is accepted with probability `rates[i]`.

  sum_ij a_i (1 - a_j) [u_i < u_j] / sum_ij a_i (1 - a_j), with acceptance
  given h and the stratum by chance. The answers stand for a population, in
  which a pair of one with itself counts a half. With one stratum it is Case 1.

  Args:
    scores: uncertainties u, higher is less certain.
    rates: of `acceptance_rates`.
    weights: not negative; 0 or False leaves an answer out.
  """
  weights = _weights(weights, rates)
  # Every answer stands there twice: as accepted and as refused.
  return auroc_lib.auroc(
    -jnp.concatenate([scores, scores], -1),
    jnp.concatenate([jnp.ones_like(rates), jnp.zeros_like(rates)]),
    jnp.concatenate([weights * rates, weights * (1.0 - rates)]),
  )


class Bias(NamedTuple):
  """An AUROC against h^ beside the truth and what theory says of it.

  Attributes:
    true: against h.
    observed: against h^.
    case1: what errors would make of `true` that know nothing of g given h.
    case2: what errors would that know the stratum, and nothing more.
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
  """The AUROCs of `Bias` of every row of scores.

  Args:
    scores: uncertainties, higher is less certain.
    accepted: h^.
    truth: h, from whoever is trusted.
    strata: of length, numbers in [0, N).
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
