"""A synthetic world: its inflation of each AUROC by answer length is known.

Every answer has a length and a truth h that is independent of the length. The
errors of the correctness function depend on length; `dial` sets how much.
Correct answers contain the reference verbatim, and ROUGE-L F1 rejects the long
ones (calibration/length_bias/theory.py). Estimators combine a signal about the
truth with the length. Every value is computed by enumeration, in float64. The
world is ours; its defaults give section 9 of docs/papers/uq_length_bias.md.

Letters: L words in an answer, m words in the reference, h truth. Shapes: C
cells, one for each (h, signal, L); N drawn answers.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from calibration.length_bias import theory

_FILLER = ('alder', 'birch', 'cedar', 'fir', 'hazel', 'larch', 'maple', 'oak')
_REFERENCE = ('quartz', 'onyx', 'jade', 'opal', 'beryl', 'agate')


@dataclasses.dataclass(frozen=True, kw_only=True)
class World:
  """Parameters of a world.

  Attributes:
    dial: in [0, 1]. At 1, the function accepts a correct answer if its ROUGE-L
      F1 reaches `threshold`, so length alone decides. At 0, it accepts correct
      answers at random, at the same mean rate, so its errors are independent
      of length. Between the two, the probabilities are mixed. Wrong answers
      are never accepted.
    threshold: of ROUGE-L F1, in (0, 1].
    reference_words: m.
    shortest: the smallest L; L is uniform.
    longest: the largest L.
    correct: P(h = 1), in (0, 1).
    signal: AUROC of the signal, which is 0 or 1; in [0, 1].
    words: number of words that the signal is worth in an estimator that adds
      it to the length or subtracts the length from it.
  """

  dial: float = 1.0
  threshold: float = 0.5
  reference_words: int = 2
  shortest: int = 3
  longest: int = 20
  correct: float = 0.5
  signal: float = 0.75
  words: float = 6.0

  def __post_init__(self):
    for name in ('dial', 'signal'):
      if not 0.0 <= getattr(self, name) <= 1.0:
        raise ValueError(
          f'world.{name} must lie in [0, 1], got {getattr(self, name)}'
        )
    if not 0.0 < self.correct < 1.0:
      raise ValueError(f'world.correct must lie in (0, 1), got {self.correct}')
    if not 1 <= self.reference_words <= min(self.shortest, len(_REFERENCE)):
      raise ValueError(
        'world.reference_words must lie between 1 and the smaller of '
        f'world.shortest={self.shortest} and {len(_REFERENCE)}, got '
        f'{self.reference_words}'
      )
    if self.longest < self.shortest:
      raise ValueError(
        f'world.longest must be at least world.shortest={self.shortest}, got '
        f'{self.longest}'
      )
    if self.cut < self.shortest:
      raise ValueError(
        f'world.threshold={self.threshold} accepts no answer of '
        f'{self.shortest} words or more; lower it or world.shortest'
      )

  @property
  def cut(self) -> int:
    """The largest L of a correct answer that the function accepts."""
    return theory.longest_passing(self.reference_words, self.threshold)

  def acceptance(self, words: np.ndarray) -> np.ndarray:
    """P(accepted | correct, L) for each L in `words`."""
    every = np.arange(self.shortest, self.longest + 1)
    rate = np.mean(every <= self.cut)
    return self.dial * (words <= self.cut) + (1.0 - self.dial) * rate


# Uncertainties as functions of (world, signal, words).
ESTIMATORS: Mapping[
  str, Callable[[World, np.ndarray, np.ndarray], np.ndarray]
] = {
  'length': lambda world, signal, words: words + 0.0 * signal,
  'signal': lambda world, signal, words: signal + 0.0 * words,
  # Each word adds uncertainty, as each token lowers a sequence's probability.
  'signal_and_length': lambda world, signal, words: (
    words + world.words * signal
  ),
  'signal_less_length': lambda world, signal, words: (
    world.words * signal - words
  ),
}


class Cells(NamedTuple):
  """All outcomes and their probabilities; [C] each."""

  probability: np.ndarray
  truth: np.ndarray
  signal: np.ndarray
  words: np.ndarray
  accepted: np.ndarray  # P(accepted | cell)


def cells(world: World) -> Cells:
  """Enumerates every combination of truth, signal and length."""
  every = np.arange(world.shortest, world.longest + 1)
  h, s, words = (
    grid.ravel() for grid in np.meshgrid([0, 1], [0, 1], every, indexing='ij')
  )
  # P(signal = 1 | wrong) is the AUROC a; P(signal = 1 | correct) is 1 - a.
  shows = np.where(h == 1, 1.0 - world.signal, world.signal)
  probability = (
    np.where(h == 1, world.correct, 1.0 - world.correct)
    * np.where(s == 1, shows, 1.0 - shows)
    / len(every)
  )
  accepted = np.where(h == 1, world.acceptance(words), 0.0)
  return Cells(probability, h, s, words, accepted)


def pair_area(uncertainty, positive, negative, strata=None) -> float:
  """AUROC by enumeration of all pairs of cells.

  sum_ij p_i n_j ([u_i < u_j] + [u_i = u_j] / 2) / sum_ij p_i n_j.

  Args:
    uncertainty: u, [C].
    positive: p, [C]: weights of the positive class.
    negative: n, [C]: weights of the negative class.
    strata: [C]; if given, only pairs within a stratum count.
  """
  pairs = positive[:, None] * negative
  if strata is not None:
    pairs = pairs * (strata[:, None] == strata)
  lower = uncertainty[:, None] < uncertainty
  equal = uncertainty[:, None] == uncertainty
  return float(np.sum(pairs * (lower + 0.5 * equal)) / np.sum(pairs))


def _rank(values, probability):
  """P(X < x) + P(X = x) / 2 for each value x, in [0, 1]."""
  less = (values < values[:, None]) @ probability
  return less + 0.5 * (values == values[:, None]) @ probability


def _residual(values, other, probability):
  """`controlled.rank_residuals` of the population, up to scale."""
  r, q = (_rank(x, probability) - 0.5 for x in (values, other))
  variance = np.sum(probability * q * q)
  return r - np.sum(probability * r * q) / variance * q if variance else r


class Exact(NamedTuple):
  """Exact AUROCs of one estimator in one world.

  Attributes:
    true: AUROC against the truth h.
    true_within: AUROC against h over pairs of equal length: what the
      uncertainty knows apart from length.
    observed: AUROC against h^, the label of the correctness function.
    within: AUROC against h^ over pairs of equal length.
    partial: AUROC against h^ of the rank residuals.
    case1: the AUROC that Case 1 of theory.py predicts from `true` and from the
      T1 and T0 of this world.
    accepted: P(h^ = 1).
  """

  true: float
  true_within: float
  observed: float
  within: float
  partial: float
  case1: float
  accepted: float

  @property
  def inflation(self) -> float:
    """The observed AUROC minus the true AUROC."""
    return self.observed - self.true


def exact(world: World, estimator: str) -> Exact:
  """Computes the AUROCs by enumeration of all pairs of cells.

  Args:
    world: see `World`.
    estimator: a key of ESTIMATORS.

  Raises:
    ValueError: `estimator` is not a key of ESTIMATORS.
  """
  if estimator not in ESTIMATORS:
    raise ValueError(
      f'estimator must be one of {", ".join(ESTIMATORS)}, got {estimator!r}'
    )
  c = cells(world)
  u = ESTIMATORS[estimator](world, c.signal, c.words)
  yes, no = c.probability * c.accepted, c.probability * (1.0 - c.accepted)
  right = c.probability * c.truth
  t1 = float(np.sum(yes * c.truth) / yes.sum())
  t0 = float(np.sum(no * (1 - c.truth)) / no.sum())
  wrong = c.probability - right
  true = pair_area(u, right, wrong)
  return Exact(
    true=true,
    true_within=pair_area(u, right, wrong, c.words),
    observed=pair_area(u, yes, no),
    within=pair_area(u, yes, no, c.words),
    partial=pair_area(_residual(u, c.words, c.probability), yes, no),
    case1=theory.observed_auroc(true, t1, t0),
    accepted=float(yes.sum()),
  )


def sweep(
  world: World, dials: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0)
) -> dict[str, float]:
  """Computes `exact` for every estimator at every dial.

  Returns:
    '<estimator>/<field of Exact>@dial=<dial>': number, and
    '<estimator>/inflation@dial=<dial>': number.
  """
  out = {}
  for dial in dials:
    at = dataclasses.replace(world, dial=dial)
    for name in ESTIMATORS:
      found = exact(at, name)
      for field, value in found._asdict().items():
        out[f'{name}/{field}@dial={dial:g}'] = value
      out[f'{name}/inflation@dial={dial:g}'] = found.inflation
  return out


class Drawn(NamedTuple):
  """Answers drawn from a world; the arrays are [N].

  Attributes:
    answers: N sentences of `words` words.
    reference: the reference answer, the same for every answer.
    truth: h, 0 or 1.
    words: L.
    accepted: h^, 0 or 1.
    uncertainties: [N] by estimator.
  """

  answers: list[str]
  reference: str
  truth: np.ndarray
  words: np.ndarray
  accepted: np.ndarray
  uncertainties: dict[str, np.ndarray]


def sentence(
  rng: np.random.Generator, world: World, truth: int, words: int
) -> str:
  """A sentence of filler words; a correct one contains the reference.

  Args:
    rng: draws the words and the position of the reference.
    world: gives the length of the reference.
    truth: h, 0 or 1.
    words: L.
  """
  reference = _REFERENCE[: world.reference_words] if truth else ()
  filler = rng.choice(_FILLER, words - len(reference)).tolist()
  at = rng.integers(len(filler) + 1)
  text = ' '.join([*filler[:at], *reference, *filler[at:]])
  return f'{text.capitalize()}.'


def draw(world: World, count: int, *, seed: int) -> Drawn:
  """Draws N = `count` answers: sentences, labels and uncertainties."""
  rng = np.random.default_rng(seed)
  c = cells(world)
  at = rng.choice(len(c.truth), count, p=c.probability / c.probability.sum())
  truth, words, signal = c.truth[at], c.words[at], c.signal[at]
  return Drawn(
    answers=[
      sentence(rng, world, *each) for each in zip(truth, words, strict=True)
    ],
    reference=' '.join(_REFERENCE[: world.reference_words]),
    truth=truth,
    words=words,
    accepted=(rng.random(count) < c.accepted[at]).astype(int),
    uncertainties={
      name: estimate(world, signal, words).astype(np.float64)
      for name, estimate in ESTIMATORS.items()
    },
  )
