"""One transformer of the Llama family, as decoder or as denoiser.

Pre-norm blocks of grouped-query attention with rotary positions and a gated
MLP (RMSNorm, RoPE, SwiGLU), and the switches by which Qwen 2 and 3 and Gemma 3
differ from it; lm/checkpoints/families.py sets them from a checkpoint. It
returns hidden states, never logits: heads and losses take the unembedding table
from `unembedding` and work on it in blocks, so that [B, T, V] need never exist
(lm/losses.py).

Shapes: B sequences, T positions, S keys or cache slots, D model width,
F mlp width, N heads, K key-value heads, G = N / K, H head width, L layers.
"""

import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int

from lm import cache as caches
from lm import inference, layers, ops, two_way_cache
from lm.layers import Dense, RMSNorm

ACTIVATIONS = {
  'silu': nn.silu,
  'gelu': functools.partial(nn.gelu, approximate=True),
}


# What a model computes in. 'int8': matmuls of int8 kernels, see lm/int8.py.
DTYPES = ('float32', 'bfloat16', 'int8')


@dataclasses.dataclass(frozen=True, kw_only=True)
class TransformerConfig:
  """Shape and switches of the model. Widths in units, `rope_base` in radians.

  `scan_layers` compiles one layer and loops over stacked parameters (large
  models compile fast); unrolled layers run and decode faster on CPU. `fused`
  keeps query, key and value as one kernel and gate and up as another, and all
  kernels of a layer with their outputs first: decodes faster, trains slower.
  `remat` recomputes a layer's activations in the backward pass.

  For Gemma 3: `activation` of the gate, 'silu' or 'gelu' (tanh form);
  `post_norms` on what a layer adds; `embed_scale` multiplies embeddings by
  sqrt(width); `query_scalar` replaces head_dim in the scale of scores.

  With a `window` some layers see only the last `window` positions, and rotate
  by `local_rope_base`: those from `local_from` on but for every
  `global_every`-th, which sees everything before it (0: none of them does).
  """

  vocab_size: int
  layers: int
  width: int
  heads: int
  mlp_width: int
  kv_heads: int | None = None
  head_dim: int | None = None
  rope_base: float = 10_000.0
  norm_eps: float = 1e-5
  tied: bool = True
  qkv_bias: bool = False
  qk_norm: bool = False
  activation: str = 'silu'
  post_norms: bool = False
  embed_scale: bool = False
  query_scalar: float | None = None
  window: int | None = None
  local_from: int = 0
  global_every: int = 6
  local_rope_base: float = 10_000.0
  fused: bool = False
  scan_layers: bool = False
  remat: bool = False
  dtype: str = 'float32'

  def __post_init__(self):
    if self.head_dim is None:
      if self.width % self.heads:
        raise ValueError(
          f'model.width={self.width} must divide over model.heads='
          f'{self.heads}; change one of them or set model.head_dim'
        )
      object.__setattr__(self, 'head_dim', self.width // self.heads)
    if self.kv_heads is None:
      object.__setattr__(self, 'kv_heads', self.heads)
    if self.heads % self.kv_heads:
      raise ValueError(
        f'model.heads={self.heads} must be a multiple of model.kv_heads='
        f'{self.kv_heads}'
      )
    if self.head_dim % 2:
      raise ValueError(f'model.head_dim={self.head_dim} must be even for RoPE')
    if self.activation not in ACTIVATIONS:
      raise ValueError(
        f'model.activation must be one of {", ".join(ACTIVATIONS)}, got '
        f'{self.activation}'
      )
    if self.window is not None and self.window < 1:
      raise ValueError(f'model.window={self.window} must be positive or None')
    for field in ('local_from', 'global_every'):
      if getattr(self, field) < 0:
        raise ValueError(
          f'model.{field}={getattr(self, field)} must not be negative'
        )
    if self.dtype not in DTYPES:
      raise ValueError(
        f'model.dtype must be one of {", ".join(DTYPES)}, got {self.dtype}'
      )
    if self.dtype == 'int8' and not self.fused:
      raise ValueError(
        'model.dtype=int8 serves checkpoints that are read for inference, with '
        'model.fused=True; train in float32 or bfloat16'
      )

  @property
  def activations(self) -> str:
    """Dtype of activations, cache and tables: int8 holds kernels alone."""
    return 'bfloat16' if self.dtype == 'int8' else self.dtype

  def is_local(self, layer: int) -> bool:
    """Whether a layer, counted from 0, sees a window only."""
    return self.window is not None and is_local(
      layer, local_from=self.local_from, global_every=self.global_every
    )

  def reaches(self) -> tuple[tuple[float, int | None], ...]:
    """(rope_base, window) of global layers and, with a window, local ones."""
    if self.window is None:
      return ((self.rope_base, None),)
    return (self.rope_base, layers.FAR), (self.local_rope_base, self.window)

  def parameters(self) -> int:
    """Number of parameters, embeddings included."""
    d, n, k, h = self.width, self.heads, self.kv_heads, self.head_dim
    attention = d * h * (2 * n + 2 * k)
    attention += h * (n + 2 * k) if self.qkv_bias else 0
    attention += 2 * h if self.qk_norm else 0
    norms = 4 * d if self.post_norms else 2 * d
    block = attention + 3 * d * self.mlp_width + norms
    tables = self.vocab_size * d * (1 if self.tied else 2)
    return self.layers * block + tables + d

  def multiplied(self) -> int:
    """Number of weights that a token is multiplied with.

    An input embedding of its own is looked up.
    """
    table = 0 if self.tied else self.vocab_size * self.width
    return self.parameters() - table

  def train_flops(self, tokens: int, context: int) -> int:
    """FLOPs of forward and backward over `tokens`, matmuls only.

    6 a weight that is multiplied and token, plus causal attention: half of
    12 T H N a token and layer.
    """
    attention = 6 * context * self.heads * self.head_dim * self.layers
    return tokens * (6 * self.multiplied() + attention)


def is_local(layer: int, *, local_from: int, global_every: int) -> bool:
  """The rule by which `TransformerConfig` names the layers with a window."""
  whole = global_every > 0 and (layer + 1) % global_every == 0
  return layer >= local_from and not whole


class Output(struct.PyTreeNode):
  """`hidden` after the last norm; `captured`: one [B, T, D] a layer."""

  hidden: Float[Array, 'B T D']
  captured: tuple[Array, ...] = ()
  cache: caches.Cache | two_way_cache.TwoWayCache | None = None


class View(struct.PyTreeNode):
  """What a layer sees: its rotation (`rope_table`), and whom it attends to."""

  rope: tuple[Float[Array, 'B T H'], Float[Array, 'B T H']]
  mask: Any


class Block(nn.Module):
  """One layer: x + attention(norm(x)), then x + mlp(norm(x)).

  What it adds is sown as intermediates (attn_out, mlp_out) for callers that
  make them mutable.
  """

  config: TransformerConfig

  @nn.compact
  def __call__(self, x, cache_kv, view, slot):
    c = self.config
    residual_scale = (2 * c.layers) ** -0.5
    y = RMSNorm(c.norm_eps, name='attention_norm')(x)

    def heads(name, count, axis):
      return Dense(
        (count, c.head_dim),
        ('embed', axis, 'head_dim'),
        use_bias=c.qkv_bias,
        outputs_first=c.fused,
        name=name,
      )(y)

    if c.fused:
      qkv = heads('qkv', c.heads + 2 * c.kv_heads, 'heads')
      q, k, v = jnp.split(qkv, (c.heads, c.heads + c.kv_heads), axis=2)
    else:
      q = heads('query', c.heads, 'heads')
      k = heads('key', c.kv_heads, 'kv_heads')
      v = heads('value', c.kv_heads, 'kv_heads')
    if c.qk_norm:
      q = RMSNorm(c.norm_eps, 'head_dim', name='query_norm')(q)
      k = RMSNorm(c.norm_eps, 'head_dim', name='key_norm')(k)
    q, k = layers.rotate(q, view.rope), layers.rotate(k, view.rope)
    if c.query_scalar is not None:
      # ops.attend divides by sqrt(head_dim).
      q = q * jnp.asarray((c.head_dim / c.query_scalar) ** 0.5, q.dtype)
    if not cache_kv:
      mixed = layers.blockwise(ops.attend, q, k, v, view.mask)
      if cache_kv is not None:  # (): an empty one, to be filled
        cache_kv = two_way_cache.laid_out(k, v)
    else:
      two_way = isinstance(slot, two_way_cache.Span)
      write = two_way_cache.write if two_way else caches.write
      keys, values, *base = cache_kv
      cache_kv = write((keys, values), k, v, slot)
      mixed = inference.attend_cached(q, *cache_kv, view.mask, *base)
    y = Dense(
      (c.width,),
      ('heads', 'head_dim', 'embed'),
      contract=2,
      init_scale=residual_scale,
      outputs_first=c.fused,
      name='out',
    )(mixed)
    if c.post_norms:
      y = RMSNorm(c.norm_eps, name='post_attention_norm')(y)
    self.sow('intermediates', 'attn_out', y)
    x = x + y
    y = RMSNorm(c.norm_eps, name='mlp_norm')(x)
    if c.fused:
      both = Dense(
        (2 * c.mlp_width,), ('embed', 'mlp'), outputs_first=True, name='gate_up'
      )(y)
      gate, up = jnp.split(both, 2, axis=-1)
    else:
      gate = Dense((c.mlp_width,), ('embed', 'mlp'), name='gate')(y)
      up = Dense((c.mlp_width,), ('embed', 'mlp'), name='up')(y)
    down = Dense(
      (c.width,),
      ('mlp', 'embed'),
      init_scale=residual_scale,
      outputs_first=c.fused,
      name='down',
    )
    y = down(ACTIVATIONS[c.activation](gate) * up)
    if c.post_norms:
      y = RMSNorm(c.norm_eps, name='post_mlp_norm')(y)
    self.sow('intermediates', 'mlp_out', y)
    x = x + y
    x = nn.with_logical_constraint(x, ('batch', 'seq', 'embed_act'))
    return x, cache_kv


class _Scanned(nn.Module):
  """`Block` in the form that nn.scan wants: (carry, per-layer in) -> both."""

  config: TransformerConfig
  capture: bool

  @nn.compact
  def __call__(self, x, cache_kv, local, views, slot):
    view = views[0]
    if self.config.window is not None:
      view = jax.tree.map(functools.partial(jnp.where, local), *views[::-1])
    x, cache_kv = Block(self.config, name='block')(x, cache_kv, view, slot)
    return x, (cache_kv, x if self.capture else None)


class Transformer(nn.Module):
  """Tokens [B, T] to hidden states [B, T, D]."""

  config: TransformerConfig

  @nn.compact
  def __call__(
    self,
    tokens: Int[Array, 'B T'],
    positions: Int[Array, 'B T'] | None = None,
    segments: Int[Array, 'B T'] | None = None,
    *,
    causal: bool = True,
    opened: Bool[Array, 'T T'] | None = None,
    capture: tuple[int, ...] = (),
    cache: caches.Cache | two_way_cache.TwoWayCache | None = None,
    keep: bool = False,
  ) -> Output:
    """Runs the model.

    Args:
      tokens: ids below `vocab_size`.
      positions: for RoPE; counted from 0 (or by the cache) if absent.
      segments: packed documents attend only within equal numbers.
      causal: whether a position sees only itself and earlier ones.
      opened: of a causal pass, which later ones a position sees all the same.
      capture: layers whose output to return; 0 is the embedding, l the output
        of the l-th layer (before the last norm).
      cache: keys and values of earlier positions; the new ones are written
        from its cursor on. Implies causal, unpacked sequences. Or a two-way
        one, not causal: `tokens` are of the columns in its span, and its
        segments hold.
      keep: return a two-way cache of this pass, which is not causal.

    Raises:
      ValueError: a layer outside [0, layers] is captured, or a cache is given
        with segments or the other causality, or `opened` has no meaning.
    """
    c = self.config
    batch, length = tokens.shape
    for layer in capture:
      if not 0 <= layer <= c.layers:
        raise ValueError(f'capture: layer {layer} is not in [0, {c.layers}]')
    two_way = isinstance(cache, two_way_cache.TwoWayCache)
    if cache is not None and (segments is not None or causal == two_way):
      raise ValueError(
        'a cache serves causal, unpacked sequences only, a two-way cache those '
        'that are not causal, with its own segments'
      )
    if opened is not None and (cache is not None or not causal):
      raise ValueError('opened: of a causal pass without a cache')
    if keep and (causal or cache is not None):
      raise ValueError('keep: of a pass that is not causal and has no cache')
    if positions is None and cache is not None:
      positions = cache.positions(length)
    elif positions is None:
      positions = jnp.broadcast_to(jnp.arange(length), (batch, length))
    table = layers.param(
      self,
      'embedding',
      nn.initializers.normal(c.width**-0.5),
      (c.vocab_size, c.width),
      ('vocab', 'embed'),
    )
    x = ops.take(table, tokens).astype(c.activations)
    if c.embed_scale:
      x = x * jnp.asarray(c.width**0.5, c.activations)
    if not c.tied:
      layers.param(
        self,
        'unembedding',
        nn.initializers.normal(c.width**-0.5),
        (c.vocab_size, c.width),
        ('vocab', 'embed'),
      )
    views = []
    for base, window in c.reaches():
      if cache is None:
        mask = layers.Mask(causal, segments, window, opened)
      else:
        mask = cache.mask(length, window)
      table_BTh = layers.rope_table(positions, c.head_dim, base)
      views.append(View(rope=table_BTh, mask=mask))
    states = [x]
    empty, start, arrays = (() if keep else None), jnp.int32(0), ()
    if cache is not None:
      start = cache.span if two_way else cache.cursor
      arrays = (cache.keys, cache.values) if two_way else cache.arrays
    if c.scan_layers:
      pair = arrays or empty
      x, kv, states = self._scan(x, pair, views, start, bool(capture))
    else:
      block = nn.remat(Block) if c.remat else Block
      kv = []
      for layer in range(c.layers):
        pair = tuple(a[layer] for a in arrays) or empty
        view = views[c.is_local(layer)]
        x, pair = block(c, name=f'layer_{layer}')(x, pair, view, start)
        kv.append(pair)
        states.append(x)
    if cache is not None or keep:
      keys, values = kv if c.scan_layers else zip(*kv, strict=True)
      if keep:
        cache = two_way_cache.TwoWayCache.of(keys, values, segments)
      else:
        cache = cache.advanced(keys, values, length)
    x = RMSNorm(c.norm_eps, name='final_norm')(x)
    captured = tuple(states[layer] for layer in capture)
    return Output(hidden=x, captured=captured, cache=cache)

  def _scan(self, x, pair, views, start, capture):
    c = self.config
    body = nn.remat(_Scanned, prevent_cse=False) if c.remat else _Scanned
    scanned = nn.scan(
      body,
      variable_axes={'params': 0, 'intermediates': 0},
      split_rngs={'params': True},
      in_axes=(0, 0, nn.broadcast, nn.broadcast),
      length=c.layers,
      metadata_params={nn.PARTITION_NAME: 'layers'},
    )(c, capture, name='layers')
    local = jnp.array([c.is_local(layer) for layer in range(c.layers)])
    first = x
    x, (kv, outputs) = scanned(x, pair, local, tuple(views), start)
    return x, kv, [first, *(outputs if capture else ())]


def unembedding(params) -> Float[Array, 'V D']:
  """The table that turns hidden states into logits, tied or not."""
  return params.get('unembedding', params['embedding'])
