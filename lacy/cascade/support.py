"""Which of the names and numbers of a text its reference supports.

A figure of merit for free text that needs no judge (section 7). Names come
from spaCy, or without it from capital letters; numbers are runs of digits.
What is counted is the text's distinct surfaces, so that a text does not earn
by repeating itself, and not those that its prompt had stated.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from engine.stats import bootstrap as bootstrap_lib
from lacy.facts import annotate
from lacy.facts import spans as facts

# Texts -> spans of the names and numbers of each, in order.
Finder = Callable[[Sequence[str]], list[list[facts.Span]]]

FINDERS = ('ner', 'caps_digits')
# spaCy's labels for what has a name; of dates and quantities only the numbers
# count.
NAMES = frozenset(
  (
    'EVENT',
    'FAC',
    'GPE',
    'LANGUAGE',
    'LAW',
    'LOC',
    'NORP',
    'ORG',
    'PERSON',
    'PRODUCT',
    'WORK_OF_ART',
  )
)

_WORD = re.compile(r'\w+')
_OPENS = re.compile(r'(?:^|[.!?]["\')\u201d\u2019]*\s+|\n)\W*$')
_ARTICLES = ('the ', 'a ', 'an ')


class Support(NamedTuple):
  """Of one text: how many distinct entities, and how many are supported."""

  supported: int
  entities: int


def finder(rule: str) -> Finder:
  """`ner`: names by spaCy's small English model. `caps_digits`: by capitals.

  Raises:
    ValueError: unknown rule, or spaCy is not installed.
  """
  if rule not in FINDERS:
    raise ValueError(
      f'entities must be one of {", ".join(FINDERS)}, got {rule!r}'
    )
  if rule == 'caps_digits':
    return lambda texts: [capitalised(text) for text in texts]
  nlp = annotate.load_spacy('ner_first')

  def named(texts):
    return [
      with_numbers(
        doc.text,
        [(e.start_char, e.end_char) for e in doc.ents if e.label_ in NAMES],
      )
      for doc in nlp.pipe(texts)
    ]

  return named


def capitalised(text: str) -> list[facts.Span]:
  """Capitalised runs, less a first word that opens a sentence, and numbers.

  The word that opens a sentence has its capital whatever it is.
  """
  names = []
  for start, end in facts.caps_digits(text):
    if text[start].isdigit():
      continue
    if _OPENS.search(text, 0, start):
      words = text[start:end].split(' ', 1)
      if len(words) == 1:
        continue
      start += len(words[0]) + 1
    names.append((start, end))
  return with_numbers(text, names)


def with_numbers(text: str, names: list[facts.Span]) -> list[facts.Span]:
  """Names, and the numbers that are not part of one; in order."""
  inside = np.zeros(len(text) + 1, bool)
  for start, end in names:
    inside[start:end] = True
  numbers = (match.span() for match in facts.NUMBER.finditer(text))
  return sorted([*names, *(n for n in numbers if not inside[n[0]])])


def normal(text: str) -> str:
  """Words and numbers in one case, a space between; 2,000 is 2000."""
  text = unicodedata.normalize('NFKC', text).casefold()
  text = facts.NUMBER.sub(lambda match: match.group().replace(',', ''), text)
  return ' '.join(_WORD.findall(text))


def surface(text: str) -> str:
  """`normal` of an entity, without its article and genitive."""
  key = normal(text).removesuffix(' s')
  for article in _ARTICLES:
    key = key.removeprefix(article)
  return key


def stated(key: str, text: str) -> bool:
  """Whether a surface stands in a text, as whole words, in this order."""
  return f' {key} ' in f' {normal(text)} '


def surfaces(text: str, spans: Sequence[facts.Span]) -> dict[str, facts.Span]:
  """The distinct surfaces of a text, each with its first span."""
  found: dict[str, facts.Span] = {}
  for start, end in spans:
    key = surface(text[start:end])
    if key:
      found.setdefault(key, (start, end))
  return found


def support(
  text: str, spans: Sequence[facts.Span], reference: str, *, given: str = ''
) -> Support:
  """Counts the distinct entities of a text that the reference states.

  Args:
    text: what was generated.
    spans: its entities.
    reference: a surface is supported where it stands here as whole words.
    given: the prompt; what it states is nobody's achievement, and left out.
  """
  keys = [key for key in surfaces(text, spans) if not stated(key, given)]
  return Support(sum(stated(key, reference) for key in keys), len(keys))


def supported_entity_precision(counts: Sequence[Support]) -> float:
  """Supported entities over all, of all texts together, in [0, 1].

  Pooled, so that a text without entities weighs nothing; nan where no text has
  one. Read it beside the number of entities: who says nothing errs nowhere.
  Support is by surface: a supported name may stand in a false sentence, and a
  true fact that the reference leaves out counts against its writer.
  """
  entities = sum(count.entities for count in counts)
  if not entities:
    return float('nan')
  return sum(count.supported for count in counts) / entities


def bootstrap(
  counts: Sequence[Support], *, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
  """The 95% interval of the precision, texts drawn with replacement.

  The same seed draws the same texts for every method.
  """
  table = np.array(counts, np.float64).reshape(-1, 2)

  def precision(texts):
    supported, entities = np.moveaxis(table[texts].sum(-2), -1, 0)
    some = entities > 0
    return np.where(some, supported / np.where(some, entities, 1), np.nan)

  _, low, high = bootstrap_lib.interval(
    precision, len(table), draws=draws, seed=seed
  )
  return float(low), float(high)
