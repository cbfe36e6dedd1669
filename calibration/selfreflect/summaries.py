"""A subject is asked to say in one text what all its answers are (section 5).

Beside a recording of its answers, which must be there. The wordings are ours,
with the content of the release's:

  greedy                nothing special: the question
  basic                 all plausible answers, graded in words
  cot                   reason first, then a line that begins with 'Summary:'
  twostep_cot           list what is possible, then make one answer of it
  sample_and_summarize  fresh answers are shown, to be summarised

  <folder>/<set>-<style>-<strategy>/00000.jsonl   a text a line
"""

import dataclasses
import functools
import json
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from calibration.recording import log, record
from calibration.selfreflect import conversation
from engine.runs import recording as recording_lib
from engine.runs import writer
from lm.checkpoints import decoder
from lm.decoding import prefix_cache
from lm.judging import turns, verdict

STRATEGIES = ('greedy', 'basic', 'cot', 'twostep_cot', 'sample_and_summarize')
MARKER = 'Summary:'
_MARKED = re.compile(
  r'^[^\w\n]*summary[*_ ]*:[*_]*', re.IGNORECASE | re.MULTILINE
)

_GRADE = (
  'Say which are likelier in words such as "most likely" or "it could also '
  'be". Leave out what is very unlikely. If only one answer is possible, give '
  'it plainly, without a hedge.'
)
_BASIC = f'Reply with one text that sums up all plausible answers. {_GRADE}'
_CHAIN = (
  'First think about two or three different possible answers at least, and how '
  f'plausible each is. Then write a line that begins with "{MARKER}" and sums '
  f'up all plausible answers in one text. {_GRADE}'
)
_LIST = 'List all answers that seem possible to you, and how plausible each is.'
_DISTIL = f'Now make one coherent answer of your list. {_GRADE}'
_SUM_UP = (
  'Here are answers that were given to this question:\n{answers}\n\nSum them '
  'up in one text, in the style of one answer. Begin with the most frequent '
  'answer, and say in words how frequent each is. Merge numbers that are close '
  'into a range. Add nothing, leave nothing out, and do not correct what is '
  'wrong.'
)


class Counts(NamedTuple):
  """How the S samples of a question are used; the three parts never overlap.

  Attributes:
    masked: answers whose words are gaps, the first.
    told: those that the judge is told in the reference context, the next.
    fresh: those that summaries are made from, the next.
  """

  masked: int
  told: int
  fresh: int

  def split(self, samples: Sequence[str]) -> tuple[Sequence[str], ...]:
    """The three parts; ValueError where there are too few samples."""
    if len(samples) < sum(self):
      raise ValueError(
        f'expected {sum(self)} samples of a question ({self.masked} masked, '
        f'{self.told} told, {self.fresh} fresh), came {len(samples)}; raise '
        'record.samples or lower reflect.answers or reflect.fresh'
      )
    ends = self.masked, self.masked + self.told, sum(self)
    return (
      samples[: ends[0]],
      samples[ends[0] : ends[1]],
      samples[ends[1] : ends[2]],
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summaries(record.Recording):
  """A recording's fields, and how its model is asked to sum up.

  Attributes, besides those of `record.Recording`:
    answers: N, of the gaps and again of the reference context.
    fresh: answers that summaries are made from.
    strategies: of STRATEGIES.
    chain_tokens: the most tokens of `cot` and of the list of `twostep_cot`.
    summary_tokens: the most of any other text.
  """

  HOME: ClassVar[str] = 'summaries'
  SUFFIX: ClassVar[str] = '.jsonl'
  VERSION: ClassVar[int] = 1
  SECTION: ClassVar[str] = 'reflect'
  FREE: ClassVar[tuple[str, ...]] = (*record.Recording.FREE, 'strategies')

  answers: int = 10
  fresh: int = 10
  strategies: tuple[str, ...] = STRATEGIES
  chain_tokens: int = 160
  summary_tokens: int = 64

  def __post_init__(self):
    super().__post_init__()
    self.check_positive('answers', 'fresh', 'chain_tokens', 'summary_tokens')
    unknown = [one for one in self.strategies if one not in STRATEGIES]
    if unknown:
      raise ValueError(
        f'reflect.strategies must be of {", ".join(STRATEGIES)}, got '
        f'{unknown[0]!r}'
      )
    if sum(self.counts) > self.samples:
      raise ValueError(
        f'record.samples must be at least {sum(self.counts)} for '
        f'reflect.answers={self.answers} and reflect.fresh={self.fresh}, got '
        f'{self.samples}'
      )

  @property
  def counts(self) -> Counts:
    return Counts(self.answers, self.answers, self.fresh)

  def groups(self) -> tuple[str, ...]:
    return tuple(
      f'{record.cell(*one)}-{strategy}'
      for one in self.cells()
      for strategy in self.strategies
    )


def beside(recorded: record.Recording, home: str) -> dict[str, Any]:
  """Fields that a recording shares with what is made of it.

  All but `questions`: of it the first may be enough.

  Args:
    recorded: the answers.
    home: of what is made of them, below the recording's own folder if it has
      one.
  """
  fields = {
    field.name: getattr(recorded, field.name)
    for field in dataclasses.fields(recorded)
    if field.name != 'questions'
  }
  if recorded.folder:
    fields['folder'] = str(pathlib.Path(recorded.folder) / home)
  return fields


def gather(recorded: record.Recording, wanted: Summaries) -> None:
  """Asks what is missing; opens no model if nothing is.

  Args:
    recorded: has been gathered.
    wanted: what is missing of it is asked.

  Raises:
    FileNotFoundError: there is no such recording.
    ValueError: the folder holds other summaries.
  """
  wanted.gather(
    lambda **share: ask(recorded, wanted, record.open_model(recorded), **share)
  )


def ask(
  recorded: record.Recording,
  wanted: Summaries,
  model: decoder.Decoder,
  *,
  process: int = 0,
  processes: int = 1,
  enabled: bool = True,
) -> None:
  """Writes what is missing of this process' share; see `record.record`."""
  cells = {
    f'{record.cell(*one)}-{strategy}': (record.cell(*one), strategy)
    for one in wanted.cells()
    for strategy in wanted.strategies
  }

  @functools.lru_cache(1)
  def said(group):
    return list(log.read(recorded.at(), group))

  def write(shard, path):
    group, strategy = cells[shard.group]
    some = said(group)[wanted.rows(shard)]
    texts = _ask(wanted, model, some, strategy)
    rows = [
      json.dumps({'id': one.question.id, 'text': text}, ensure_ascii=False)
      for one, text in zip(some, texts, strict=True)
    ]
    with writer.replace(path) as temporary:
      temporary.write_text('\n'.join(rows) + '\n', encoding='utf-8')

  wanted.fill(
    wanted.missing(process, processes),
    write,
    unit='summaries',
    enabled=enabled,
  )


def load(
  wanted: Summaries, name: str, style: str, ids: Sequence[str]
) -> dict[str, list[str]]:
  """Texts of a cell by strategy, one for each question.

  Args:
    wanted: what was asked.
    name: of the set.
    style: see calibration/recording/prompts.py.
    ids: of the recorded questions, in order.

  Raises:
    FileNotFoundError: the model was not asked.
    ValueError: the texts are about other questions.
  """
  out = {}
  for strategy in wanted.strategies:
    group = f'{record.cell(name, style)}-{strategy}'
    rows = [
      json.loads(line)
      for path in recording_lib.paths(wanted.at(), group, wanted.SUFFIX)
      for line in path.read_text(encoding='utf-8').splitlines()
    ]
    if [row['id'] for row in rows] != list(ids):
      raise ValueError(
        f'{wanted.at() / group} must hold a summary for each of {len(ids)} '
        f'recorded questions, got {len(rows)} or others; remove that folder to '
        'have the model asked again'
      )
    out[strategy] = [row['text'] for row in rows]
  return out


def summary_of(text: str, strategy: str, *, release: bool) -> str | None:
  """What is scored of a text; None where it is missing.

  Args:
    text: as the subject wrote it.
    strategy: of STRATEGIES.
    release: for `cot` the rest of the line after the first marker, or the whole
      text without one, as the paper's code does. Otherwise (ours) all after the
      last marker, and no summary without one.
  """
  try:
    said = verdict.answer(text)
  except ValueError:
    return None
  if strategy != 'cot':
    return said or None
  found = list(_MARKED.finditer(said))
  if release:
    if not found:
      return said or None
    return said[found[0].end() :].split('\n')[0].strip() or None
  return said[found[-1].end() :].strip() or None if found else None


def asked_for(question: str, strategy: str, fresh: Sequence[str]) -> str:
  """The user's turn of a strategy; of `twostep_cot` the first."""
  more = {
    'greedy': '',
    'basic': _BASIC,
    'cot': _CHAIN,
    'twostep_cot': _LIST,
    'sample_and_summarize': _SUM_UP.format(answers=conversation.listed(fresh)),
  }[strategy]
  return f'Question: {question.removesuffix("?")}?\n{more}'.strip()


def _ask(
  wanted: Summaries,
  model: decoder.Decoder,
  said: Sequence[log.Said],
  strategy: str,
) -> list[str]:
  tokenizer = model.tokenizer

  def reply(conversations: Sequence[Sequence[Mapping]], most: int) -> list[str]:
    ids = [turns.ids(tokenizer, one) for one in conversations]
    found = prefix_cache.greedy(
      model.config,
      model.params,
      ids,
      max_new_tokens=most,
      stop=tokenizer.stop_ids,
      batch=wanted.file,
    )
    return [tokenizer.decode(one).strip() for one in found]

  asked = [
    [
      {'role': 'system', 'content': conversation.SYSTEM},
      {
        'role': 'user',
        'content': asked_for(
          one.question.prompt, strategy, wanted.counts.split(one.samples)[2]
        ),
      },
    ]
    for one in said
  ]
  long = strategy in ('cot', 'twostep_cot')
  texts = reply(asked, wanted.chain_tokens if long else wanted.summary_tokens)
  if strategy != 'twostep_cot':
    return texts
  again = [
    [
      *one,
      {'role': 'assistant', 'content': text},
      {'role': 'user', 'content': _DISTIL},
    ]
    for one, text in zip(asked, texts, strict=True)
  ]
  return reply(again, wanted.summary_tokens)
