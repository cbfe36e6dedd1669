"""Humanity's Last Exam, or its open stand-in; nothing is trained.

docs/papers/hle.md. `build(cfg)` reads configs/calibration/hle*.py: `data` names
the exam, `model` who takes it (several with commas between them), `judge` who
marks it; the section `exam` says which questions, `hle` how they are asked.
Results name questions by id alone.
"""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from calibration.hle import data, guard, protocol, report, responses, standin
from engine import experiment as experiment_lib
from engine import options, stop
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
class Questions:
  """Which questions are asked: the config section `exam`.

  Attributes:
    questions: the first so many after the filters; 0 for all.
    text_only: see `data.load_hle`. category, subject, answer_type: likewise.
    ids: a file of ids, one a line; all if empty.
    seed: of the stand-in.
  """

  questions: int = 0
  text_only: bool = True
  category: str = ''
  subject: str = ''
  answer_type: str = ''
  ids: str = ''
  seed: int = 0

  def __post_init__(self):
    if self.questions < 0:
      raise ValueError(
        f'exam.questions must not be negative, got {self.questions}'
      )

  def load(self, spec: str) -> data.Exam:
    """The exam that `data` names; errors are those of `data.load_hle`."""
    if spec == standin.NAME:
      return standin.exam(self.questions, seed=self.seed)
    ids = ''
    if self.ids:
      ids = pathlib.Path(self.ids).expanduser().read_text('utf-8')
    found = data.load_hle(
      spec,
      text_only=self.text_only,
      category=self.category,
      subject=self.subject,
      answer_type=self.answer_type,
      ids=frozenset(ids.split()),
    )
    if self.questions > len(found.items):
      raise ValueError(
        f'exam.questions must be at most {len(found.items)}, got '
        f'{self.questions}'
      )
    return found._replace(items=found.items[: self.questions or None])


def build(cfg: Mapping[str, Any]) -> experiment_lib.Experiment:
  """Reads `data`, `model`, `judge` and the sections `exam` and `hle`.

  Raises:
    ValueError: a field that does not fit.
  """
  spec, steps = cfg['data'], cfg['run']['steps']
  models = [name.strip() for name in cfg['model'].split(',') if name.strip()]
  if not spec or not models:
    raise ValueError(
      'data must name the exam (standin, or a file or folder) and model who '
      f'takes it, got {spec!r} and {cfg["model"]!r}'
    )
  chosen = options.section(cfg['exam'], 'exam', Questions)
  given = dict(model=models[0], judge=cfg['judge'], questions=1, digest='')
  how = options.section(cfg['hle'], 'hle', responses.Responses, given=given)

  def test(state, key):
    del state, key
    exam = chosen.load(spec)
    out: dict[str, Any] = {
      'judge': how.judge,
      'release': exam.release,
      'ids': exam.digest,
      'questions': len(exam.items),
      'note': protocol.NOTE,
    }
    private = spec != standin.NAME
    keep = guard.Guard(i.question for i in exam.items if private)
    for model in models:
      stop.check()
      asked = how.of(model, exam.items)
      responses.gather(asked, exam.items, keep)
      rows = responses.load(asked)
      name = pathlib.PurePath(model).name
      figures = report.measure(rows)
      out |= {f'{key}/{name}': value for key, value in figures.items()}
      c, a = report.pairs(rows)
      out |= {f'array/confidence/{name}': c, f'array/correct/{name}': a}
    keep.check(str(out), 'the results')
    return out

  return experiment_lib.Experiment(
    open=lambda: experiment_lib.only_evaluates(test, steps=steps),
    **_dry_run(cfg, how, chosen.questions),
    columns=COLUMNS,
    rows=rows_of,
    figures='calibration.hle.plots',
  )


def _dry_run(cfg, how, questions) -> dict[str, Any]:
  if 'shape' not in cfg:
    return {}
  tokens = questions * how.attempts * how.max_new_tokens

  def cost(model) -> list[str]:
    del model
    return [f'generated tokens: {tokens:,} at most, since responses end']

  return model_init.dry_run(
    {'model': cfg['shape']},
    how.compute,
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
