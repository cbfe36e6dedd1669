"""What an answer means: texts of one meaning share a label.

B of the paper's section 2, which a strong model computes there. Here it is
computed from the text (ours): a number is its value; of a fact it is the
country, city or currency that is named, by any of its names; anything else is
what is left without case, punctuation, articles and, in a sentence, the words
of the question. '' says that there is no answer, and is never right.

`clusters` instead joins answers that a judge, or a sentence encoder, holds for
the same (Farquhar et al., 2024, arXiv 2302.09664).
"""

import functools
import re
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from calibration.recording import prompts
from corpora.questions import grading, world_facts
from corpora.questions.question import Question

# Said around an answer, in any sentence.
_IDLE = frozenset(
  re.findall(
    r'\w+',
    """
    is are was were be been it its this that of in on at to by for from with and
    or as i think believe answer question called known name named he she they
    there which who what when where how
    """,
  )
)


def label(question: Question, text: str, style: str) -> str:
  """What `text` says to `question`, '' where it says nothing.

  Args:
    question: that was asked.
    text: one answer.
    style: it was asked in, see prompts.py.
  """
  if style == 'cot':
    # What comes after the mark; a chain that never got there has no answer.
    _, found, text = text.rpartition(prompts.MARK)
    text = re.split(r'[.!?](?:\s|$)', text)[0]
    if not found:
      return ''
  kind = prompts.kind(question)
  if kind == 'numbers':
    return _number(text, last=style != 'concise')
  if kind == 'world':
    relation = question.source.partition('/')[2]
    named = _named(question.prompt, text, relation)
    if named:
      return named
  if question.choices:
    return _choice(question, text)
  return _words(question, text, strip=style == 'sentence')


def right(question: Question, style: str) -> frozenset[str]:
  """The labels of the accepted answers.

  Args:
    question: with its answers.
    style: as for `label`. Accepted answers are no chains of thought; what a
      sentence would lose (the "of" in "Bank of England") they lose, too.
  """
  how = 'sentence' if style == 'sentence' else 'concise'
  labels = {label(question, answer, how) for answer in question.answers}
  return frozenset(labels - {''})


def is_right(question: Question, style: str, said: str) -> bool:
  """Whether a label is that of an accepted answer.

  Of open questions, an accepted answer as whole words in it is enough: a
  sentence can hardly be stripped to the very words.

  Args:
    question: with its answers.
    style: as for `label`.
    said: a label.
  """
  if not said:
    return False
  accepted = right(question, style)
  if said in accepted:
    return True
  # An option may stand in another, and is not the other.
  free = prompts.kind(question) == 'open' and not question.choices
  return free and grading.contains(said, sorted(accepted))


def _number(text: str, *, last: bool) -> str:
  found = grading.numbers(text)
  return f'{found[-1 if last else 0]:.12g}' if found else ''


@functools.cache
def _gazetteer(relation: str) -> dict[str, str]:
  """Label of every name of every entry; entries that share a name are one."""
  owner: dict[str, str] = {}

  def root(name):
    while owner[name] != name:
      name = owner[name]
    return name

  for entry in world_facts.entries(relation):
    names = [grading.normalise(name) for name in entry]
    for name in names:
      owner.setdefault(name, name)
      owner[root(name)] = root(names[0])
  return {name: root(name) for name in owner}


def _named(prompt: str, text: str, relation: str) -> str:
  """The entry that is named first, but for those that the question names.

  Where only those are, it is the last: South Africa is in Africa.
  """
  asked = f' {grading.normalise(prompt)} '
  found = _pattern(relation).findall(grading.normalise(text))
  other = [name for name in found if f' {name} ' not in asked]
  chosen = (other or found[-1:] or [''])[0]
  return _gazetteer(relation).get(chosen, '')


@functools.cache
def _pattern(relation: str) -> re.Pattern:
  """Whole names, the longest first: South Sudan is not Sudan."""
  names = sorted(filter(None, _gazetteer(relation)), key=len, reverse=True)
  return re.compile(rf'\b(?:{"|".join(map(re.escape, names))})\b')


def _choice(question: Question, text: str) -> str:
  """The option that is said, by its text or its letter; '' where unclear."""
  said = grading.normalise(text)
  for number, choice in enumerate(question.choices):
    letter = chr(ord('a') + number)
    if said in (grading.normalise(choice), letter):
      return grading.normalise(choice)
  within = [
    grading.normalise(choice)
    for choice in question.choices
    if grading.contains(text, [choice])
  ]
  return within[0] if len(within) == 1 else ''


def _words(question: Question, text: str, *, strip: bool) -> str:
  said = grading.normalise(text)
  if not strip:
    return said
  asked = set(grading.normalise(question.prompt).split()) | _IDLE
  return ' '.join(word for word in said.split() if word not in asked)


def classes(labels: Iterable[str]) -> tuple[np.ndarray, list[str]]:
  """Numbers of the labels, by first appearance, and the labels by number."""
  known: dict[str, int] = {}
  numbers = [known.setdefault(one, len(known)) for one in labels]
  return np.array(numbers, np.int32), list(known)


def clusters(
  texts: Sequence[str], same: Callable[[str, str], bool]
) -> np.ndarray:
  """Classes by comparing with the first member of each, in their order.

  Args:
    texts: answers to one question.
    same: whether two say the same; asked at most once a pair, and never about
      equal texts.
  """
  first: list[str] = []
  known: dict[str, int] = {}
  for text in texts:
    if text in known:
      continue
    for number, other in enumerate(first):
      if same(other, text):
        known[text] = number
        break
    else:
      known[text] = len(first)
      first.append(text)
  return np.array([known[text] for text in texts], np.int32)


def both_ways(
  entails: Callable[[str, str], bool],
) -> Callable[[str, str], bool]:
  """`same` of a judge of entailment: each follows from the other."""
  return lambda one, other: entails(one, other) and entails(other, one)


def similar(
  texts: Sequence[str],
  sentences: Callable[[list[str]], np.ndarray],
  *,
  threshold: float,
) -> Callable[[str, str], bool]:
  """`same` of a sentence encoder: a cosine of `threshold` or more.

  Args:
    texts: all that will be compared; encoded once.
    sentences: texts to unit vectors [N, D], see `lm.encoder`.
    threshold: in (0, 1].

  Raises:
    ValueError: a threshold outside.
  """
  if not 0 < threshold <= 1:
    raise ValueError(f'threshold must be in (0, 1], got {threshold}')
  distinct = list(dict.fromkeys(texts))
  vectors = np.asarray(sentences(distinct), np.float64) if distinct else []
  at = dict(zip(distinct, vectors, strict=True))
  return lambda one, other: float(at[one] @ at[other]) >= threshold
