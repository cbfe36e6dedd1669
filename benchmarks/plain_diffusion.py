"""The plain PyTorch sampler that diffusion.py is measured beside.

A Llama-like denoiser that sees both ways, of modules as transformers has them
(RMSNorm, rotary positions, scaled_dot_product_attention, SwiGLU), and the loop
in which LLaDA and Fast-dLLM publish their rules: logits and softmax of the
whole sequence at every pass, rows one by one where positions are chosen. Only
that the mask itself is never predicted is ours. float32 throughout.

Shapes: B sequences, P prompt columns, L answer positions, T = P + L.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


class RMSNorm(nn.Module):
  """x / rms(x) * weight."""

  def __init__(self, width: int, eps: float):
    super().__init__()
    self.weight = nn.Parameter(torch.ones(width))
    self.eps = eps

  def forward(self, x):
    inverse = torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)
    return self.weight * (x * inverse)


class Rotary(nn.Module):
  """Cosines and sines of all positions, twice over for both halves."""

  def __init__(self, head_dim: int, base: float):
    super().__init__()
    steps = torch.arange(0, head_dim, 2).float() / head_dim
    self.register_buffer('frequency', base**-steps, persistent=False)

  def forward(self, length: int):
    angle = torch.arange(length).float()[:, None] * self.frequency
    angle = torch.cat([angle, angle], -1)
    return angle.cos(), angle.sin()


def _rotate(x, cos, sin):
  first, second = x.chunk(2, -1)
  return x * cos + torch.cat([-second, first], -1) * sin


class Attention(nn.Module):
  """Everybody sees everybody."""

  def __init__(self, width: int, heads: int):
    super().__init__()
    self.heads = heads
    for name in ('query', 'key', 'value', 'out'):
      setattr(self, name, nn.Linear(width, width, bias=False))

  def forward(self, x, rotary):
    shape = (*x.shape[:2], self.heads, -1)
    q, k, v = (
      f(x).view(shape).transpose(1, 2)
      for f in (self.query, self.key, self.value)
    )
    q, k = _rotate(q, *rotary), _rotate(k, *rotary)
    mixed = F.scaled_dot_product_attention(q, k, v)
    return self.out(mixed.transpose(1, 2).reshape(x.shape))


class Layer(nn.Module):
  """Attention, then the gated MLP."""

  def __init__(self, width: int, heads: int, mlp_width: int, eps: float):
    super().__init__()
    self.attention_norm = RMSNorm(width, eps)
    self.attention = Attention(width, heads)
    self.mlp_norm = RMSNorm(width, eps)
    self.gate = nn.Linear(width, mlp_width, bias=False)
    self.up = nn.Linear(width, mlp_width, bias=False)
    self.down = nn.Linear(mlp_width, width, bias=False)

  def forward(self, x, rotary):
    x = x + self.attention(self.attention_norm(x), rotary)
    y = self.mlp_norm(x)
    return x + self.down(F.silu(self.gate(y)) * self.up(y))


class Denoiser(nn.Module):
  """Tokens [B, T] to logits [B, T, V]; the table is tied."""

  def __init__(
    self,
    vocab_size: int,
    layers: int,
    width: int,
    heads: int,
    mlp_width: int,
    eps: float,
    rope_base: float,
  ):
    super().__init__()
    self.embedding = nn.Embedding(vocab_size, width)
    self.layers = nn.ModuleList(
      Layer(width, heads, mlp_width, eps) for _ in range(layers)
    )
    self.final_norm = RMSNorm(width, eps)
    self.rotary = Rotary(width // heads, rope_base)
    self.head = nn.Linear(width, vocab_size, bias=False)
    self.head.weight = self.embedding.weight

  def forward(self, tokens):
    rotary = self.rotary(tokens.shape[1])
    x = self.embedding(tokens)
    for layer in self.layers:
      x = layer(x, rotary)
    return self.head(self.final_norm(x))


def of_params(config, params) -> Denoiser:
  """With the weights of a `lm.transformer.Transformer`.

  Args:
    config: its TransformerConfig; tied, without Gemma's and Qwen's switches.
    params: NumPy arrays.
  """
  model = Denoiser(
    config.vocab_size,
    config.layers,
    config.width,
    config.heads,
    config.mlp_width,
    config.norm_eps,
    config.rope_base,
  )
  state = {
    'embedding.weight': params['embedding'],
    'head.weight': params['embedding'],
    'final_norm.weight': params['final_norm']['scale'],
  }
  for i in range(config.layers):
    layer, to = params[f'layer_{i}'], f'layers.{i}'
    for name in ('attention_norm', 'mlp_norm'):
      state[f'{to}.{name}.weight'] = layer[name]['scale']
    for name in ('query', 'key', 'value'):
      kernel = layer[name]['kernel'].reshape(config.width, -1)
      state[f'{to}.attention.{name}.weight'] = kernel.T
    out = layer['out']['kernel'].reshape(-1, config.width)
    state[f'{to}.attention.out.weight'] = out.T
    for name in ('gate', 'up', 'down'):
      state[f'{to}.{name}.weight'] = layer[name]['kernel'].T
  state = {k: torch.tensor(np.array(v)) for k, v in state.items()}
  model.load_state_dict(state)
  return model.eval()


@torch.inference_mode()
def generate(
  model: Denoiser,
  prompts: torch.Tensor,
  answer: int,
  mask_id: int,
  threshold: float | None = None,
) -> tuple[torch.Tensor, int]:
  """Answers [B, L] in one block, and the passes that were made.

  Args:
    model: the denoiser.
    prompts: [B, P].
    answer: L.
    mask_id: of the vocabulary.
    threshold: write all at least so confident, or the best; None: the best.
  """
  rows, width = prompts.shape
  x = torch.full((rows, width + answer), mask_id)
  x[:, :width] = prompts
  passes = 0
  while True:
    masked = x == mask_id
    if not masked.any():
      return x[:, width:], passes
    logits = model(x)
    logits[..., mask_id] = -torch.inf
    best = logits.argmax(-1)
    p = F.softmax(logits, dim=-1)
    confidence = p.gather(-1, best[..., None]).squeeze(-1)
    confidence = torch.where(masked, confidence, -torch.inf)
    write = torch.zeros_like(masked)
    left = masked.sum(1)
    for j in range(rows):
      count = min(left[j], 1) if threshold is None else left[j]
      surest, at = confidence[j].topk(count)
      write[j, at] = True
      if threshold is not None:
        for k in range(1, count):
          if surest[k] < threshold:
            write[j, at[k]] = False
    x[write] = best[write]
    passes += 1
