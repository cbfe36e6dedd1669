"""Synthetic biographies whose every token is understood (lacy.md, 11.1).

Each person has a fixed city, year, job, school, employer and award, told
through templates of different length and order. Slots are of four kinds:

  name    who it is about; given, any name would do there
  fact    first mention of an attribute; wrong unless exact
  copy    later mention of the same value; can be read off the context
  free    one of a group of synonyms, drawn anew each time; any will do

so the fact mask and what is acceptable are known exactly, with no annotator
and no judge. People are drawn with Zipf frequencies: some facts are seen often
enough to be learnt.

Letters: R records, T context, V vocabulary.
"""

import dataclasses
from typing import NamedTuple

import numpy as np

SPECIALS = ('<CALL>', '<mask>', '<pad>', '<bos>', '<eos>')
FIRST_NAMES, LAST_NAMES = 40, 40
ATTRIBUTES = {
  'city': 40,
  'year': 50,
  'job': 40,
  'school': 40,
  'firm': 40,
  'award': 30,
}
GROUPS = {'adverb': 40, 'adjective': 45, 'verb': 40, 'noun': 30}

# [attribute] is a fact at its first mention and a copy later, {group} a free
# slot, NAME two tokens.
_TEMPLATES = (
  'NAME was born in [city] in [year] , {adverb} {verb} [school] and the '
  '{adjective} {noun} of [city] . as [job] at [firm] NAME won [award] .',
  'the {adjective} NAME {adverb} {verb} {noun} . born [year] in [city] , the '
  '[job] left [school] for [firm] , a {adjective} {noun} , and got [award] .',
  'to a {adjective} {noun} NAME of [city] {adverb} sold [firm] . [award] went '
  'to the [job] in [year] , and the [job] {verb} [school] .',
  'NAME , [job] at [firm] , {adverb} {verb} {adjective} {noun} . [award] was '
  'given in [year] . home was [city] near [school] , a {adjective} {noun} .',
  'when NAME {adverb} called [firm] from [city] , it was [year] . the '
  '{adjective} [job] {verb} [school] , and the {noun} of [city] , for [award] '
  '.',
  'of all {noun} NAME is {adverb} {adjective} . after [school] [award] came in '
  '[year] , as [job] {verb} for [firm] . {noun} of [firm] rule [city] .',
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BiosConfig:
  """How much to write.

  Attributes:
    entities: people; their names are distinct, 40 * 40 = 1600 at most.
    zipf: a person of rank r appears with frequency r ** -zipf.
    documents: of the train split. test_documents: of each of the others,
      about the same people.
    context: T. Documents are packed whole.
    seed: of everything.
  """

  entities: int = 1500
  zipf: float = 0.8
  documents: int = 40_000
  test_documents: int = 2000
  context: int = 90
  seed: int = 0

  def __post_init__(self):
    if not 0 < self.entities <= FIRST_NAMES * LAST_NAMES:
      raise ValueError(
        f'data.bios.entities must lie in [1, {FIRST_NAMES * LAST_NAMES}], got '
        f'{self.entities}'
      )
    longest = max(len(_slots(t)) for t in _TEMPLATES) + 2
    if self.context + 1 < longest:
      raise ValueError(
        f'data.context={self.context} must hold a biography of {longest} '
        'tokens; change --config.data.context'
      )


class Vocabulary(NamedTuple):
  """Words [V], their ids, and the synonym group of each (-1: none)."""

  words: list[str]
  ids: dict[str, int]
  group: np.ndarray


class Written(NamedTuple):
  """Documents one after another: per-token arrays, and starts [n + 1]."""

  tokens: np.ndarray
  facts: np.ndarray
  accept: np.ndarray
  starts: np.ndarray


def _slots(template: str) -> list[str]:
  return template.replace('NAME', 'FIRST LAST').split()


def vocabulary() -> Vocabulary:
  """All words, sorted within their kind; the specials are the last ids."""
  words, group = [], []
  names = {'FIRST': FIRST_NAMES, 'LAST': LAST_NAMES}
  for number, (kind, count) in enumerate({**names, **GROUPS}.items()):
    # First and last names form groups too: any name would be acceptable.
    words += [f'{kind.lower()}{i}' for i in range(count)]
    group += [number] * count
  for kind, count in ATTRIBUTES.items():
    words += [f'{kind}{i}' for i in range(count)]
  plain = {
    word
    for template in _TEMPLATES
    for word in _slots(template)
    if word[0] not in '[{' and word not in names
  }
  words += sorted(plain)
  words += SPECIALS
  group += [-1] * (len(words) - len(group))
  ids = {word: i for i, word in enumerate(words)}
  return Vocabulary(words, ids, np.array(group, np.int16))


def people(config: BiosConfig) -> dict[str, np.ndarray]:
  """Names and attributes of every person, [entities] by kind."""
  rng = np.random.default_rng([config.seed, 0])
  pairs = rng.permutation(FIRST_NAMES * LAST_NAMES)[: config.entities]
  first, last = pairs // LAST_NAMES, pairs % LAST_NAMES
  values = {
    kind: rng.integers(0, count, config.entities)
    for kind, count in ATTRIBUTES.items()
  }
  return {'FIRST': first, 'LAST': last, **values}


def write(config: BiosConfig, split: str) -> Written:
  """The documents of a split, each <bos> words <eos>.

  Raises:
    ValueError: unknown split.
  """
  splits = ('train', 'validation', 'test')
  if split not in splits:
    raise ValueError(f'split must be one of {", ".join(splits)}, got {split!r}')
  count = config.documents if split == 'train' else config.test_documents
  rng = np.random.default_rng([config.seed, 1 + splits.index(split)])
  frequency = np.arange(1, config.entities + 1.0) ** -config.zipf
  who = rng.choice(config.entities, count, p=frequency / frequency.sum())
  which = rng.integers(0, len(_TEMPLATES), count)
  vocab, persons = vocabulary(), people(config)
  lengths = np.array([len(_slots(t)) + 2 for t in _TEMPLATES])[which]
  starts = np.concatenate([[0], np.cumsum(lengths)])
  shape = int(starts[-1])
  tokens = np.empty(shape, np.uint16)
  facts, accept = np.zeros(shape, bool), np.full(shape, -1, np.int16)
  for number, template in enumerate(_TEMPLATES):
    documents = np.flatnonzero(which == number)
    begin, person = starts[documents], who[documents]
    slots = ['<bos>', *_slots(template), '<eos>']
    for place, slot in enumerate(slots):
      at = begin + place
      kind = slot.strip('[]{}')
      if slot in vocab.ids:
        tokens[at] = vocab.ids[slot]
        continue
      if slot[0] == '{':
        value = rng.integers(0, GROUPS[kind], len(documents))
      else:
        value = persons[kind][person]
      tokens[at] = vocab.ids[f'{kind.lower()}0'] + value
      accept[at] = vocab.group[vocab.ids[f'{kind.lower()}0']]
      facts[at] = slot[0] == '[' and slot not in slots[:place]
  return Written(tokens, facts, accept, starts)
