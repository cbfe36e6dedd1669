"""Records of a corpus with its facts: what training and evaluation read.

Arrays are [R, T + 1] by name, as corpora.packing makes them: tokens, segments,
positions, and here facts (bool), for synthetic corpora also accept (int16, the
synonym group of a free slot, -1 elsewhere).
"""

import dataclasses
import functools
import hashlib
import re
from collections.abc import Mapping

import grain
import jax
import numpy as np
from absl import logging
from flax import struct
from jaxtyping import Array, Bool, Float

from corpora.text import bios, packing, pipeline, prepare
from engine import options
from lacy.facts import annotate
from lacy.facts import judged as judge


class FactBatch(struct.PyTreeNode):
  """A token batch with what selection needs; [B, T], aligned with targets."""

  text: pipeline.TokenBatch
  facts: Bool[Array, 'B T']
  reference: Float[Array, 'B T'] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
  """Where text and facts come from.

  Attributes:
    corpus: see corpora/text/sources.py, or `bios` for synthetic biographies.
    vocab_size: of the tokenizer to train.
    tokenizer: a tokenizer.json to use instead, or the name of a checkpoint.
    topic: only documents of this topic, where the corpus has topics.
    context: T.
    batch_size: records a step, over all devices.
    fact_rule: see lacy/facts/annotate.py.
    judge_mask: JSON lines with spans for rule `judge`.
    train_records: how many are trained on, spread over the split; 0: all.
    eval_records: how many records the evaluations during training read.
    test_records: how many the evaluation at the end reads; 0: all.
    bios: fields of corpora.bios.BiosConfig, for the corpus `bios`.
  """

  corpus: str = 'wiki_summaries'
  vocab_size: int = 8192
  tokenizer: str = ''
  topic: str = ''
  context: int = 256
  batch_size: int = 16
  fact_rule: str = 'ner_first'
  judge_mask: str = ''
  train_records: int = 0
  eval_records: int = 64
  test_records: int = 0
  bios: Mapping = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Corpus:
  """Splits of a corpus, and the ids that the model must know about.

  `group` [V]: synonym group of a word, -1 for none (synthetic corpora).
  """

  config: DataConfig
  vocab_size: int
  call_id: int
  fingerprint: str
  prepared: prepare.Prepared | None = None
  group: np.ndarray | None = None

  @functools.cache  # noqa: B019 - a corpus lives as long as its run
  def split(self, name: str) -> dict[str, np.ndarray]:
    """Arrays [R, T + 1] of `train`, `validation` or `test`."""
    c = self.config
    if self.prepared is None:
      return _bios_records(_bios_config(c), name)
    split = self.documents(name)
    tokenizer = self.prepared.tokenizer
    records = packing.records(split, c.context, tokenizer.pad_id)
    facts = annotate.annotate(split, tokenizer, rule=c.fact_rule)
    facts = packing.pack(records.plan, facts, False)
    some = self._read_of(name, len(facts))
    return {k: a[some] for k, a in {**records, 'facts': facts}.items()}

  def _read_of(self, name: str, count: int) -> slice | np.ndarray:
    """Which of `count` records are read, see `train_records`."""
    few = self.config.train_records
    if name != 'train' or not 0 < few < count:
      return slice(None)
    return np.arange(few) * count // few

  def documents(self, name: str) -> prepare.Split:
    """The documents of a split, those of `data.topic` if one is given.

    Raises:
      ValueError: there is none.
    """
    split, topic = self.prepared.split(name), self.config.topic
    if not topic:
      return split
    keep = [n for n, d in enumerate(split.docs) if d.get('topic') == topic]
    if not keep:
      raise ValueError(
        f'the {name} split of {self.config.corpus} must hold documents of '
        f'data.topic={topic!r}, and has none'
      )
    slug = re.sub(r'\W', '', topic)
    digest = hashlib.sha256(topic.encode()).hexdigest()[:8]
    return split.only(keep, f'topic-{slug}-{digest}')

  def pieces(self, ids: list[int]) -> list[str]:
    """Printable text of every id."""
    if self.prepared is None:
      words = bios.vocabulary().words
      return [' ' + words[i] for i in ids]
    return self.prepared.tokenizer.pieces(ids)

  def judged(self) -> np.ndarray:
    """The judge's mask of the train split, in place of the fact mask."""
    if self.prepared is None or not self.config.judge_mask:
      raise ValueError(
        'lacy.rule=judge reads its mask from a file and works on text; set '
        '--config.data.judge_mask to a JSON lines file'
      )
    split, tokenizer = self.documents('train'), self.prepared.tokenizer
    mask, lost = judge.mask_of(self.config.judge_mask, split, tokenizer)
    logging.log(
      logging.WARNING if lost else logging.INFO,
      '%s: %.1f%% of its values stand nowhere in their text and are left out',
      self.config.judge_mask,
      100 * lost,
    )
    c = self.config
    records = packing.records(split, c.context, tokenizer.pad_id)
    mask = packing.pack(records.plan, mask, False)
    return mask[self._read_of('train', len(mask))]


def _bios_config(config: DataConfig) -> bios.BiosConfig:
  return options.section(
    config.bios, 'data.bios', bios.BiosConfig, given={'context': config.context}
  )


def _bios_records(config: bios.BiosConfig, name: str):
  written = bios.write(config, name)
  plan = packing.plan(np.diff(written.starts), config.context + 1)
  pad = bios.vocabulary().ids['<pad>']
  segments, positions = packing.segments_and_positions(plan)
  return {
    'tokens': packing.pack(plan, written.tokens, pad),
    'segments': segments,
    'positions': positions,
    'facts': packing.pack(plan, written.facts, False),
    'accept': packing.pack(plan, written.accept, -1),
  }


def load(config: DataConfig) -> Corpus:
  """Opens the corpus, preparing it first where needed (slow the first time)."""
  if config.corpus == 'bios':
    vocabulary = bios.vocabulary()
    return Corpus(
      config=config,
      vocab_size=len(vocabulary.words),
      call_id=vocabulary.ids['<CALL>'],
      fingerprint=f'{_bios_config(config)}',
      group=vocabulary.group,
    )
  prepared = prepare.prepare(
    config.corpus, vocab_size=config.vocab_size, tokenizer=config.tokenizer
  )
  tokenizer = prepared.tokenizer
  return Corpus(
    config=config,
    vocab_size=tokenizer.vocab_size,
    call_id=tokenizer.call_id,
    fingerprint=str(prepared.folder.name),
    prepared=prepared,
  )


def first(
  arrays: Mapping[str, np.ndarray], count: int | None
) -> dict[str, np.ndarray]:
  """The first `count` records, all if None."""
  return {name: array[:count] for name, array in arrays.items()}


def to_batch(record: Mapping[str, np.ndarray]) -> FactBatch:
  """Records [B, T + 1] as a batch, everything aligned with targets."""
  reference = record.get('reference')
  return FactBatch(
    text=pipeline.to_batch(record),
    facts=np.asarray(record['facts'][:, 1:], bool),
    reference=None if reference is None else reference[:, 1:],
  )


def train_data(
  arrays: Mapping[str, np.ndarray], batch_size: int, seed: int
) -> grain.IterDataset:
  """Shuffled batches for ever, each process its share."""
  known = ('tokens', 'segments', 'positions', 'facts', 'reference')
  dataset = pipeline.dataset(
    {name: arrays[name] for name in known if name in arrays},
    batch_size=batch_size,
    seed=seed,
    process_index=jax.process_index(),
    process_count=jax.process_count(),
  )
  # A few batches ahead are enough; grain's defaults would hold hundreds.
  read = grain.ReadOptions(num_threads=2, prefetch_buffer_size=4)
  return dataset.map(to_batch).to_iter_dataset(read)
