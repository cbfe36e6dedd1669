"""Humanity's Last Exam, or its open stand-in; nothing is trained.

docs/papers/hle.md. `build(cfg)` reads configs/calibration/hle*.py: `data` names
the exam, `model` who takes it (several with commas between them), `judge` who
marks it, the section `hle` the rest. Results name questions by id alone.
"""

import dataclasses
import hashlib
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from calibration.hle import data, guard, protocol, report, responses, standin
from engine import experiment as experiment_lib
from engine import options, stop
from engine.runs import results
from lm import init as model_init

COLUMNS = (
  ('accuracy', 'accuracy', '.2f'),
  ('half_width', '+-', '.2f'),
  ('confidence', 'confidence', '.3f'),
  ('rms_official_few', 'official', '.3f'),
  ('rms_all_bins_few', 'all bins', '.3f'),
  ('smece', 'smECE', '.3f'),
  ('auroc', 'AUROC', '.3f'),
  ('parse_rate', 'stated', '.3f'),
  ('unjudged', 'unjudged', '.0f'),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
  """Which questions, and how they are asked.

  Attributes:
    questions: of the exam, the first after the filters; 0 for all.
    text_only: see `data.load_hle`. category, subject, answer_type: likewise.
    ids: a file of ids, one a line; all if empty.
    seed: of the stand-in, and of what is drawn.
    compute: see `responses.Responses`. url, key_env, judge_compute, judge_url,
      judge_key_env, attempts, temperature, max_new_tokens, judge_tokens, file,
      batch, folder, accept_licence: likewise.
  """

  questions: int = 0
  text_only: bool = True
  category: str = ''
  subject: str = ''
  answer_type: str = ''
  ids: str = ''
  seed: int = 0
  compute: str = 'bfloat16'
  url: str = ''
  key_env: str = 'OPENAI_API_KEY'
  judge_compute: str = 'bfloat16'
  judge_url: str = ''
  judge_key_env: str = 'OPENAI_API_KEY'
  attempts: int = 1
  temperature: float = 0.0
  max_new_tokens: int = 256
  judge_tokens: int = 256
  file: int = 10
  batch: int = 10
  folder: str = ''
  accept_licence: str = ''


def exam_of(spec: str, s: Settings) -> data.Exam:
  """The exam that `data` names; errors are those of `data.load_hle`."""
  if s.questions < 0:
    raise ValueError(f'hle.questions must not be negative, got {s.questions}')
  if spec == standin.NAME:
    if not s.questions:
      raise ValueError('hle.questions must say how many of the stand-in')
    return standin.exam(s.questions, seed=s.seed)
  ids = ()
  if s.ids:
    lines = pathlib.Path(s.ids).expanduser().read_text('utf-8').split()
    ids = frozenset(lines)
  found = data.load_hle(
    spec,
    text_only=s.text_only,
    category=s.category,
    subject=s.subject,
    answer_type=s.answer_type,
    ids=ids,
  )
  if s.questions > len(found.items):
    raise ValueError(
      f'hle.questions must be at most {len(found.items)}, got {s.questions}'
    )
  return found._replace(items=found.items[: s.questions or None])


def wanted(
  model: str, judge: str, s: Settings, exam: data.Exam
) -> responses.Responses:
  """What is asked of one model; ValueError where a field does not fit."""
  fields = dataclasses.asdict(s)
  for name in ('text_only', 'category', 'subject', 'answer_type', 'ids'):
    del fields[name]
  ids = '\n'.join(item.id for item in exam.items)
  fields['questions'] = len(exam.items)
  return responses.Responses(
    **fields,
    model=model,
    judge=judge,
    digest=hashlib.sha256(ids.encode()).hexdigest(),
  )


def build(cfg: Mapping[str, Any]) -> experiment_lib.Experiment:
  """Reads `data`, `model`, `judge` and the section `hle`.

  Raises:
    ValueError: a field that does not fit.
  """
  spec, judge, steps = cfg['data'], cfg['judge'], cfg['run']['steps']
  models = [name.strip() for name in cfg['model'].split(',') if name.strip()]
  if not spec or not models:
    raise ValueError(
      'data must name the exam (standin, or a file or folder) and model who '
      f'takes it, got {spec!r} and {cfg["model"]!r}'
    )
  s = options.section(cfg['hle'], 'hle', Settings)
  # What is wrong with a number is said before a file is read.
  wanted(models[0], judge, s, data.Exam([data.Item(*'abcd')], 1, '', '', ''))

  def test(state, key):
    del state, key
    exam = exam_of(spec, s)
    out: dict[str, Any] = {
      'judge': judge,
      'release': exam.release,
      'ids': exam.digest,
      'questions': len(exam.items),
      'note': protocol.NOTE,
      'versions': str(sorted(results.versions().items())),
    }
    keep = guard.Guard(item.question for item in exam.items)
    for model in models:
      stop.check()
      asked = wanted(model, judge, s, exam)
      responses.gather(asked, exam.items)
      rows = responses.load(asked)
      name = pathlib.PurePath(model).name
      figures = report.measure(rows)
      out |= {f'{key}/{name}': value for key, value in figures.items()}
      c, a = report.pairs(rows)
      out |= {f'array/confidence/{name}': c, f'array/correct/{name}': a}
      if spec != standin.NAME and (found := keep.scan(asked.at())):
        raise guard.LeakError(
          f'{found[0]} holds text of a private question; remove it'
        )
    return out

  return experiment_lib.Experiment(
    open=lambda: experiment_lib.only_evaluates(test, steps=steps),
    **_dry_run(cfg, s),
    columns=COLUMNS,
    rows=rows_of,
    figures='calibration.hle.plots',
  )


def _dry_run(cfg, s) -> dict[str, Any]:
  if 'shape' not in cfg:
    return {}
  tokens = s.questions * s.attempts * s.max_new_tokens

  def cost(model) -> list[str]:
    del model
    return [f'generated tokens: {tokens:,} at most, since responses end']

  return model_init.dry_run(
    {'model': cfg['shape']},
    s.compute,
    cost,
    flops=lambda model: 2 * model.parameters() * tokens,
  )


def rows_of(summary: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
  """Figures by model."""
  out: dict[str, dict[str, Any]] = {}
  for key, value in summary.items():
    figure, slash, model = key.rpartition('/')
    if (
      slash
      and not figure.startswith('array/')
      and not isinstance(value, np.ndarray)
    ):
      out.setdefault(model, {})[figure] = value
  return {name: [row] for name, row in out.items()}
