"""SelfReflect: does a text say what a model's answers are? (sections 3.4, 3.5)

A judge fills gaps in sampled answers, once told a summary and once told other
answers of the same model. How far its two distributions lie apart, averaged
over words, is the score: 0 is best. The `subject` gives answers and summaries,
the `judge` reads them; scores of two judges are not comparable.

Each context is read once. All gaps are short continuations that lie over it, a
few of every context at a time, and logits are made where a word is predicted
and nowhere else. A gap that occurs often is read once.

Shapes: C contexts, the reference first; R gaps; W positions of a continuation;
T of a context; P positions that predict a word; V vocabulary.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from calibration.selfreflect import conversation, distances, masking
from engine import stop
from lm import cache as caches
from lm import transformer
from lm.checkpoints import decoder
from lm.decoding import generate
from lm.judging import turns

# Gaps of each context in one pass.
ROWS = 8
# Widths are multiples of these, so that few programs serve all questions.
_CONTEXT, _GAP, _WORDS = 32, 8, 8
_OTHERS = (
  *(n for n in distances.PLAIN if n != 'tv'),
  'wasserstein',
  'accuracy',
)


class Scores(NamedTuple):
  """Of one question.

  Attributes:
    distances: by name, [C - 1, P]: of each summary from the reference. 'tv@5'
      is the total variation at temperature 5.
    counts: [P], how often a position occurs.
    skipped: gaps whose word the judge's tokenizer leaves out, or splits in
      another way in another context; none of them is scored.
  """

  distances: dict[str, np.ndarray]
  counts: np.ndarray
  skipped: int

  def of(self, name: str) -> np.ndarray:
    """The score of each summary, [C - 1]; NaN without a position."""
    return np.array(
      [
        distances.question_score(row, self.counts)
        for row in self.distances[name]
      ]
    )


def check(temperatures: Sequence[float], others: Sequence[str]) -> None:
  """Raises ValueError for a distance that is not known; see `Judge`."""
  unknown = [name for name in others if name not in _OTHERS]
  if unknown:
    raise ValueError(
      f'distances must be of {", ".join(_OTHERS)}, got {unknown[0]!r}'
    )
  if not all(t > 0 for t in temperatures):
    raise ValueError(f'temperatures must be above 0, got {temperatures}')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judge:
  """A model that fills gaps.

  Attributes:
    model: the judge.
    temperatures: of its softmax, each a distance 'tv@<temperature>'.
    others: further distances at the release's temperature: 'hellinger', 'kl',
      'wasserstein' and 'accuracy'.
    same_prompt: whether a summary is introduced as a list of answers is; then
      a summary that is this list scores exactly 0.
  """

  model: decoder.Decoder
  temperatures: tuple[float, ...] = (distances.TEMPERATURE,)
  others: tuple[str, ...] = ()
  same_prompt: bool = False

  def __post_init__(self):
    check(self.temperatures, self.others)

  @functools.cached_property
  def _groups(self) -> np.ndarray:
    """Spellings of a word, one number each; of the padded vocabulary too."""
    size = self.model.config.vocab_size
    known = min(self.model.tokenizer.vocab_size, size)
    groups = distances.spellings(self.model.tokenizer.pieces(range(known)))
    rest = np.arange(known, size, dtype=np.int32)  # each by itself
    return np.concatenate([groups, rest])

  def __call__(
    self,
    question: str,
    summaries: Sequence[str],
    tasks: Mapping[masking.Masked, int],
    answers: Sequence[str],
  ) -> Scores:
    """Scores of summaries of one question's answers.

    Args:
      question: as the subject was asked.
      summaries: at least one.
      tasks: gaps and how often each occurs, see `masking.tasks`.
      answers: those that the judge is told in the reference context.

    Raises:
      ValueError: no summary or no answer.
    """
    if not summaries or not answers:
      raise ValueError(
        f'expected a summary and an answer at least, came {len(summaries)} and '
        f'{len(answers)}'
      )
    told = conversation.reference(answers)
    said = told.answers if self.same_prompt else 0
    contexts = [told, *(conversation.Context(s, said) for s in summaries)]
    filled = self._filled(question, contexts, list(tasks))
    counts = np.array(list(tasks.values()), np.int64)
    alike = [
      number
      for number in range(len(counts))
      if filled[0][number].word
      and len({tuple(row[number].word) for row in filled}) == 1
    ]
    names = self._names()
    if not alike:
      empty = {n: np.zeros((len(summaries), 0), np.float32) for n in names}
      return Scores(empty, np.zeros(0, np.int64), len(counts))
    filled = [[row[number] for number in alike] for row in filled]
    sizes = [len(one.word) for one in filled[0]]
    found = self._apart(filled, sizes)
    return Scores(
      found, np.repeat(counts[alike], sizes), len(counts) - len(alike)
    )

  def _names(self) -> tuple[str, ...]:
    return (*(f'tv@{t:g}' for t in self.temperatures), *self.others)

  def _filled(self, question, contexts, gaps):
    """[C][R] conversations with their words."""
    tokenizer = self.model.tokenizer
    texts = [
      turns.render(tokenizer, conversation.messages(question, context, gap))
      for context in contexts
      for gap in gaps
    ]
    words = [gap.word for gap in gaps] * len(contexts)
    flat = conversation.fill(tokenizer, texts, words)
    size = len(gaps)
    return [flat[c * size : (c + 1) * size] for c in range(len(contexts))]

  def _apart(self, filled, sizes) -> dict[str, np.ndarray]:
    """Distances [C - 1, P] of all positions, in the order of the gaps."""
    config, params = self.model.config, self.model.params
    shared = [shared_tokens(row) for row in filled]
    contexts = [row[0].ids[:n] for row, n in zip(filled, shared, strict=True)]
    longest = _up(max(shared), _CONTEXT)
    tokens_CT, padding_C = generate.pad_front(contexts, most=longest)
    base = _read(config, params, tokens_CT, padding_C)
    width = _up(
      max(
        len(one.ids) - 1 - n
        for row, n in zip(filled, shared, strict=True)
        for one in row
      ),
      _GAP,
    )
    rows = min(ROWS, 1 << (len(sizes) - 1).bit_length())
    parts = []
    for at in range(0, len(sizes), rows):
      stop.check()
      some = [row[at : at + rows] for row in filled]
      gaps_CRW, where_CP, words_P = _laid(some, shared, rows, width)
      made = _distances(
        config,
        params,
        base,
        gaps_CRW,
        where_CP,
        words_P,
        self._groups if 'wasserstein' in self.others else None,
        temperatures=self.temperatures,
        others=self.others,
      )
      count = sum(sizes[at : at + rows])
      parts.append([np.asarray(part)[:, :count] for part in made])
    return {
      name: np.concatenate(pieces, axis=1)
      for name, pieces in zip(
        self._names(), zip(*parts, strict=True), strict=True
      )
    }


def _up(count: int, step: int) -> int:
  return -(-count // step) * step


def shared_tokens(row: Sequence[conversation.Filled]) -> int:
  """First tokens that all gaps of a context share; what predicts a word not."""
  rows = [one.ids for one in row]
  first, last = min(rows), max(rows)
  most = min(one.start for one in row) - 1
  return next((i for i in range(most) if first[i] != last[i]), most)


def _laid(some, shared, rows, width):
  """Continuations [C, R, W], places of predictions in R W [C, P], words [P]."""
  gaps = np.zeros((len(some), rows, width), np.int32)
  places, words = [], []
  for c, (row, begin) in enumerate(zip(some, shared, strict=True)):
    mine = []
    for r, one in enumerate(row):
      ids = one.ids[begin:-1]
      gaps[c, r, : len(ids)] = ids
      first = r * width + one.start - 1 - begin
      mine += range(first, first + len(one.word))
    places.append(mine)
  for one in some[0]:
    words += one.word
  more = [(0, _up(len(words), _WORDS) - len(words))]
  where = np.pad(np.array(places, np.int32), [(0, 0), *more])
  return gaps, where, np.pad(np.array(words, np.int32), more)


@functools.partial(jax.jit, static_argnums=0)
def _read(config, params, tokens_CT, padding_C):
  cache = caches.Cache.create(config, *tokens_CT.shape, padding_C)
  model = transformer.Transformer(config)
  return model.apply({'params': params}, tokens_CT, cache=cache).cache


@functools.partial(
  jax.jit, static_argnums=0, static_argnames=('temperatures', 'others')
)
def _distances(
  config,
  params,
  base,
  gaps_CRW,
  where_CP,
  words_P,
  groups_V,
  *,
  temperatures,
  others,
):
  contexts, rows, width = gaps_CRW.shape
  cache = caches.Cache.create(config, contexts * rows, width, base=base)
  model = transformer.Transformer(config)
  read = model.apply(
    {'params': params}, gaps_CRW.reshape(-1, width), cache=cache
  )
  hidden = read.hidden.reshape(contexts, rows * width, -1)
  hidden_CPD = jnp.take_along_axis(hidden, where_CP[..., None], axis=1)
  logits_CPV = generate.logits_of(
    hidden_CPD.reshape(-1, hidden.shape[-1]), transformer.unembedding(params)
  ).reshape(*where_CP.shape, -1)

  def at(temperature):
    soft = distances.soften(logits_CPV, temperature)
    return soft[1:], soft[:1]

  made = [distances.total_variation(*at(t)) for t in temperatures]
  p, q = at(distances.TEMPERATURE)
  for name in others:
    if name == 'wasserstein':
      made.append(distances.wasserstein(p, q, groups_V))
    elif name == 'accuracy':
      made.append(distances.accuracy(p, q, words_P))
    else:
      made.append(distances.PLAIN[name](p, q))
  return made
