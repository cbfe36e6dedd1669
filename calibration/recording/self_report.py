"""A model is asked about the answers that it gave, and what it says is kept.

Beside a recording (record.py), which must be there: for each question P(True)
of the recorded greedy answer, and, in conversations, verbalised confidence with
an answer of its own (1S) or after the recorded one (2S); see
calibration/estimators/verbal.py for the papers. The wordings are ours, with the
content that the papers give.

  <folder>/<set>-<style>/00000.jsonl   a report a line, in the recording's order
"""

import dataclasses
import functools
import json
import pathlib
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from calibration.recording import log, prompts, record
from engine.runs import recording as recording_lib
from engine.runs import writer
from lm.checkpoints import decoder
from lm.decoding import prefix_cache, scoring

TRUE = 'True'
# The most tokens of a reply in one step and in two.
_TOKENS = (48, 16)
_FORM = (
  'Reply with nothing but {}a line "Probability: <a number from 0.0 to 1.0>".'
)
_ONE_STEP = (
  'Give your best guess at the answer to this question, as short as possible, '
  'and the probability that your guess is correct.\n'
  + _FORM.format('a line "Guess: <your guess>" and ')
  + '\n\nThe question is: {}'
)
_TWO_STEPS = 'How probable is it that your answer is correct? ' + _FORM.format(
  ''
)


class Report(NamedTuple):
  """What a model says of its answer to one question.

  Attributes:
    id: of the question.
    log_true: log of P(True), in nats: that the reply begins with 'True'.
    one_step: its reply with a guess of its own and a probability; '' where the
      recording is no conversation.
    two_steps: its reply after the recorded answer; likewise.
  """

  id: str
  log_true: float
  one_step: str
  two_steps: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reports(record.Recording):
  """Reports on a recording: its fields, in a folder of their own."""

  HOME: ClassVar[str] = 'self_reports'
  SUFFIX: ClassVar[str] = '.jsonl'
  VERSION: ClassVar[int] = 1

  @classmethod
  def of(cls, recorded: record.Recording) -> 'Reports':
    """Reports beside `recorded`, in the cache or below its own folder."""
    fields = {
      field.name: getattr(recorded, field.name)
      for field in dataclasses.fields(recorded)
    }
    if recorded.folder:
      fields['folder'] = str(pathlib.Path(recorded.folder) / cls.HOME)
    return cls(**fields)


def gather(recorded: record.Recording) -> None:
  """Asks what is missing; opens no model if nothing is.

  Args:
    recorded: has been gathered.

  Raises:
    FileNotFoundError: there is no such recording.
    ValueError: the folder holds reports on another recording.
  """
  Reports.of(recorded).gather(
    lambda **share: ask(recorded, record.open_model(recorded), **share)
  )


def ask(
  recorded: record.Recording,
  model: decoder.Decoder,
  *,
  process: int = 0,
  processes: int = 1,
  enabled: bool = True,
) -> None:
  """Writes what is missing of this process' share; see `record.record`."""
  reports = Reports.of(recorded)
  cells = dict(zip(reports.groups(), reports.cells(), strict=True))

  @functools.lru_cache(1)
  def said(group):
    return list(log.read(recorded.at(), group))

  def write(shard, path):
    _, style = cells[shard.group]
    some = said(shard.group)[reports.rows(shard)]
    rows = _ask(recorded, model, some, style)
    with writer.replace(path) as temporary:
      lines = [json.dumps(row._asdict(), ensure_ascii=False) for row in rows]
      temporary.write_text('\n'.join(lines) + '\n', encoding='utf-8')

  reports.fill(
    reports.missing(process, processes),
    write,
    unit='reports',
    enabled=enabled,
  )


def load(
  recorded: record.Recording, name: str, style: str, ids: Sequence[str]
) -> list[Report]:
  """Reports on a cell, one for each question of the recording.

  Args:
    recorded: its answers.
    name: of the set.
    style: see prompts.py.
    ids: of the recorded questions, in order.

  Raises:
    FileNotFoundError: the model was not asked.
    ValueError: the reports are about other questions.
  """
  reports, out = Reports.of(recorded), []
  group = record.cell(name, style)
  for path in recording_lib.paths(reports.at(), group, reports.SUFFIX):
    for line in path.read_text(encoding='utf-8').splitlines():
      out.append(Report(**json.loads(line)))
  if [one.id for one in out] != list(ids):
    raise ValueError(
      f'{reports.at() / group} must hold a report for each of {len(ids)} '
      f'recorded questions, got {len(out)} or others; remove that folder to '
      'have the model asked again'
    )
  return out


def true_prompt(question: str, answer: str) -> str:
  """Whether a proposed answer is true: how the reply begins says."""
  return (
    f'Question: {question}\nProposed answer: {answer}\n'
    'Is the proposed answer:\n (A) True\n (B) False\n'
    'The proposed answer is:'
  )


def _ask(recorded, model, said, style) -> list[Report]:
  config, params, tokenizer = model.config, model.params, model.tokenizer
  chat = recorded.form == 'chat'

  def turn(text):
    return tokenizer.chat([{'role': 'user', 'content': text}])

  asked = [true_prompt(one.question.prompt, one.greedy) for one in said]
  ids = [turn(text) if chat else tokenizer.encode(text) for text in asked]
  true = tokenizer.encode(TRUE if chat else f' {TRUE}', add_bos=False)
  scored = scoring.score(
    config, params, ids, [[true]] * len(ids), batch=recorded.file
  )
  log_true = [of_true.total for (of_true,) in scored]
  replies = [[''] * len(said)] * 2
  if chat:
    one_step = [turn(_ONE_STEP.format(one.question.prompt)) for one in said]
    two_steps = [
      tokenizer.chat(
        [
          *prompts.messages(one.question, style),
          {'role': 'assistant', 'content': one.greedy},
          {'role': 'user', 'content': _TWO_STEPS},
        ]
      )
      for one in said
    ]
    replies = [
      [
        tokenizer.decode(found).strip()
        for found in prefix_cache.greedy(
          config,
          params,
          ids,
          max_new_tokens=most,
          stop=tokenizer.stop_ids,
          batch=recorded.file,
        )
      ]
      for ids, most in zip((one_step, two_steps), _TOKENS, strict=True)
    ]
  return [
    Report(one.question.id, float(logp), *texts)
    for one, logp, *texts in zip(said, log_true, *replies, strict=True)
  ]
