"""Articles to continue, and their continuations by a way of writing.

An opening is a held-out article up to its first copula: what follows says what
its subject is. All continuations are cut to the same length before anything in
them is counted, whoever wrote them.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from engine import stop
from lacy.cascade import decode

# Where an opening ends: the article says next what its subject is.
_COPULA = re.compile(r'\b(?:is|was|are|were)\b')
OPENING = 300  # characters at most


class Article(NamedTuple):
  """An opening to continue, and the whole true text."""

  title: str
  opening: str
  text: str


def opening(text: str) -> str | None:
  """The text up to its first copula, that included; None where too late."""
  match = _COPULA.search(text, 0, OPENING)
  return text[: match.end()] if match and match.start() else None


def articles(
  docs: Iterable[Mapping[str, Any]], count: int, topic: str = ''
) -> list[Article]:
  """The first `count` articles with an opening, of the topic if given.

  Raises:
    ValueError: there is none.
  """
  found = []
  for doc in docs:
    start = opening(doc['text'])
    if start is None or (topic and doc.get('topic') != topic):
      continue
    found.append(Article(doc.get('title', ''), start, doc['text']))
    if len(found) == count:
      break
  if not found:
    of = f' of cascade.topic={topic!r}' if topic else ''
    raise ValueError(
      f'the corpus must hold articles{of} with is, was, are or were in their '
      'opening, and has none'
    )
  return found


class Way(NamedTuple):
  """A way of writing: the small model, its partner, and when it calls."""

  read: Callable[[Sequence[int]], decode.Reading]
  partner: decode.Partner
  threshold: decode.RunningQuantile


class Written(NamedTuple):
  """The continuations of all articles by one way of writing."""

  made: list[decode.Cascaded]
  openings: list[str]
  characters: int

  def texts(self) -> list[str]:
    """What is counted of each continuation, without its opening."""
    return [
      cut(out.text[len(start) :], self.characters)
      for out, start in zip(self.made, self.openings, strict=True)
    ]

  def marked(self) -> list[str]:
    """The texts, what the partner wrote in [[ ]]."""
    shown = []
    for out in self.made:
      parts, place = [], 0
      for start, end in _joined(out.spans):
        body = out.text[start:end].lstrip() or out.text[start:end]
        parts += [out.text[place : end - len(body)], f'[[{body}]]']
        place = end
      shown.append(''.join([*parts, out.text[place:]]))
    return shown

  def accounts(self) -> dict[str, float]:
    """Calls a decision, and the partner's share of the tokens.

    Of what `texts` returns, so that they and what is counted in the texts are
    of the same characters.
    """
    texts = self.texts()
    counts = [
      out.counts(len(start) + len(text))
      for out, start, text in zip(self.made, self.openings, texts, strict=True)
    ]
    total = decode.Counts(*map(sum, zip(*counts, strict=True)))
    return {
      'call_rate': total.calls / max(total.decisions, 1),
      'delegated': total.delegated / max(total.tokens, 1),
      'characters': sum(map(len, texts)) / len(self.made),
    }


def _joined(spans):
  """Spans that touch, as one."""
  out: list[tuple[int, int]] = []
  for start, end in spans:
    if out and out[-1][1] == start:
      out[-1] = (out[-1][0], end)
    else:
      out.append((start, end))
  return out


class Text(NamedTuple):
  """A written text: its opening, what follows, and the true article."""

  opening: str
  written: str
  reference: str


def unmarked(marked: str, reference: str) -> Text:
  """The text of one of `Written.marked`, and its article."""
  start = opening(reference) or ''
  text = marked.replace('[[', '').replace(']]', '')
  return Text(start, text.removeprefix(start), reference)


def cut(text: str, characters: int) -> str:
  """The text up to the last whole word within `characters`."""
  if len(text) <= characters:
    return text
  if text[characters].isspace():
    return text[:characters]
  return text[:characters].rpartition(' ')[0]


def write(
  way: Way,
  tokenizer: decode.Encoder,
  articles: Sequence[Article],
  *,
  max_decisions: int,
  characters: int,
  bar=None,
) -> Written:
  """Continues every article, in order.

  Args:
    way: who writes; its threshold is one stream over all articles.
    tokenizer: the small model's.
    articles: what to continue.
    max_decisions: decode decisions an article.
    characters: of a continuation that count.
    bar: counts articles.
  """
  made = []
  for article in articles:
    stop.check()
    made.append(
      decode.generate(
        way.read,
        way.partner,
        tokenizer,
        article.opening,
        way.threshold,
        max_decisions=max_decisions,
      )
    )
    if bar is not None:
      bar.update(1)
  return Written(made, [a.opening for a in articles], characters)
