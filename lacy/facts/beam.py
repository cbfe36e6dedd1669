"""The fact annotator as an Apache Beam DoFn, for corpora past one machine.

The same function that lacy.annotate runs on all cores of one machine, here on
Flink, Spark, Dataflow or Beam's local runner. Needs the `[beam]` extra.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import apache_beam as beam
import numpy as np

from lacy.facts import annotate
from lm import tokenizer as tokenizer_lib


class AnnotateDoFn(beam.DoFn):
  """Documents {'text', ...} to the same with `tokens` and `facts`.

  `tokens`: ids with <bos> and <eos>; `facts`: the mask over them, packed eight
  to a byte (numpy.packbits), bytes.
  """

  def __init__(self, tokenizer: tokenizer_lib.Tokenizer, rule: str):
    """Args: the corpus' tokenizer; rule, see lacy.annotate.RULES."""
    self._json = tokenizer.to_json()
    self._rule = rule

  def setup(self) -> None:
    """Once a worker: spaCy and the tokenizer."""
    self._tokenizer = tokenizer_lib.Tokenizer.from_json(self._json)
    self._nlp = None
    if self._rule != 'caps_digits':
      self._nlp = annotate.load_spacy(self._rule)

  def process(self, doc: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """One document."""
    marked = annotate.mark(
      self._tokenizer, [doc['text']], self._rule, self._nlp
    )
    ((ids, facts),) = marked
    tokens = [self._tokenizer.bos_id, *ids, self._tokenizer.eos_id]
    packed = np.packbits(np.pad(facts, 1)).tobytes()
    yield {**doc, 'tokens': tokens, 'facts': packed}
