"""A fact mask from somebody else's annotation, for the rule `judge`.

Section 3: an LLM's spans or values stand in for spaCy's (section 5 says how
many of the values are not the verbatim text).
"""

import json

import numpy as np

from lacy.facts import annotate, spans
from lm import tokenizer as tokenizer_lib


def mask_of(
  path, split, tokenizer: tokenizer_lib.Tokenizer
) -> tuple[np.ndarray, float]:
  """A mask from somebody else's annotation, for rule `judge`.

  Args:
    path: JSON lines, one object a document: {"title": ..., "values": [...]}
      with strings to find in the text, or "spans": [[start, end], ...]; in
      place of the title may stand "index", the document's place in the split.
    split: a corpora.prepare.Split.
    tokenizer: the split's.

  Returns:
    bool [tokens], and the share of values that stand nowhere in their text
    (those are dropped).

  Raises:
    ValueError: a malformed line, named by file and number; no document of the
      split is named; tokens that are not those of the text.
  """
  marks: dict[str | int, list] = {}
  with open(path, 'rb') as file:
    for number, line in enumerate(file, 1):
      try:
        key, found = _judged(json.loads(line))
      except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
          f'{path}:{number}: expected an object with "title" or "index", and '
          '"values" (strings) or "spans" ([start, end] in characters), came '
          f'{line.decode(errors="replace").strip()[:60]!r}'
        ) from error
      marks[key] = found
  mask = np.zeros(len(split.tokens), bool)
  values = lost = named = 0
  for number, doc in enumerate(split.docs):
    found = marks.get(doc.get('title'), marks.get(number))
    if found is None:
      continue
    named += 1
    text = doc['text']
    where = []
    for value in found:
      values += 1
      start = text.find(value) if isinstance(value, str) else value[0]
      end = start + len(value) if isinstance(value, str) else value[1]
      if start < 0 or not 0 <= start < end <= len(text):
        lost += 1
      else:
        where.append((start, end))
    ids, offsets = tokenizer.encode_with_offsets(text)
    begin, end = split.starts[number], split.starts[number + 1]
    annotate.check_tokens(split.tokens[begin:end], ids, split.folder)
    mask[begin + 1 : end - 1] = spans.token_mask(offsets, where, len(text))
  if not named:
    raise ValueError(
      f'data.judge_mask={path} must name documents of {split.folder}, got '
      f'{len(marks)} titles that are not among them'
    )
  return mask, lost / max(values, 1)


def _judged(entry) -> tuple[str | int, list]:
  """Title or index, and values or spans, of a line that is well formed."""
  key = entry['title'] if 'title' in entry else entry['index']
  found = entry['spans'] if 'spans' in entry else entry['values']
  for value in found:
    start, end = (0, 0) if isinstance(value, str) else value
    if type(start) is not int or type(end) is not int:
      raise TypeError('a span is two integers')
  if not isinstance(found, list) or not isinstance(key, str | int):
    raise TypeError('a list, and a title or index')
  return key, found
