"""Hidden states at a few sites of a model, and nothing else.

A site is a layer, a stream and a token (docs/papers/probes.md section 2). One
jitted pass reads prompt and answer, keeps the sites asked for and drops the
rest while it runs: layers after the last site are not computed, and memory
does not grow with the sites that nobody asked for.

Shapes: B sequences, T positions, N samples, D width, S sites, K tokens.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lm import cache as caches
from lm import transformer
from lm.decoding import prefix_cache

STREAMS = ('resid_pre', 'resid_post', 'attn_out', 'mlp_out')
TOKENS = ('last_prompt', 'first_answer', 'last_answer', 'mean_answer')


class Site(NamedTuple):
  """Layers count from 0. An empty answer is read at its prompt's last token.

  `resid_pre` goes into a layer and `resid_post` comes out of it, before the
  model's last norm; `attn_out` and `mlp_out` are what it adds.
  """

  layer: int
  stream: str
  token: str

  @property
  def name(self) -> str:
    """Such as 'L12.resid_post.last_answer'."""
    return f'L{self.layer}.{self.stream}.{self.token}'


def sites(
  layers: int,
  *,
  wanted: Sequence[int] = (),
  streams: Sequence[str] = ('resid_post',),
  tokens: Sequence[str] = ('last_prompt', 'last_answer'),
) -> tuple[Site, ...]:
  """Every combination, layer by layer.

  Args:
    layers: of the model.
    wanted: which of them; all where empty.
    streams: of STREAMS.
    tokens: of TOKENS.

  Raises:
    ValueError: a name that is not known, or a layer that is not there.
  """
  for given, known, key in (
    (streams, STREAMS, 'streams'),
    (tokens, TOKENS, 'tokens'),
    (wanted, range(layers), 'layers'),
  ):
    unknown = [item for item in given if item not in known]
    if unknown:
      raise ValueError(
        f'sites.{key} must be of {", ".join(map(str, known))}; got '
        f'{", ".join(map(str, unknown))}'
      )
  return tuple(
    Site(layer, stream, token)
    for layer in wanted or range(layers)
    for stream in streams
    for token in tokens
  )


def extract(
  config: transformer.TransformerConfig,
  params,
  prompts: Sequence[Sequence[int]],
  answers: Sequence[Sequence[int]],
  wanted: Sequence[Site],
  *,
  batch: int = 16,
  dtype: str = 'float32',
) -> dict[Site, np.ndarray]:
  """Activations [N, D] of every site.

  Args:
    config: of a causal model with unrolled layers.
    params: of the model.
    prompts: ids; at least one each.
    answers: ids that follow each prompt; may be empty.
    wanted: see `sites`.
    batch: sequences in one pass; they are sorted by length first.
    dtype: of the result, float32 or bfloat16.

  Raises:
    ValueError: an empty prompt, other numbers of prompts than of answers, or
      scanned layers.
  """
  if len(prompts) != len(answers) or not all(map(len, prompts)):
    raise ValueError(
      f'expected an answer (or none, []) to each of {len(prompts)} prompts of '
      f'at least one token, came {len(answers)} answers and prompts of '
      f'{min(map(len, prompts), default=0)} tokens and more'
    )
  if config.scan_layers:
    raise ValueError(
      'sites are read from unrolled layers, since a scan keeps them all; load '
      'with scan_layers=False'
    )
  out = {
    site: np.empty((len(prompts), config.width), jnp.dtype(dtype))
    for site in wanted
  }
  if not prompts:
    return out
  # What all prompts share is read once, such as worked examples.
  shared = prefix_cache.common(prompts)
  texts = [[*p, *a][shared:] for p, a in zip(prompts, answers, strict=True)]
  ends = np.array([len(prompt) - shared for prompt in prompts])
  base = prefix_cache.read(config, params, prompts[0][:shared])
  order = np.argsort([len(text) for text in texts], kind='stable')
  # The longest first: what does not fit in memory fails at once.
  for at in range(len(order), 0, -batch):
    rows = order[max(at - batch, 0) : at]
    tokens_BT, whole_B = prefix_cache.padded(
      [texts[row] for row in rows], batch
    )
    prompt_B = np.minimum(whole_B, 1)
    prompt_B[: len(rows)] = ends[rows]
    found = _read(
      config, tuple(wanted), dtype, params, base, tokens_BT, prompt_B, whole_B
    )
    for site, values_BD in zip(wanted, jax.device_get(found), strict=True):
      out[site][rows] = values_BD[: len(rows)]
  return out


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _read(config, wanted, dtype, params, base, tokens_BT, prompt_B, whole_B):
  """Each site [B, D] of sequences that go on from `base`, padded at the end.

  `prompt_B` and `whole_B` are where prompt and answer end behind it.
  """
  layers = sorted(
    {
      s.layer + (s.stream == 'resid_post')
      for s in wanted
      if 'resid' in s.stream
    }
  )
  taps = any('out' in site.stream for site in wanted)
  cache = None
  if base is not None:
    cache = caches.Cache.create(config, *tokens_BT.shape, base=base)
  out = transformer.Transformer(config).apply(
    {'params': params},
    tokens_BT,
    capture=tuple(layers),
    cache=cache,
    mutable=['intermediates'] if taps else False,
  )
  out, rest = out if taps else (out, {})
  states = dict(zip(layers, out.captured, strict=True))
  at = jnp.arange(tokens_BT.shape[1])
  start_B = jnp.minimum(prompt_B, whole_B - 1)
  answer_BT = (at >= start_B[:, None]) & (at < whole_B[:, None])
  mean_BT = answer_BT / jnp.sum(answer_BT, -1, keepdims=True)
  places = {
    'last_prompt': prompt_B - 1,
    'first_answer': start_B,
    'last_answer': whole_B - 1,
  }

  def value(site):
    if 'resid' in site.stream:
      x_BTD = states[site.layer + (site.stream == 'resid_post')]
    else:
      (x_BTD,) = rest['intermediates'][f'layer_{site.layer}'][site.stream]
    if site.token == 'mean_answer':
      return jnp.einsum('bt,btd->bd', mean_BT, x_BTD.astype(jnp.float32))
    return x_BTD[jnp.arange(len(x_BTD)), places[site.token]]

  return tuple(value(site).astype(dtype) for site in wanted)
