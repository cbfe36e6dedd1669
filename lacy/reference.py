"""Losses of a frozen reference model, for the Rho rules (section 3).

Computed once over the packed train split and kept on disk: training then pays
nothing for the reference.
"""

import hashlib
import json
import pathlib

import numpy as np
from absl import logging

from engine import assets, checkpoint
from engine.runs import writer
from lacy import evaluate
from lm import transformer


def losses(workdir: str, arrays, corpus) -> np.ndarray:
  """-log p of every target under the model of `workdir`, [R, T + 1] float32.

  Column 0, which is never a target, is zero.

  Raises:
    FileNotFoundError: no finished run there.
    ValueError: that model was trained on other records.
  """
  folder = pathlib.Path(workdir)
  if not (folder / 'config.json').exists():
    raise FileNotFoundError(
      f'lacy.reference={workdir} must be the workdir of a finished run, but '
      'has no config.json; train it first with lacy.rule=standard'
    )
  cfg = json.loads((folder / 'config.json').read_text())
  for key in ('corpus', 'context', 'vocab_size', 'tokenizer', 'bios'):
    mine, theirs = getattr(corpus.config, key), cfg['data'].get(key)
    if theirs is not None and mine != theirs:
      raise ValueError(
        f'lacy.reference={workdir} was trained with data.{key}={theirs!r}, '
        f'this run has {mine!r}; use a reference on the same records'
      )
  params, step = checkpoint.restore_params(folder)
  name = f'{folder.resolve()} {step} {corpus.fingerprint} {corpus.config}'
  digest = hashlib.sha256(name.encode()).hexdigest()[:16]
  cache = assets.cache_dir() / 'reference' / f'{digest}.npy'
  if not cache.exists():
    logging.info('Losses of the reference model %s at step %d', workdir, step)
    scorer = evaluate.Evaluator(
      model=transformer.TransformerConfig(**cfg['model']),
      call_id=corpus.call_id,
      trained_to_call=False,
      beta=0.0,
      oracle_error=0.0,
      batch_size=corpus.config.batch_size,
      pieces=corpus.pieces,
    )
    loss = scorer.per_token(params, arrays)['loss']
    with writer.replace(cache) as temporary:
      np.save(temporary, np.pad(loss, ((0, 0), (1, 0))).astype(np.float32))
  return np.load(cache, mmap_mode='r')
