"""Continuous batching: a queue of requests over a fixed number of slots.

A slot that finishes is given to the next request while the others go on, so
thousands of prompts of uneven length keep the batch full. A request gets
exactly what `decode.sample` draws for it alone, whatever else is in the batch.

Shapes: B slots, C steps a call, K alternatives, V vocabulary.
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import functools
import threading
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from lm import cache as caches
from lm import transformer
from lm.decoding import generate, sampling
from lm.decoding.drawn import Result, Token

# A cache of fewer slots costs hardly less.
_FEWEST_SLOTS = 256
# Stop ids a request may have; a fixed number, so that none compiles again.
MOST_STOPS = 16


class _Slots(struct.PyTreeNode):
  """Device state. `out` are the tokens of the last call, -1 where none."""

  cache: caches.Cache
  hidden: jax.Array
  keys: jax.Array
  steps: jax.Array
  limits: jax.Array
  heat: jax.Array
  top_p: jax.Array
  stops: jax.Array
  done: jax.Array
  out: jax.Array
  logprobs: jax.Array
  top: jax.Array
  top_logprobs: jax.Array


@functools.partial(jax.jit, static_argnums=range(5))
def _empty(config, slots, size, chunk, top):
  return _Slots(
    cache=caches.Cache.create(config, slots, size),
    hidden=jnp.zeros((slots, config.width), config.activations),
    keys=jax.random.split(jax.random.key(0), slots),
    steps=jnp.zeros(slots, jnp.int32),
    limits=jnp.zeros(slots, jnp.int32),
    heat=jnp.zeros(slots),
    top_p=jnp.ones(slots),
    stops=jnp.full((slots, MOST_STOPS), -1, jnp.int32),
    done=jnp.ones(slots, bool),
    out=jnp.full((slots, chunk), -1, jnp.int32),
    logprobs=jnp.zeros((slots, chunk)),
    top=jnp.zeros((slots, chunk, top), jnp.int32),
    top_logprobs=jnp.zeros((slots, chunk, top)),
  )


@functools.partial(jax.jit, static_argnums=0)
def _read(config, params, tokens_1T, padding_1):
  """What follows a prompt [1, D], and its cache."""
  cache = caches.Cache.create(config, *tokens_1T.shape, padding_1)
  out = transformer.Transformer(config).apply(
    {'params': params}, tokens_1T, cache=cache
  )
  return out.hidden[:, -1], out.cache


@functools.partial(jax.jit, donate_argnums=0)
def _admit(slots, row, hidden_1D, cache, settings):
  """Gives a prompt that was read the slot `row`."""
  key = jax.random.fold_in(jax.random.key(settings['seed']), 0)
  fields = {n: value for n, value in settings.items() if n != 'seed'} | {
    'keys': key,
    'hidden': hidden_1D[0],
    'done': False,
    'steps': 0,
  }
  return slots.replace(
    cache=caches.place(slots.cache, cache, row),
    **{
      name: getattr(slots, name).at[row].set(value)
      for name, value in fields.items()
    },
  )


@functools.partial(jax.jit, static_argnums=1)
def _grow(slots, size):
  return slots.replace(cache=caches.grown(slots.cache, size))


@functools.partial(jax.jit, static_argnums=0, donate_argnums=2)
def _advance(config, params, slots, until):
  """C steps at most; fewer once `until` slots or fewer are at work."""
  model = transformer.Transformer(config)
  table_VD = transformer.unembedding(params)
  chunk, top = slots.top.shape[1:]

  def body(carry):
    i, s = carry
    logits_BV = generate.logits_of(s.hidden, table_VD)
    token_B, logprob_B = sampling.draw(
      jax.vmap(jax.random.fold_in)(s.keys, s.steps),
      logits_BV,
      s.heat,
      top_p=s.top_p,
    )
    if top:
      best_BK, ids_BK = jax.lax.top_k(logits_BV, top)
      best_BK -= jax.nn.logsumexp(logits_BV, axis=-1, keepdims=True)
      s = s.replace(
        top=s.top.at[:, i].set(ids_BK),
        top_logprobs=s.top_logprobs.at[:, i].set(best_BK),
      )
    steps = s.steps + 1
    ends_B = (token_B[:, None] == s.stops).any(-1) | (steps >= s.limits)
    out = model.apply({'params': params}, token_B[:, None], cache=s.cache)
    s = s.replace(
      out=s.out.at[:, i].set(jnp.where(s.done, -1, token_B)),
      logprobs=s.logprobs.at[:, i].set(logprob_B),
      steps=steps,
      done=s.done | ends_B,
      hidden=out.hidden[:, 0],
      cache=out.cache,
    )
    return i + 1, s

  def going(carry):
    i, s = carry
    return (i < chunk) & (jnp.sum(~s.done) > until)

  slots = slots.replace(out=jnp.full_like(slots.out, -1))
  return jax.lax.while_loop(going, body, (jnp.int32(0), slots))[1]


@dataclasses.dataclass(eq=False)
class _Request:
  prompt: Sequence[int]
  settings: dict
  stop: Sequence[int]
  on_token: Callable[[Token], None] | None
  future: concurrent.futures.Future
  tokens: list[Token] = dataclasses.field(default_factory=list)

  def tell(self, token: Token) -> None:
    if self.on_token and not self.future.done():
      try:
        self.on_token(token)
      except Exception as error:  # the caller's own, of any type
        _settle(self.future.set_exception, error)


class Engine:
  """Draws for many callers at once; use it as a context manager.

  One thread of its own holds the device; `submit` may be called from any. On
  leaving the context, unfinished requests are cancelled.
  """

  def __init__(
    self,
    config: transformer.TransformerConfig,
    params,
    *,
    slots: int = 32,
    size: int = 2048,
    chunk: int = 8,
    top: int = 0,
  ):
    """Makes an engine that stands still until its context is entered.

    Args:
      config: of the model.
      params: of the model; `layout.fuse` them to decode faster.
      slots: B, requests at work at once.
      size: longest prompt and continuation together. The cache grows up to
        it, as what is at work asks for: a step attends to every slot.
      chunk: C, steps between two looks at the queue while nothing ends.
      top: K, alternatives reported with each token.
    """
    for name, value in dict(slots=slots, size=size, chunk=chunk).items():
      if value < 1:
        raise ValueError(f'{name} must be at least 1, got {value}')
    self.size = size
    self._model = config, params
    self._empty = functools.partial(_empty, config, slots)
    self._counts = chunk, top
    self._slots = self._empty(self._room(1), *self._counts)
    self._at_work: list[_Request | None] = [None] * slots
    self._queue: collections.deque[_Request] = collections.deque()
    self._changed = threading.Condition()
    self._open = False
    self._error: Exception | None = None
    self._thread = threading.Thread(target=self._work, daemon=True)

  @property
  def slots_of_cache(self) -> int:
    """Positions of a slot that the cache holds now."""
    return self._slots.cache.size

  def __enter__(self) -> 'Engine':
    self._open = True
    self._thread.start()
    return self

  def __exit__(self, *unused) -> None:
    with self._changed:
      self._open = False
      self._changed.notify()
    self._thread.join()

  def submit(
    self,
    prompt: Sequence[int],
    *,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_p: float = 1.0,
    seed: int = 0,
    stop: Sequence[int] = (),
    on_token: Callable[[Token], None] | None = None,
  ) -> 'concurrent.futures.Future[Result]':
    """Queues a request.

    The same seed gives the same tokens, in whatever company; they are those of
    `decode.sample` with [jax.random.key(seed)] as keys.

    Args:
      prompt: ids, at least one.
      max_new_tokens: the most that are drawn.
      temperature: 0 is greedy.
      top_p: see `sampling.keep_top_p`.
      seed: not negative, below 2^31.
      stop: ids after which it is finished.
      on_token: called by the engine's thread with each token, before the
        future is done; what it raises ends this request alone.

    Raises:
      ValueError: what can never run: an empty prompt, one longer than `size`
        with its continuation, a setting out of range.
      RuntimeError: the engine is not running.
    """
    if not len(prompt) or max_new_tokens < 1:
      raise ValueError(
        'expected a prompt of at least one token and max_new_tokens of at '
        f'least 1, got {len(prompt)} and {max_new_tokens}'
      )
    if len(prompt) + max_new_tokens > self.size:
      raise ValueError(
        f'a prompt of {len(prompt)} and {max_new_tokens} new tokens are more '
        f'than the {self.size} of the engine; raise size'
      )
    if not (temperature >= 0 and 0 < top_p <= 1):
      raise ValueError(
        'temperature must not be negative and top_p must lie in (0, 1], got '
        f'{temperature} and {top_p}'
      )
    if len(stop) > MOST_STOPS:
      raise ValueError(f'expected at most {MOST_STOPS} stop ids, got {stop}')
    settings = dict(
      limits=np.int32(max_new_tokens),
      heat=np.float32(temperature),
      top_p=np.float32(top_p),
      stops=np.array([*stop, *[-1] * (MOST_STOPS - len(stop))], np.int32),
      seed=np.int32(seed),
    )
    future: concurrent.futures.Future = concurrent.futures.Future()
    request = _Request(list(prompt), settings, stop, on_token, future)
    with self._changed:
      if not self._open:
        raise RuntimeError(
          'the engine is not running: enter its context'
        ) from self._error
      self._queue.append(request)
      self._changed.notify()
    return future

  def cancel(self, future: concurrent.futures.Future) -> None:
    """Ends a request soon; nothing where it is done."""
    future.cancel()

  def _work(self) -> None:
    try:
      while self._wait():
        self._fill()
        self._step()
    except Exception as error:  # the device's, of any type
      self._error = error
    self._end()

  def _wait(self) -> bool:
    """Until there is work; False when the engine closes."""
    with self._changed:
      while self._open and not self._queue and not any(self._at_work):
        self._changed.wait()
      return self._open

  def _fill(self) -> None:
    """Gives free slots to the next requests."""
    free = [row for row, taken in enumerate(self._at_work) if not taken]
    while free:
      with self._changed:
        if not self._queue:
          return
        request = self._queue.popleft()
      if request.future.cancelled():
        continue
      row = free.pop()
      tokens_1T, padding_1 = generate.pad_front(
        [request.prompt], most=self.size
      )
      self._make_room(len(request.prompt) + int(request.settings['limits']))
      self._at_work[row] = request
      self._slots = _admit(
        self._slots,
        np.int32(row),
        *_read(*self._model, tokens_1T, padding_1),
        request.settings,
      )

  def _room(self, length: int) -> int:
    """Slots of a cache for a text of `length`; few sizes, each compiled."""
    return min(self.size, max(_FEWEST_SLOTS, generate.bucket(length)))

  def _make_room(self, length: int) -> None:
    """A cache that is long enough; as short as that where nobody is at work."""
    size, has = self._room(length), self.slots_of_cache
    if size > has:
      self._slots = _grow(self._slots, size)
    elif size < has and not any(self._at_work):
      self._slots = self._empty(size, *self._counts)

  def _step(self) -> None:
    """Some steps for all, and their tokens to the callers."""
    busy = sum(request is not None for request in self._at_work)
    # Where others wait, the first that ends hands its slot on.
    until = busy - 1 if self._queue else 0
    self._slots = _advance(*self._model, self._slots, np.int32(until))
    s = self._slots
    out, logprobs, tops, done = jax.device_get(
      (s.out, s.logprobs, (s.top, s.top_logprobs), s.done)
    )
    dropped = []
    for row, request in enumerate(self._at_work):
      if request is None:
        continue
      for i in np.flatnonzero(out[row] >= 0):
        best = zip(*(a[row, i].tolist() for a in tops), strict=True)
        token = Token(int(out[row, i]), float(logprobs[row, i]), tuple(best))
        request.tokens.append(token)
        request.tell(token)
      if done[row]:
        stopped = request.tokens[-1].id in request.stop
        result = Result(request.tokens, 'stop' if stopped else 'length')
        _settle(request.future.set_result, result)
      elif request.future.done():
        dropped.append(row)
      else:
        continue
      self._at_work[row] = None
    if dropped:
      done_B = done.copy()
      done_B[dropped] = True
      self._slots = self._slots.replace(done=jnp.array(done_B))

  def _end(self) -> None:
    with self._changed:
      self._open = False
      left = [*self._queue, *filter(None, self._at_work)]
      self._queue.clear()
      self._at_work = [None] * len(self._at_work)
    for request in left:
      if self._error is None:
        request.future.cancel()
      else:
        _settle(request.future.set_exception, self._error)


def _settle(set_it, value) -> None:
  # Whoever cancelled in the meantime wants no answer.
  with contextlib.suppress(concurrent.futures.InvalidStateError):
    set_it(value)
