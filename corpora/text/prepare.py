"""A corpus, tokenised: trains the tokenizer, writes flat token files.

  $SOCRATIC_DATA/prepared/<name>-<8 hex>/
    tokenizer.json
    <split>/tokens.bin    uint16 or uint32, all documents one after another
    <split>/starts.npy    int64 [documents + 1]
    manifest.json         written last: with it the folder is complete

Every document stands as <bos> ids <eos>. The hex digits hash whatever the
contents depend on, so a changed source or vocabulary gets its own folder.
An interrupted call goes on where it stopped.
"""

import dataclasses
import functools
import hashlib
import json
import os
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import filelock
import numpy as np
from absl import logging

from corpora import splits
from corpora.text import sources
from engine import assets, stop
from engine import progress as progress_lib
from engine.runs import writer
from lm import tokenizer as tokenizer_lib

CHUNK = 4096
FORMAT = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Split:
  """One split: document d is tokens[starts[d] : starts[d + 1]].

  `docs` opens the source when first asked for. `tokens` is mapped, not loaded.
  `folder` also keeps what others derive from the split: records, masks.
  """

  name: str
  spec: str
  folder: pathlib.Path
  starts: np.ndarray
  tokens: np.ndarray
  data_dir: pathlib.Path

  @functools.cached_property
  def docs(self) -> Sequence[dict[str, Any]]:
    docs = sources.open(self.spec, self.name, data_dir=self.data_dir)
    if len(docs) != len(self.starts) - 1:
      raise ValueError(
        f'corpus {self.spec} must hold the {len(self.starts) - 1} documents '
        f'it was prepared with in {self.name}, got {len(docs)}; '
        'run launch.prepare again'
      )
    return docs

  def only(self, keep: Sequence[int], name: str) -> 'Split':
    """The documents of these numbers, as a split with a folder inside.

    Args:
      keep: numbers of documents, in order.
      name: of the folder; another choice needs another name.
    """
    folder = self.folder / name
    folder.mkdir(exist_ok=True)
    lengths = np.diff(self.starts)[keep] if len(keep) else np.zeros(0, int)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    tokens = np.zeros(starts[-1], self.tokens.dtype)
    for place, number in enumerate(keep):
      some = slice(*self.starts[number : number + 2])
      tokens[starts[place] : starts[place + 1]] = self.tokens[some]
    made = dataclasses.replace(
      self, folder=folder, starts=starts, tokens=tokens
    )
    made.__dict__['docs'] = [self.docs[number] for number in keep]
    return made


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prepared:
  """A prepared corpus; `summary` maps a split to documents, tokens, bytes."""

  spec: str
  folder: pathlib.Path
  tokenizer: tokenizer_lib.Tokenizer
  summary: Mapping[str, Mapping[str, int]]
  data_dir: pathlib.Path

  def split(self, name: str) -> Split:
    if name not in self.summary:
      raise ValueError(
        f'split must be one of {", ".join(self.summary)}, got {name!r}'
      )
    folder = self.folder / name
    starts = np.load(folder / 'starts.npy')
    dtype = _dtype(self.tokenizer.vocab_size)
    tokens = np.zeros(0, dtype)
    if starts[-1]:  # an empty file cannot be mapped
      tokens = np.memmap(folder / 'tokens.bin', dtype, 'r')
    return Split(
      name=name,
      spec=self.spec,
      folder=folder,
      starts=starts,
      tokens=tokens,
      data_dir=self.data_dir,
    )


def prepare(
  spec: str,
  *,
  vocab_size: int = 8192,
  tokenizer: str | os.PathLike = '',
  data_dir: str | os.PathLike | None = None,
  progress: bool = True,
) -> Prepared:
  """Tokenises every split, once; later calls only open what is there.

  Args:
    spec: a corpus, see `sources`.
    vocab_size: of the tokenizer to train; unused where `tokenizer` is given.
    tokenizer: a tokenizer.json to use instead, or the name of a checkpoint
      (see lm.hub), whose tokenizer is extended by our specials.
    data_dir: the cache, see `assets.cache_dir`.
    progress: show a bar on a terminal, a line a minute in a log.

  Raises:
    ValueError: bad corpus, bad tokenizer or a train split without documents.
    FileNotFoundError: a corpus or tokenizer that is not there.
  """
  root = assets.cache_dir(data_dir)
  given = _given(tokenizer) if tokenizer else None
  wanted = {
    'format': FORMAT,
    'spec': spec,
    'tokenizer': given.fingerprint if given else f'trained, {vocab_size}',
    'source': sources.identity(spec),
  }
  digest = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode())
  slug = re.sub(r'[^A-Za-z0-9_.]+', '-', spec).strip('-.')[-60:]
  folder = root / 'prepared' / f'{slug}-{digest.hexdigest()[:8]}'
  if not (folder / 'manifest.json').exists():
    folder.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder.with_name(f'.{folder.name}.lock')):
      if not (folder / 'manifest.json').exists():
        _build(folder, wanted, given, vocab_size, root, progress)
  manifest = writer.read_json(folder / 'manifest.json')
  return Prepared(
    spec=spec,
    folder=folder,
    tokenizer=tokenizer_lib.Tokenizer.load(folder / 'tokenizer.json'),
    summary=manifest['splits'],
    data_dir=root,
  )


def _given(name: str | os.PathLike) -> tokenizer_lib.Tokenizer:
  if pathlib.Path(name).suffix == '.json':
    return tokenizer_lib.Tokenizer.load(name)
  from lm.checkpoints import extend  # brings JAX, which preparing does without

  return extend.tokenizer(name)


def _build(folder, wanted, tokenizer, vocab_size, root, progress) -> None:
  spec = wanted['spec']
  docs = {
    name: sources.open(spec, name, data_dir=root) for name in splits.SPLITS
  }
  if not len(docs['train']):
    raise ValueError(
      f'corpus {spec} must have documents in its train split, got none '
      f'of {sum(map(len, docs.values()))}; give it more documents'
    )
  path = folder / 'tokenizer.json'
  if not path.exists():
    if tokenizer is None:
      tokenizer = _train(docs['train'], vocab_size, progress)
    folder.mkdir(exist_ok=True)
    tokenizer.save(path)
  tokenizer = tokenizer_lib.Tokenizer.load(path)
  written = {
    name: _tokenise(docs[name], tokenizer, folder / name, progress)
    for name in splits.SPLITS
  }
  manifest = {**wanted, 'fingerprint': tokenizer.fingerprint, 'splits': written}
  # Not `write_json`: it sorts, and here the splits have an order.
  with writer.replace(folder / 'manifest.json') as temporary:
    temporary.write_text(json.dumps(manifest, indent=2))
  logging.info('Prepared %s in %s', spec, folder)


def _train(docs, vocab_size, progress) -> tokenizer_lib.Tokenizer:
  with progress_lib.Progress(
    'training the tokenizer', len(docs), unit='documents', enabled=progress
  ) as bar:

    def texts() -> Iterator[str]:
      for doc in docs:
        bar.update(1)
        yield doc['text']

    return tokenizer_lib.Tokenizer.train(texts(), vocab_size=vocab_size)


def _tokenise(docs, tokenizer, folder, progress) -> dict[str, int]:
  """Appends to tokens.bin and counts.bin (tokens, bytes a document).

  Tokens go to the disk before their counts, so counts tell what is whole.
  """
  folder.mkdir(exist_ok=True)
  dtype = np.dtype(_dtype(tokenizer.vocab_size))
  tokens_path, counts_path = folder / 'tokens.bin', folder / 'counts.bin'
  tokens_path.touch()
  counts_path.touch()
  counts = _whole(counts_path, tokens_path.stat().st_size // dtype.itemsize)
  os.truncate(counts_path, counts.nbytes)
  os.truncate(tokens_path, int(counts[:, 0].sum()) * dtype.itemsize)
  name = f'tokenising {folder.name}'
  with (
    open(tokens_path, 'ab') as tokens_file,
    open(counts_path, 'ab') as counts_file,
    progress_lib.Progress(
      name, len(docs), unit='documents', enabled=progress
    ) as bar,
  ):
    bar.update(len(counts))
    for begin in range(len(counts), len(docs), CHUNK):
      stop.check()
      texts = [doc['text'] for doc in docs[begin : begin + CHUNK]]
      tokens, chunk = _encode(texts, tokenizer, dtype)
      for file, array in ((tokens_file, tokens), (counts_file, chunk)):
        array.tofile(file)
        file.flush()
        os.fsync(file.fileno())
      bar.update(len(texts))
  counts = np.fromfile(counts_path, np.int64).reshape(-1, 2)
  starts = np.concatenate([[0], np.cumsum(counts[:, 0])]).astype(np.int64)
  with writer.replace(folder / 'starts.npy') as temporary:
    np.save(temporary, starts)
  return {
    'documents': len(counts),
    'tokens': int(starts[-1]),
    'bytes': int(counts[:, 1].sum()),
  }


def _whole(path: pathlib.Path, num_tokens: int) -> np.ndarray:
  """The counts [n, 2] of the documents whose tokens are all on the disk."""
  counts = np.fromfile(path, np.int64)
  counts = counts[: len(counts) // 2 * 2].reshape(-1, 2)
  return counts[np.cumsum(counts[:, 0]) <= num_tokens]


def _encode(texts, tokenizer, dtype) -> tuple[np.ndarray, np.ndarray]:
  """Flat tokens, and int64 [n, 2] of the tokens and bytes of each text."""
  flat, counts = [], []
  for text, ids in zip(texts, tokenizer.encode_batch(texts), strict=True):
    flat += [tokenizer.bos_id, *ids, tokenizer.eos_id]
    counts.append((len(ids) + 2, len(text.encode('utf-8'))))
  return np.array(flat, dtype), np.array(counts, np.int64)


def _dtype(vocab_size: int) -> type:
  return np.uint16 if vocab_size <= 65536 else np.uint32
