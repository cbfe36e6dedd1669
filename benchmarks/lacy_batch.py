"""The config and the batch of a LaCy step that benchmarks time."""

import numpy as np


def config(rule: str = 'lacy') -> dict:
  """The benchmark's config: that of the demo."""
  from configs.lacy import wiki

  cfg = wiki.get_config()
  cfg.lacy.rule = rule
  return cfg.to_dict()


def of(cfg: dict):
  """A packed batch of random tokens, a fifth of them facts."""
  from lacy import data

  rng = np.random.default_rng(0)
  shape = cfg['data']['batch_size'], cfg['data']['context'] + 1
  half = shape[1] // 2
  index = np.broadcast_to(np.arange(shape[1]), shape)
  return data.to_batch(
    {
      'tokens': rng.integers(0, cfg['model']['vocab_size'] - 5, shape),
      'segments': 1 + (index >= half),
      'positions': index % half,
      'facts': rng.random(shape) < 0.2,
    }
  )
