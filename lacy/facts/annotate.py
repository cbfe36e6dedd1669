"""The fact mask of a corpus: one bit a token, made once, on all cores.

Whole documents are annotated, before packing cuts them, so that "first
mention" means first in the document (section 5). Beside the tokens of a split:

  facts-<rule>.bits    numpy packbits of the mask
  facts-<rule>.json    what it was made with; a stale mask is refused

Parts of an interrupted call wait in .facts-<rule>/ and are used by the next.
"""

import functools
import hashlib
import importlib.metadata
import itertools
import json
import multiprocessing
import os
import pathlib
import shutil
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import filelock
import numpy as np

from engine import assets, stop
from engine import progress as progress_lib
from engine.runs import writer
from lacy.facts import spans as facts
from lm import tokenizer as tokenizer_lib

RULES = ('ner_first', 'ner_chunk_first', 'caps_digits')
# Documents a part: small enough to share out and to lose, large enough for
# spaCy's batches.
PART = 256
BATCH = 64
# Below this many documents starting processes costs more than it saves.
ALONE = 300
# Seconds without a finished part before looking whether all workers live.
WATCH = 2.0

_NEEDLESS = {
  'ner_first': ['tagger', 'parser', 'attribute_ruler', 'lemmatizer', 'senter'],
  'ner_chunk_first': ['lemmatizer', 'senter'],
}
# Words that carry content; the rest of a noun chunk can be guessed.
_CONTENT = {'NOUN', 'PROPN', 'NUM', 'ADJ', 'VERB', 'ADV', 'X', 'SYM'}


def load_spacy(rule: str):
  """spaCy's small English model with the components that `rule` needs.

  Raises:
    ValueError: unknown rule, or spaCy is not installed.
  """
  _check(rule)
  try:
    import spacy
  except ModuleNotFoundError as error:
    raise _without_spacy(rule) from error
  return spacy.load(assets.fetch('spacy_en'), exclude=_NEEDLESS[rule])


def _without_spacy(rule: str) -> ValueError:
  return ValueError(
    f"data.fact_rule={rule} needs spaCy; pip install 'socratic[annotate]' "
    'or use --config.data.fact_rule=caps_digits'
  )


def _check(rule: str) -> None:
  if rule not in RULES:
    raise ValueError(
      f'data.fact_rule must be one of {", ".join(RULES)}; got {rule!r}'
    )


class Parsed(NamedTuple):
  """What spaCy found in a text: spans of characters, in order.

  `chunks`: noun chunks around an entity. `words`: those that carry content.
  """

  entities: list[facts.Span]
  chunks: list[facts.Span]
  words: list[facts.Span]


def parsed(doc, rule: str, shift: int = 0) -> Parsed:
  """What `rule` needs of a spaCy Doc that begins at character `shift`."""
  entities = [(e.start_char, e.end_char) for e in doc.ents]
  chunks, words = [], []
  if rule != 'ner_first':
    chunks = [
      (c.start_char, c.end_char)
      for c in doc.noun_chunks
      if any(e.start < c.end and c.start < e.end for e in doc.ents)
    ]
    words = [
      (token.idx, token.idx + len(token))
      for token in doc
      if token.pos_ in _CONTENT
    ]
  return Parsed(
    *(
      [(start + shift, end + shift) for start, end in found]
      for found in (entities, chunks, words)
    )
  )


def spans_of(text: str, found: Parsed, rule: str) -> list[facts.Span]:
  """Fact spans of a whole text, from what spaCy found in it.

  `ner_first` (rule A of section 5): the first surface form of every entity.
  `ner_chunk_first` (rule D): A and the first noun chunk around an entity, of
  these the content words, each word only at its first occurrence.
  """
  first = facts.first_mentions(text, found.entities)
  if rule == 'ner_first':
    return first
  chunks = facts.first_mentions(text, found.chunks)
  covered = np.zeros(len(text) + 1, bool)
  for start, end in first + chunks:
    covered[start:end] = True
  words = [span for span in found.words if covered[span[0]]]
  return facts.first_mentions(text, words)


def pieces(text: str, most: int) -> list[facts.Span]:
  """Cuts a text into spans of at most `most` characters.

  A piece ends behind a blank line if one stands in its second half, else
  behind a line, a sentence or a word.
  """
  found: list[facts.Span] = []
  begin = 0
  while len(text) - begin > most:
    end = begin + most
    for mark in ('\n\n', '\n', '. ', ' '):
      place = text.rfind(mark, begin + most // 2, end)
      if place >= 0:
        end = place + len(mark)
        break
    found.append((begin, end))
    begin = end
  return [*found, (begin, len(text))]


def spans(texts: Sequence[str], rule: str, nlp=None) -> Iterator:
  """Fact spans of every text, in order.

  spaCy refuses a text of more than `nlp.max_length` characters (1,000,000):
  such a text is parsed in pieces. First mentions are of the whole text.
  """
  if rule == 'caps_digits':
    for text in texts:
      yield facts.first_mentions(text, facts.caps_digits(text))
    return
  parts = (
    (text[begin:end], (number, begin))
    for number, text in enumerate(texts)
    for begin, end in pieces(text, nlp.max_length)
  )
  docs = nlp.pipe(parts, as_tuples=True, batch_size=BATCH)
  for number, group in itertools.groupby(docs, key=lambda made: made[1][0]):
    found = [parsed(doc, rule, begin) for doc, (_, begin) in group]
    whole = Parsed(
      *(
        list(itertools.chain.from_iterable(lists))
        for lists in zip(*found, strict=True)
      )
    )
    yield spans_of(texts[number], whole, rule)


def mark(
  tokenizer: tokenizer_lib.Tokenizer,
  texts: Sequence[str],
  rule: str,
  nlp=None,
) -> Iterator[tuple[list[int], np.ndarray]]:
  """Ids and fact mask [n] of every text, without bos and eos."""
  for text, found in zip(texts, spans(texts, rule, nlp), strict=True):
    ids, offsets = tokenizer.encode_with_offsets(text)
    yield ids, facts.token_mask(offsets, found, len(text))


class _Work:
  """What a worker keeps between parts."""

  load = None


def _start(tokenizer_json: str, rule: str) -> None:
  """Loads with the first part: a pool replaces for ever who fails here."""

  @functools.cache
  def load():
    tokenizer = tokenizer_lib.Tokenizer.from_json(tokenizer_json)
    return tokenizer, rule, None if rule == 'caps_digits' else load_spacy(rule)

  _Work.load = load


def _part(job) -> int:
  """Annotates one part and writes its mask; returns its documents."""
  path, texts, tokens, starts = job
  out = np.zeros(len(tokens), bool)
  tokenizer, rule, nlp = _Work.load()
  marked = mark(tokenizer, texts, rule, nlp)
  for (ids, mask), begin, end in zip(marked, starts, starts[1:], strict=False):
    check_tokens(tokens[begin:end], ids, path.parent.parent)
    out[begin + 1 : end - 1] = mask
    if end < len(tokens):
      stop.check()  # a part of long articles takes hours
  with writer.replace(path) as temporary:
    np.save(temporary, np.packbits(out))
  return len(texts)


def check_tokens(stored: np.ndarray, ids: list[int], folder) -> None:
  """A document's tokens are <bos>, the ids of its text, <eos>.

  Raises:
    ValueError: they are others; names `folder`, where they are stored.
  """
  if not np.array_equal(stored[1:-1], ids):
    raise ValueError(
      f'a document of {folder} is stored with other tokens than the tokenizer '
      'gives; remove that folder and prepare the corpus again'
    )


def _provenance(split, tokenizer, rule: str) -> dict[str, str]:
  """All that the mask depends on."""
  made = {'rule': rule, 'tokenizer': tokenizer.fingerprint}
  if rule == 'caps_digits':
    made['version'] = str(facts.CAPS_DIGITS)
  else:
    try:
      made['spacy'] = importlib.metadata.version('spacy')
    except importlib.metadata.PackageNotFoundError as error:
      raise _without_spacy(rule) from error
    made['model'] = json.dumps(assets.identity('spacy_en'))
  digest = hashlib.sha256(np.ascontiguousarray(split.tokens))
  digest.update(np.ascontiguousarray(split.starts))
  made['tokens'] = digest.hexdigest()[:16]
  return made


def _paths(split, rule: str) -> tuple[pathlib.Path, pathlib.Path]:
  folder = pathlib.Path(split.folder)
  return folder / f'facts-{rule}.bits', folder / f'facts-{rule}.json'


def _stored(split, rule: str) -> bool:
  return all(path.exists() for path in _paths(split, rule))


def load(split, tokenizer, rule: str) -> np.ndarray:
  """The stored mask, bool [tokens].

  Raises:
    FileNotFoundError: none stored.
    ValueError: it was made with something else, says with what; no spaCy.
  """
  bits, manifest = _paths(split, rule)
  if not _stored(split, rule):
    raise FileNotFoundError(f'no fact mask of rule {rule} in {split.folder}')
  stored = writer.read_json(manifest)['made_with']
  wanted = _provenance(split, tokenizer, rule)
  changed = [
    f'{key} was {stored.get(key)}, is {wanted.get(key)}'
    for key in sorted(stored.keys() | wanted.keys())
    if stored.get(key) != wanted.get(key)
  ]
  if changed:
    raise ValueError(
      f'the fact mask {bits} is stale ({"; ".join(changed)}); remove it to '
      'have it made again'
    )
  packed = np.fromfile(bits, np.uint8)
  size = len(split.tokens)
  if len(packed) != -(-size // 8):
    raise ValueError(
      f'the fact mask {bits} must have {-(-size // 8)} bytes, got '
      f'{len(packed)}; remove it to have it made again'
    )
  return np.unpackbits(packed, count=size).astype(bool)


def annotate(
  split,
  tokenizer: tokenizer_lib.Tokenizer,
  *,
  rule: str = 'ner_first',
  workers: int | None = None,
  progress: bool = True,
) -> np.ndarray:
  """The fact mask of a split, bool, aligned with its tokens.

  Made at the first call and loaded later; <bos> and <eos> are never facts.

  Args:
    split: a corpora.prepare.Split.
    tokenizer: the one the split was prepared with.
    rule: one of `RULES`.
    workers: processes; all cores by default.
    progress: show a bar on a terminal, a line a minute in a log.

  Raises:
    ValueError: unknown rule, no spaCy, or a stale mask or split.
    ChildProcessError: a worker was killed.
  """
  _check(rule)
  if not _stored(split, rule):
    # On a shared disk one process makes it, the others wait and load.
    bits, _ = _paths(split, rule)
    with filelock.FileLock(bits.with_name(f'.{bits.name}.lock')):
      if not _stored(split, rule):
        _annotate(split, tokenizer, rule, workers, progress)
  return load(split, tokenizer, rule)


def _annotate(split, tokenizer, rule, workers, progress) -> None:
  """Makes the mask and its manifest, the manifest last."""
  bits, manifest = _paths(split, rule)
  made_with = _provenance(split, tokenizer, rule)
  digest = hashlib.sha256(json.dumps(made_with).encode()).hexdigest()[:8]
  parts_folder = pathlib.Path(split.folder) / f'.facts-{rule}-{digest}'
  parts_folder.mkdir(exist_ok=True)
  count = len(split.starts) - 1
  bounds = [*range(0, count, PART), count]
  parts = [
    (parts_folder / f'{begin}-{end}.npy', begin, end)
    for begin, end in itertools.pairwise(bounds)
  ]
  _make(split, tokenizer, rule, parts, workers, progress)
  mask = np.concatenate(
    [np.zeros(0, bool)]
    + [
      np.unpackbits(
        np.load(path), count=int(split.starts[end] - split.starts[begin])
      ).astype(bool)
      for path, begin, end in parts
    ]
  )
  with writer.replace(bits) as temporary:
    np.packbits(mask).tofile(temporary)
  share = float(mask.mean()) if len(mask) else 0.0
  writer.write_json(manifest, {'made_with': made_with, 'share': share})
  shutil.rmtree(parts_folder)


def _make(split, tokenizer, rule, parts, workers, progress) -> None:
  """Writes the parts that are not there yet."""
  left = [part for part in parts if not part[0].exists()]

  def jobs():
    for path, begin, end in left:
      texts = [doc['text'] for doc in split.docs[begin:end]]
      starts = split.starts[begin : end + 1]
      tokens = np.asarray(split.tokens[starts[0] : starts[-1]])
      yield path, texts, tokens, starts - starts[0]

  documents = sum(end - begin for _, begin, end in left)
  workers = min(workers or os.cpu_count() or 1, len(left))
  with progress_lib.Progress(
    f'annotating {pathlib.Path(split.folder).name}',
    documents,
    unit='documents',
    enabled=progress,
  ) as bar:
    if workers <= 1 or documents < ALONE or rule == 'caps_digits':
      if left:
        _start(tokenizer.to_json(), rule)
      for job in jobs():
        stop.check()
        bar.update(_part(job))
      return
    assets.fetch('spacy_en')  # once, before many want it
    start = functools.partial(_start, tokenizer.to_json(), rule)
    others = set(multiprocessing.active_children())
    with (
      _without_main(),
      multiprocessing.get_context('spawn').Pool(workers, start) as pool,
    ):
      started = set(multiprocessing.active_children()) - others
      for done in _watch(pool.imap_unordered(_part, jobs()), started):
        bar.update(done)


def _watch(results, started: set) -> Iterator:
  """The results; a pool waits for ever for the part of a killed worker."""
  while True:
    stop.check()
    try:
      yield results.next(timeout=WATCH)
    except StopIteration:
      return
    except multiprocessing.TimeoutError as error:
      if not started <= set(multiprocessing.active_children()):
        raise ChildProcessError(
          'every worker must live until the end, but one was killed (out of '
          'memory?); start again, what is done is kept'
        ) from error


class _without_main:
  """Keeps workers from importing the main program again, and JAX with it."""

  def __enter__(self):
    self._main = sys.modules['__main__']
    self._spec = getattr(self._main, '__spec__', None)
    self._file = getattr(self._main, '__file__', None)
    self._main.__spec__ = None
    if self._file is not None:
      del self._main.__file__

  def __exit__(self, *exc_info):
    self._main.__spec__ = self._spec
    if self._file is not None:
      self._main.__file__ = self._file
