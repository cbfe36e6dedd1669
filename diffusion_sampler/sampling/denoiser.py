"""A masked-diffusion model as the samplers see it.

Shapes: B sequences, P prompt columns, L answer positions, T = P + L, V
vocabulary, D width.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from diffusion_sampler.sampling import canvas as canvas_lib
from diffusion_sampler.sampling import stats as stats_lib
from lm import transformer


class Denoiser(NamedTuple):
  """Functions of one model, its parameters bound.

  Attributes:
    hidden: tokens [B, T], which of them are there [B, T] (not padding) ->
      last hidden states [B, T, D].
    table: the unembedding [V, D]. Where `hidden` gives logits, an identity.
    shifted: position i predicts token i + 1 (Dream, and what was adapted from
      a causal model); otherwise its own.
  """

  hidden: Callable[[Array, Array], Array]
  table: Float[Array, 'V D']
  shifted: bool = False


def of_transformer(
  config: transformer.TransformerConfig, params: Any, *, shifted: bool = False
) -> Denoiser:
  """A Transformer that sees both ways; padding is neither seen nor counted."""
  model = transformer.Transformer(config)

  def hidden(tokens, present):
    positions = jnp.maximum(jnp.cumsum(present, -1) - 1, 0)
    return model.apply(
      {'params': params},
      tokens,
      positions,
      present.astype(jnp.int32),
      causal=False,
    ).hidden

  return Denoiser(hidden, transformer.unembedding(params), shifted)


def of_logits(logits: Callable[[Array], Array], vocab_size: int) -> Denoiser:
  """A closed-form model, tokens [B, T] -> logits [B, T, V]: for tests."""
  return Denoiser(lambda tokens, _: logits(tokens), jnp.eye(vocab_size))


def answer_hidden(
  hidden: Float[Array, 'B T D'], layout: canvas_lib.Layout, shifted: bool
) -> Float[Array, 'B L D']:
  """The hidden states that predict the answer.

  Raises:
    ValueError: a shifted model without a prompt has none for the first.
  """
  first = layout.prompt - shifted
  if first < 0:
    raise ValueError('a denoiser with shifted targets needs a prompt')
  return hidden[:, first : first + layout.answer]


def present_mask(
  prompt_present: Bool[Array, 'B P'] | None, tokens: Int[Array, 'B T'], width
) -> Bool[Array, 'B T']:
  """Which columns are there; all of them where nothing is said of prompts."""
  batch, length = tokens.shape
  if prompt_present is None:
    return jnp.ones((batch, length), bool)
  rest = jnp.ones((batch, length - width), bool)
  return jnp.concatenate([prompt_present, rest], axis=1)


def pass_keys(
  keys: Key[Array, ' B'], nfe: Int[Array, ' B']
) -> tuple[Key[Array, ' B'], Key[Array, ' B']]:
  """Keys of tokens and of the rule, of each row's own pass."""
  now = jax.vmap(jax.random.fold_in)(keys, nfe)
  pairs = jax.vmap(jax.random.split)(now)
  return pairs[:, 0], pairs[:, 1]


def look(
  denoiser: Denoiser,
  canvas: canvas_lib.Canvas,
  layout: canvas_lib.Layout,
  present: Bool[Array, 'B T'],
  token_keys: Key[Array, ' B'],
  temperature: float,
  *,
  tops: int = 1,
  before: Float[Array, 'B L D'] | None = None,
) -> tuple[stats_lib.Stats, Float[Array, 'B L D']]:
  """One full pass: what the denoiser thinks of every answer position.

  Also the hidden states behind it, which are `before` of the next pass where
  divergences are asked for.
  """
  hidden = denoiser.hidden(canvas.tokens, present)
  hidden = answer_hidden(hidden, layout, denoiser.shifted)
  stats = stats_lib.stats(
    hidden,
    denoiser.table,
    layout.mask_id,
    keys=token_keys,
    temperature=temperature,
    before=before,
    tops=tops,
  )
  return stats, hidden
