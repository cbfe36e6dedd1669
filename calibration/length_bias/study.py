"""The functions of correctness of a study: what is set, opened and computed.

Section 2.2 of docs/papers/uq_length_bias.md. Lexical functions are always
computed; an encoder, a judge, AlignScore and human ratings if the config names
them.

Shapes: N answers.
"""

import dataclasses
import itertools
import pathlib
from collections.abc import Mapping

import numpy as np

from calibration.correctness import (
  align,
  embedding,
  judge,
  lexical,
  near,
  ratings,
)
from calibration.recording import cell as cell_lib
from calibration.recording import record
from lm.checkpoints import encoder as encoder_lib
from lm.checkpoints import pretrained_tokenizer, weights


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
  """The estimators and the functions of correctness.

  Attributes:
    samples: recorded samples that the estimators read.
    encoder: sentence encoder, see `lm.checkpoints.encoder`; if empty, neither
      BERTScore nor SentenceBERT is computed.
    judge: model that judges, see `lm.checkpoints.hub.resolve`; none if empty.
    align: checkpoint of AlignScore, see align.py; if empty, it is left out.
    align_model: the RoBERTa that the checkpoint was trained from.
    ratings: file of human ratings, see ratings.py; none if empty.
    same: cosine above which two answers mean the same; at 0, answers that name
      the same thing (collapse.py). Stands in for entailment both ways.
    reports: whether the model is asked about its own answers, for P(True) and
      verbalised confidence, see recording/self_report.py.
    judge_compute: dtype of the judge, float32 or bfloat16.
    rouge_label: ROUGE-L F1 above which the probe's label is "right". The paper
      has 0.5, which a full sentence about one word cannot pass.
  """

  samples: int = 10
  encoder: str = 'minilm_l6'
  judge: str = ''
  align: str = ''
  align_model: str = 'roberta-large'
  ratings: str = ''
  same: float = 0.0
  reports: bool = False
  judge_compute: str = 'float32'
  rouge_label: float = 0.3

  def __post_init__(self):
    if self.samples < 1:
      raise ValueError(f'study.samples must be positive, got {self.samples}')
    if not 0 <= self.same <= 1:
      raise ValueError(f'study.same must be in [0, 1], got {self.same}')
    if self.same and not self.encoder:
      raise ValueError(
        f'study.same={self.same} needs sentences encoded; set study.encoder, '
        'or study.same to 0'
      )
    if self.judge_compute not in ('float32', 'bfloat16'):
      raise ValueError(
        'study.judge_compute must be float32 or bfloat16, got '
        f'{self.judge_compute!r}'
      )
    # Before hours of recording, not after them.
    if self.align:
      near.file(self.align, 'study.align')
      align.check(self.align_model)
    if self.ratings:
      near.file(self.ratings, 'study.ratings')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Models:
  """What functions of correctness and estimators need, None where left out.

  Attributes:
    encoder: sentence encoder.
    aligner: AlignScore.
    tokenizer: of the model that answered; SAR takes its tokens out.
  """

  encoder: encoder_lib.Encoder | None = None
  aligner: align.Scorer | None = None
  tokenizer: pretrained_tokenizer.CheckpointTokenizer | None = None

  @classmethod
  def load(cls, study: Study, recorded: record.Recording) -> 'Models':
    """Opens what the study names."""
    encoder, aligner, tokenizer = None, None, None
    if study.encoder:
      encoder = encoder_lib.Encoder.load(study.encoder)
      source = weights.open_source(recorded.path())
      tokenizer = pretrained_tokenizer.CheckpointTokenizer.load(source)
    if study.align:
      path = pathlib.Path(study.align).expanduser()
      aligner = align.load(str(path), model=study.align_model)
    return cls(encoder=encoder, aligner=aligner, tokenizer=tokenizer)


def rated(
  study: Study, cells: Mapping[str, cell_lib.Cell]
) -> dict[str, ratings.Ratings | None]:
  """The human ratings of each set, None where the set has none.

  Raises:
    ValueError: see `ratings.read`.
  """
  if not study.ratings:
    return dict.fromkeys(cells)
  ids = {
    name: [one.question.id for one in cell.said] for name, cell in cells.items()
  }
  # Two sets may share a question.
  every = dict.fromkeys(itertools.chain.from_iterable(ids.values()))
  place = {id_: at for at, id_ in enumerate(every)}
  people = ratings.read(near.file(study.ratings, 'study.ratings'), list(place))
  found = {
    name: people.pick([place[id_] for id_ in row]) for name, row in ids.items()
  }
  return {name: one if one.rated() else None for name, one in found.items()}


def values_of(
  cell: cell_lib.Cell, study: Study, models: Models
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
  """Values [N] by function of correctness, and counts of the judge's failures.

  Args:
    cell: full sentences.
    study: names the functions beyond the lexical ones.
    models: those that it needs.
  """
  questions = [one.question.prompt for one in cell.said]
  texts = [one.greedy for one in cell.said]
  references = [one.question.answers for one in cell.said]
  counts: dict[str, float] = {}
  values = {
    name: lexical.scores(name, texts, references, questions)
    for name in lexical.FUNCTIONS
  }
  if models.encoder is not None:
    tokens = embedding.between_ends(models.encoder.tokens)
    values['bert_score'] = embedding.bert_score(texts, references, tokens)
    values['sentence'] = embedding.sentence_cosine(
      texts, references, models.encoder.sentences
    )
  if models.aligner is not None:
    values['align_score'] = align.scores(models.aligner, texts, references)
  if study.judge:
    judged = judge.labels_by(
      study.judge, questions, texts, references, dtype=study.judge_compute
    )
    values['judge'] = judged.labels
    counts = {f'judge/{k}': float(v) for k, v in judged.figures().items()}
  return values, counts
