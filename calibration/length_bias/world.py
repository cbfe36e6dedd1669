"""A world in which it is known how far answer length inflates each AUROC.

Answers have a length, a truth that does not depend on it, and a correctness
function whose errors do, as much as `dial` says: right sentences hold their
reference verbatim, and ROUGE-L F1 refuses those that are long
(calibration/length_bias/theory.py). Uncertainties are made of a signal about
the truth and of length. Everything is enumerated, in float64. Ours; with the
defaults it is the world of section 9 of docs/papers/uq_length_bias.md.

Letters: L words of an answer, m of the reference, h truth, C cells (h, signal,
L) with their probabilities, N drawn answers.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from calibration.length_bias import theory as length_lib

_FILLER = ('alder', 'birch', 'cedar', 'fir', 'hazel', 'larch', 'maple', 'oak')
_REFERENCE = ('quartz', 'onyx', 'jade', 'opal', 'beryl', 'agate')


@dataclasses.dataclass(frozen=True, kw_only=True)
class World:
  """What a world is made of.

  L is uniform on `shortest` .. `longest`; `correct` of the answers are right.
  A right one is accepted if ROUGE-L F1 reaches `threshold`. `dial` mixes that
  with a coin of the same rate: 0, and errors know nothing of length; 1, and
  length alone decides. Wrong answers are never accepted.

  The signal is 0 or 1, its AUROC `signal`; an estimator that adds it to the
  length counts it as `words`.
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
    """The most words of a right answer that the function accepts."""
    return length_lib.longest_passing(self.reference_words, self.threshold)

  def acceptance(self, words: np.ndarray) -> np.ndarray:
    """P(accepted | right, L) of each L."""
    every = np.arange(self.shortest, self.longest + 1)
    rate = np.mean(every <= self.cut)
    return self.dial * (words <= self.cut) + (1.0 - self.dial) * rate


# Uncertainties of (world, signal, words).
ESTIMATORS: Mapping[
  str, Callable[[World, np.ndarray, np.ndarray], np.ndarray]
] = {
  'length': lambda world, signal, words: words + 0.0 * signal,
  'signal': lambda world, signal, words: signal + 0.0 * words,
  # Falls with every token, as the probability of a sequence does.
  'signal_and_length': lambda world, signal, words: (
    words + world.words * signal
  ),
  'signal_less_length': lambda world, signal, words: (
    world.words * signal - words
  ),
}


class Cells(NamedTuple):
  """All that can happen, and how probable it is; [C] each."""

  probability: np.ndarray
  truth: np.ndarray
  signal: np.ndarray
  words: np.ndarray
  accepted: np.ndarray  # the probability of it


def cells(world: World) -> Cells:
  """Every truth, signal and length."""
  every = np.arange(world.shortest, world.longest + 1)
  h, s, words = (
    grid.ravel() for grid in np.meshgrid([0, 1], [0, 1], every, indexing='ij')
  )
  # A wrong answer shows the signal with its AUROC, a right one with the rest.
  shows = np.where(h == 1, 1.0 - world.signal, world.signal)
  probability = (
    np.where(h == 1, world.correct, 1.0 - world.correct)
    * np.where(s == 1, shows, 1.0 - shows)
    / len(every)
  )
  accepted = np.where(h == 1, world.acceptance(words), 0.0)
  return Cells(probability, h, s, words, accepted)


def pair_area(uncertainty, positive, negative, strata=None) -> float:
  """sum_ij p_i n_j ([u_i < u_j] + [=] / 2) over sum_ij p_i n_j, every pair.

  Args:
    uncertainty: [C].
    positive: [C], weights as accepted.
    negative: [C], weights as refused.
    strata: [C], where only pairs within one shall count.
  """
  pairs = positive[:, None] * negative
  if strata is not None:
    pairs = pairs * (strata[:, None] == strata)
  lower = uncertainty[:, None] < uncertainty
  equal = uncertainty[:, None] == uncertainty
  return float(np.sum(pairs * (lower + 0.5 * equal)) / np.sum(pairs))


def _rank(values, probability):
  """P(less) + P(equal) / 2 of each."""
  less = (values < values[:, None]) @ probability
  return less + 0.5 * (values == values[:, None]) @ probability


def _residual(values, other, probability):
  """The population's `length_controlled.rank_residuals`, up to their scale."""
  r, q = (_rank(x, probability) - 0.5 for x in (values, other))
  variance = np.sum(probability * q * q)
  return r - np.sum(probability * r * q) / variance * q if variance else r


class Exact(NamedTuple):
  """What one estimator's AUROC is in a world.

  Attributes:
    true: against the truth.
    true_within: against the truth, within lengths: all that an uncertainty
      knows beside length.
    observed: against the correctness function.
    within: observed, within lengths.
    partial: observed, of the residuals of ranks.
    case1: what Case 1 makes of `true`, with the T1 and T0 of this world.
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
    """Observed less true."""
    return self.observed - self.true


def exact(world: World, estimator: str) -> Exact:
  """By enumeration of all pairs of cells.

  Raises:
    ValueError: no estimator of that name.
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
    case1=length_lib.observed_auroc(true, t1, t0),
    accepted=float(yes.sum()),
  )


def sweep(
  world: World, dials: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0)
) -> dict[str, float]:
  """{'<estimator>/<field of Exact>@dial=<dial>': number}, and inflations."""
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
  """Answers of a world; [N] each.

  Attributes:
    answers: sentences of `words` words.
    reference: of all of them.
    truth: 0 or 1.
    words: lengths.
    accepted: what the correctness function says, 0 or 1.
    uncertainties: by estimator.
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
  """Filler, with the reference somewhere in it if it is right."""
  reference = _REFERENCE[: world.reference_words] if truth else ()
  filler = rng.choice(_FILLER, words - len(reference)).tolist()
  at = rng.integers(len(filler) + 1)
  text = ' '.join([*filler[:at], *reference, *filler[at:]])
  return f'{text.capitalize()}.'


def draw(world: World, count: int, *, seed: int) -> Drawn:
  """Answers as sentences, with the labels that the world gives them."""
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
