"""What an answer means: texts of one meaning share a label.

The function B of section 2 of docs/papers/semantic_calibration.md, for which
the paper asks a strong model. Here rules read it off the text (ours):

  a number is asked for    the value of the number, see corpora grading.py
  a fact about a country   the country, city, ... that is named, by any name
  options are given        the option that is named, by its text or letter
  all else                 the words, without case, punctuation and articles;
                           from a sentence, the words of the question go, too

The label '' means that there is no answer; it is never right.

`clusters` instead joins answers that a judge, or a sentence encoder, takes for
the same (Farquhar et al., 2024, arXiv 2302.09664).
"""

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from calibration.recording import prompts
from corpora.questions import grading, world_facts
from corpora.questions.question import Question

# Words that surround an answer in any sentence.
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
# The end of a sentence; an initial (Michael D. Higgins) or a title ends none.
_END = re.compile(r'[.!?](?:\s|$)')
_END_OF_WORDS = re.compile(
  r'(?<!\b[A-Z])(?<!\b[DMS]r)(?<!\b[SM]t)(?<!\bMrs)(?<!\bNo)(?<!\bvs)(?<!\bv)'
  + _END.pattern
)

# Above this share of samples that are alone in their class, a cell measures the
# collapse: a confidence is then 1/M whatever the model knows.
ALONE = 0.9
MEASURED = (
  'nearly every sample is a class of its own: these figures measure how '
  'answers are collapsed, not how sure the model is'
)


def label(question: Question, text: str, style: str) -> str:
  """The meaning of an answer, '' if it says nothing.

  Args:
    question: the question that was asked.
    text: one answer.
    style: the style in which it was asked, see prompts.py.
  """
  rest = text
  if style == 'cot':
    # A chain of thought that never reached the mark has no answer.
    _, found, rest = text.rpartition(prompts.MARK)
    if not found:
      return ''
    text = _END.split(rest)[0]
  if prompts.kind(question) == 'numbers':
    return _number(question, text, style)
  if question.choices:
    # An option may be longer than a sentence.
    return _choice(question, text) or _choice(question, rest)
  text = _END_OF_WORDS.split(rest)[0] if style == 'cot' else text
  if prompts.kind(question) == 'world':
    relation = question.source.partition('/')[2]
    named = _named(question.prompt, text, relation)
    if named:
      return named
  elif grading.asks_number(question.answers):
    # Asked in the open, a number may also be given in words: then they count.
    number = _number(question, text, 'sentence')
    if number:
      return number
  return _words(question, text, strip=style == 'sentence')


def right(question: Question) -> frozenset[str]:
  """The labels of the accepted answers, in every style.

  An accepted answer is no sentence around the answer, and loses none of its
  words: only "Bank of England" is right, not "Bank".
  """
  labels = {label(question, answer, 'concise') for answer in question.answers}
  return frozenset(labels - {''})


def is_right(question: Question, style: str, said: str) -> bool:
  """Whether a label is that of an accepted answer.

  To an open question an answer is also right if it holds an accepted answer as
  whole words, as a sentence can hardly be stripped to exactly these. The
  exception in sentences is an accepted answer whose words all belong to the
  question or to any sentence ("who won, India or Pakistan", "in"): a sentence
  may restate it, so that it must be all that is left.

  Args:
    question: has the accepted answers.
    style: see `label`.
    said: a label.
  """
  if not said:
    return False
  accepted = right(question)
  if said in accepted:
    return True
  # An option may stand in another option, and a number in another number.
  if question.choices or prompts.kind(question) != 'open':
    return False
  if grading.asks_number(question.answers):
    return False
  if style == 'sentence':
    idle = _idle(question)
    accepted = {one for one in accepted if not idle.issuperset(one.split())}
  return grading.contains(said, sorted(accepted))


def _number(question: Question, text: str, style: str) -> str:
  """The first number of a few words, the final one of a sentence."""
  if style == 'concise':
    found = next(iter(grading.numbers(text)), None)
  else:
    found = grading.final_number(text, question=question.prompt)
  return '' if found is None else grading.spelt(found)


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
  """The first entry named that the question does not name itself.

  If the question names all of them, the last: "South Africa is in Africa."
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


def _squeezed(text: str) -> str:
  return ' '.join(text.split())


# Forms in which options are compared: the first in which all are something and
# differ. Normalised, "//" is nothing, and "x + 1" is "x - 1".
_FORMS = (
  grading.normalise,
  lambda text: _squeezed(text).lower().rstrip('.'),
  _squeezed,
)


def _form(choices: Sequence[str]) -> Callable[[str], str]:
  different = set(map(_squeezed, choices))  # a few sets repeat an option
  for form in _FORMS:
    names = set(map(form, different))
    if len(names) == len(different) and '' not in names:
      return form
  return _squeezed


def _choice(question: Question, text: str) -> str:
  """The option that a text names by text or letter, '' where it is unclear."""
  form = _form(question.choices)
  names = list(map(form, question.choices))
  said = form(text)
  if said in names:
    return said
  letters = [chr(ord('a') + number) for number in range(len(names))]
  if grading.normalise(text) in letters:
    return names[letters.index(grading.normalise(text))]
  # The longest first: "not wrong" does not say "wrong".
  rest, found = f' {said} ', set()
  for name in sorted(filter(None, names), key=len, reverse=True):
    whole = rf'(?<=\s){re.escape(name)}(?=[^\w\s]*\s)'
    rest, times = re.subn(whole, '\0', rest)
    if times:
      found.add(name)
  return found.pop() if len(found) == 1 else ''


def _idle(question: Question) -> set[str]:
  """The words that a sentence loses."""
  return set(grading.normalise(question.prompt).split()) | _IDLE


def _words(question: Question, text: str, *, strip: bool) -> str:
  """The normalised words; `strip` drops those of the question and idle ones.

  The words of an accepted answer stay where it stands in full, or it could not
  be told from its parts. They go where the question has it between the same two
  words: there the sentence restates the question.
  """
  said = grading.normalise(text).split()
  if not strip:
    return ' '.join(said)
  idle = _idle(question)
  kept = [word not in idle for word in said]
  asked = grading.normalise(question.prompt).split()
  accepted = [grading.normalise(answer).split() for answer in question.answers]
  accepted = [answer for answer in accepted if answer]
  for answer in accepted:
    restated = {between for _, between in _places(asked, answer)}
    for at, between in _places(said, answer):
      if between not in restated:
        kept[at : at + len(answer)] = [True] * len(answer)
  left = [word for word, keep in zip(said, kept, strict=True) if keep]
  for answer in accepted:
    # 'The plural of "sheep" is "sheep"' says it once.
    if left and left == answer * (len(left) // len(answer)):
      left = answer
  return ' '.join(left)


def _places(
  words: list[str], part: list[str]
) -> Iterator[tuple[int, tuple[str, str]]]:
  """Where a part stands in a text, and the words before and after it."""
  framed, size = ['', *words, ''], len(part)
  for at in range(len(words) - size + 1):
    if words[at : at + size] == part:
      yield at, (framed[at], framed[at + size + 1])


def alone(numbers: np.ndarray) -> float:
  """Share of the samples whose class no other sample of the question has.

  Above `ALONE` the classes say nothing about a model.

  Args:
    numbers: int [Q, S], the class of each sample.
  """
  counts = [np.unique(row, return_counts=True)[1] for row in numbers]
  single = sum(int((count == 1).sum()) for count in counts)
  return single / max(numbers.size, 1)


def measured(numbers: np.ndarray) -> dict[str, float | str]:
  """Whether the collapse is measured and not the model, for a report.

  Args:
    numbers: see `alone`.

  Returns:
    'alone', the share; 'collapse', 1.0 where it is above `ALONE`, else 0.0; and
    there 'note', which says it in words.
  """
  share = alone(numbers)
  out: dict[str, float | str] = {
    'alone': share,
    'collapse': float(share > ALONE),
  }
  if share > ALONE:
    out['note'] = f'{share:.0%} of samples: {MEASURED}'
  return out


def classes(labels: Iterable[str]) -> tuple[np.ndarray, list[str]]:
  """A number for each label, by first appearance, and the labels by number."""
  known: dict[str, int] = {}
  numbers = [known.setdefault(one, len(known)) for one in labels]
  return np.array(numbers, np.int32), list(known)


def clusters(
  texts: Sequence[str], same: Callable[[str, str], bool]
) -> np.ndarray:
  """Classes of texts, each compared with the first member of every class.

  Args:
    texts: answers to one question.
    same: whether two texts say the same; called at most once for a pair, and
      never for equal texts.

  Returns:
    int32 [N], the class of each text, numbered by first appearance.
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
  """`same` from a judge of entailment: each text follows from the other."""
  return lambda one, other: entails(one, other) and entails(other, one)


def similar(
  texts: Sequence[str],
  sentences: Callable[[list[str]], np.ndarray],
  *,
  threshold: float,
) -> Callable[[str, str], bool]:
  """`same` from a sentence encoder: a cosine of at least `threshold`.

  Args:
    texts: all texts that will be compared; each is encoded once.
    sentences: texts to unit vectors [N, D], see `lm.checkpoints.encoder`.
    threshold: in (0, 1].

  Raises:
    ValueError: `threshold` lies outside (0, 1].
  """
  if not 0 < threshold <= 1:
    raise ValueError(f'threshold must be in (0, 1], got {threshold}')
  distinct = list(dict.fromkeys(texts))
  vectors = np.asarray(sentences(distinct), np.float64) if distinct else []
  at = dict(zip(distinct, vectors, strict=True))
  return lambda one, other: float(at[one] @ at[other]) >= threshold
