"""Losses of a frozen reference model, for the Rho rules (section 3).

They are computed once over the packed train split and kept on disk, so training
pays nothing for the reference.
"""

import hashlib
import json

import jax
import numpy as np
from absl import logging
from jax.experimental import multihost_utils

from engine import assets, checkpoint
from engine.runs import finished, writer
from lacy import evaluate
from lm import transformer


def losses(workdir: str, arrays, corpus) -> np.ndarray:
  """-log p of every target under a reference model, in nats.

  Returns float32 [R, T + 1] for R records. Column 0 is zero, since it is never
  a target. The losses are stored under a hash of the weights and of everything
  else that they depend on, so a run that is trained again in the same folder
  gets new losses.

  Args:
    workdir: folder of the finished reference run.
    arrays: the packed train split.
    corpus: the corpus of this run.

  Raises:
    FileNotFoundError: `workdir` holds no finished run.
    ValueError: the run was continued and is not finished, or its model was
      trained on other records.
  """
  run = finished.open_run(
    workdir, key='lacy.reference', train='with lacy.rule=standard'
  )
  for key in (
    'corpus',
    'topic',
    'train_records',
    'context',
    'vocab_size',
    'tokenizer',
    'bios',
  ):
    mine, theirs = getattr(corpus.config, key), run.config['data'].get(key)
    if theirs is not None and mine != theirs:
      raise ValueError(
        f'lacy.reference={workdir} was trained with data.{key}={theirs!r}, '
        f'this run has {mine!r}; use a reference on the same records'
      )
  params, step = checkpoint.restore_params(run.workdir)
  # On the host: the devices of this run may be others.
  params = jax.tree.map(np.asarray, params)
  model = transformer.TransformerConfig(**run.config['model'])
  digest = _digest(params, model, corpus)
  cache = assets.cache_dir() / 'reference' / f'{digest}.npy'
  # The model runs in all processes at once, so in all of them or in none.
  if not multihost_utils.process_allgather(np.bool_(cache.exists())).all():
    logging.info('Losses of the reference model %s at step %d', workdir, step)
    scorer = evaluate.Evaluator(
      model=model,
      vocab_size=corpus.vocab_size,
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


def _digest(params, model: transformer.TransformerConfig, corpus) -> str:
  """32 hex digits of the weights, the model's shape and the records."""
  digest = hashlib.sha256()
  # The fingerprint covers the corpus and its tokenizer; packing depends on T.
  c = corpus.config
  records = [corpus.fingerprint, c.context, corpus.call_id]
  if c.topic or c.train_records:
    records += [c.topic, c.train_records]
  digest.update(json.dumps([repr(model), *records]).encode())
  for path, leaf in jax.tree_util.tree_leaves_with_path(params):
    array = np.ascontiguousarray(leaf)
    name = [jax.tree_util.keystr(path), str(array.dtype), array.shape]
    digest.update(json.dumps(name).encode())
    digest.update(array.reshape(-1).view(np.uint8))
  return digest.hexdigest()[:32]
