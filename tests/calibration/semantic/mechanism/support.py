"""A world, a config and models that are small enough to enumerate."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from calibration.semantic.mechanism import experiment, measure
from configs.calibration import mechanism as config
from lm import transformer

TINY = dict(syllables=2, length=2, values=3)


def tiny_config(style='direct'):
  cfg = config.get_config('smoke').to_dict()
  # Variants that measure have a probe; the others do not read one.
  variants = cfg.pop('sweep')['variants']
  cfg['probe'] = dict(variants['direct_measured']['probe'])
  cfg['world'] = TINY | {'style': style}
  cfg['measure'] |= {'ways': 4, 'levels': 2, 'draws': 2, 'chunk': 16}
  return cfg


def settings(style='direct', **learn):
  cfg = tiny_config(style) | {'start': 'a run'}
  cfg['learn'] |= learn
  return experiment.settings(cfg)


@functools.cache
def drawn_params(style):
  """A model of random weights, far from uniform."""
  model = transformer.Transformer(settings(style).model)
  boxed = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 4), jnp.int32))
  return jax.tree.map(lambda x: 3 * x, nn.unbox(boxed['params']))


@functools.partial(jax.jit, static_argnums=0)
def _next(model, params, tokens, at):
  return jax.nn.log_softmax(measure.scores(model, params, tokens)[0, at])


def said(params, s, prompt, answer) -> float:
  """p(answer | prompt), a token at a time; what comes later does not count."""
  total, tokens = 0.0, np.zeros((1, len(prompt) + len(answer)), np.int32)
  tokens[0, : len(prompt)] = prompt
  for at, token in enumerate(answer, start=len(prompt)):
    total += float(np.asarray(_next(s.model, params, tokens, at - 1))[token])
    tokens[0, at] = token
  return np.exp(total)
