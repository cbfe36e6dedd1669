"""How well gaps in text are filled in: any sampler, any denoiser of text.

The begin of a document is given and what follows the gap too. A figure of a
sampler is the share of hidden tokens that it writes as the text has them, and
how probable a causal model finds what was written and what follows it.

Shapes: R documents, P tokens before the gap, L in it and behind it, T = P + L.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from diffusion_sampler.evaluation import evaluate
from diffusion_sampler.sampling import canvas
from engine import mesh as mesh_lib
from lm import losses, transformer


def gaps(
  split, *, prompt: int, gap: int, after: int, count: int
) -> dict[str, np.ndarray]:
  """The first documents that are long enough, cut to one length.

  Args:
    split: a `prepare.Split`.
    prompt: P.
    gap: tokens hidden.
    after: tokens behind the gap.
    count: R, at most.

  Returns:
    'prompt' [R, P], 'answer' [R, L] and 'hidden' [R, L], true in the gap.

  Raises:
    ValueError: no document is long enough.
  """
  length = prompt + gap + after
  starts, sizes = split.starts[:-1], np.diff(split.starts)
  chosen = starts[sizes >= length][:count]
  if not len(chosen):
    raise ValueError(
      f'data.prompt + data.gap + data.after = {length} must be at most the '
      f'tokens of a test document, got {max(sizes, default=0)} in the longest; '
      'lower --config.data.prompt'
    )
  tokens = np.stack([split.tokens[at : at + length] for at in chosen])
  tokens = tokens.astype(np.int32)
  hidden = np.broadcast_to(
    np.arange(gap + after) < gap, (len(chosen), gap + after)
  )
  return {
    'prompt': tokens[:, :prompt],
    'answer': tokens[:, prompt:],
    'hidden': hidden,
  }


def _nll(
  config: transformer.TransformerConfig,
  mask_id: int,
  params: Any,
  prompt: Int[Array, 'R P'],
  answer: Int[Array, 'R L'],
) -> Float[Array, ' R']:
  """Nats a token of the answer, read from the left."""
  tokens = jnp.concatenate([prompt, answer], axis=1)
  hidden = transformer.Transformer(config).apply({'params': params}, tokens)
  stats = losses.vocab_stats(
    hidden.hidden[:, prompt.shape[1] - 1 : -1],
    transformer.unembedding(params),
    answer,
    excluded=mask_id,
  )
  return (stats.lse - stats.target).mean(-1)


def evaluate_gaps(
  config: transformer.TransformerConfig,
  params: Any,
  causal: Any,
  sampling: evaluate.SamplingConfig,
  found: Mapping[str, np.ndarray],
  mask_id: int,
  key: jax.Array,
) -> dict[str, Any]:
  """All samplers at all block lengths.

  Args:
    config: of both models.
    params: of a denoiser with shifted targets.
    causal: parameters of the model that says how probable a text is.
    sampling: what to measure.
    found: see `gaps`.
    mask_id: the mask.
    key: of the samplers.

  Returns:
    what `evaluate.compare` does, with '<sampler>@<block>/nll'; and 'text_nll',
    of the documents as they are.
  """
  length = found['answer'].shape[1]
  given = np.where(found['hidden'], mask_id, found['answer'])
  arrays = {'prompt': found['prompt'], 'given': given}
  score = mesh_lib.replicated_jit(functools.partial(_nll, config, mask_id))

  def nll(answer):
    made = evaluate.in_batches(
      lambda batch, _: score(causal, batch['prompt'], batch['answer']),
      {'prompt': found['prompt'], 'answer': answer},
      sampling.batch,
    )
    return np.concatenate(made)[: len(answer)]

  def layout(block):
    return canvas.Layout(
      prompt=found['prompt'].shape[1],
      answer=length,
      block=block or length,
      mask_id=mask_id,
    )

  write = evaluate.writer(
    sampling,
    evaluate.Decoder(config, params, layout, shifted=True),
    arrays,
    key,
  )

  def measured(rule, block, cache):
    made = write(rule, block, cache)
    same = (made['answer'] == found['answer']) & found['hidden']
    return made | {
      'correct': same.sum(-1) / found['hidden'].sum(-1),
      'nll': nll(made['answer']),
    }

  level = np.zeros(len(given), np.int32)
  made = evaluate.compare(sampling, length, measured, level)
  return made | {'text_nll': float(nll(found['answer']).mean())}


def pieces(tokenizer, tokens: Sequence) -> np.ndarray:
  """One text a token, in the shape of `tokens`."""
  ids = np.asarray(tokens)
  return np.array(tokenizer.pieces(ids.ravel().tolist())).reshape(ids.shape)
