r"""Throughput of the fact annotator beside bare spaCy.

python -m benchmarks.annotate --out=docs/results/annotate.json

Theirs: `nlp.pipe(texts, n_process=cores)` with the same components, the result
thrown away. Ours: the whole annotation of the same texts (spans, first
mentions, alignment to subwords, files), nothing cached. Taking turns; medians.
"""

import pathlib
import statistics
import sys
import tempfile
import time
from typing import NamedTuple

import numpy as np
from absl import flags

from corpora.text import prepare
from engine.runs import results
from lacy.facts import annotate
from launch import cli

_OUT = flags.DEFINE_string('out', '', 'results file; none if empty')
_DOCUMENTS = flags.DEFINE_integer('documents', 4000, 'of wiki_summaries')
_REPEATS = flags.DEFINE_integer('repeats', 3, 'rounds; medians are reported')
_PROCESSES = flags.DEFINE_integer('processes', 2, 'of either side')


class _Part(NamedTuple):
  """The first documents of a split, with a folder of their own."""

  docs: list
  tokens: np.ndarray
  starts: np.ndarray
  folder: pathlib.Path


def _ours(split, tokenizer, count) -> float:
  with tempfile.TemporaryDirectory() as folder:
    part = _Part(
      split.docs[:count],
      split.tokens[: split.starts[count]],
      split.starts[: count + 1],
      pathlib.Path(folder),
    )
    began = time.perf_counter()
    annotate.annotate(part, tokenizer, workers=_PROCESSES.value, progress=False)
    return time.perf_counter() - began


def _theirs(texts) -> float:
  began = time.perf_counter()
  nlp = annotate.load_spacy('ner_first')
  for _ in nlp.pipe(
    texts, batch_size=annotate.BATCH, n_process=_PROCESSES.value
  ):
    pass
  return time.perf_counter() - began


def main() -> None:
  began = time.monotonic()
  prepared = prepare.prepare('wiki_summaries')
  split = prepared.split('train')
  count = min(_DOCUMENTS.value, len(split.starts) - 1)
  texts = [doc['text'] for doc in split.docs[:count]]
  words = sum(len(text.split()) for text in texts)
  ours, theirs = [], []
  for _ in range(_REPEATS.value):
    ours.append(_ours(split, prepared.tokenizer, count))
    theirs.append(_theirs(texts))
  ours, theirs = statistics.median(ours), statistics.median(theirs)
  out = {
    'ratio_vs_spacy': theirs / ours,
    'ours_words_per_second': words / ours,
    'spacy_words_per_second': words / theirs,
    'seconds_ours': ours,
    'seconds_spacy': theirs,
    'documents': count,
    'words': words,
    'processes': _PROCESSES.value,
  }
  for name, value in out.items():
    print(f'{name:<24} {value:,.4g}')
  if _OUT.value:
    results.write(
      _OUT.value,
      out,
      command=' '.join(['python -m benchmarks.annotate', *sys.argv[1:]]),
      seconds=time.monotonic() - began,
      seeds=[],
    )


if __name__ == '__main__':
  cli.main(main)
