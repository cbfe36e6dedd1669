"""What is served, and the samples of one call on their way through it."""

import concurrent.futures
import contextlib
import dataclasses
import queue
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from lm.decoding.drawn import Result, Token
from lm.serving import request
from lm.serving import text as text_lib
from lm.serving.request import ApiError

# Between looks at whether the client is still there, in seconds.
LOOK = 0.2


class Tokenizer(Protocol):
  stop_ids: tuple[int, ...]

  def encode(self, text: str) -> list[int]: ...
  def decode(self, ids: Sequence[int]) -> str: ...
  def chat(self, messages: Sequence[Mapping[str, str]]) -> list[int]: ...


class Engine(Protocol):
  """Draws many continuations at once.

  `on_token` is called by the engine's thread, before the future is done. To
  cancel what is done or cancelled already does nothing.
  """

  size: int

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
  ) -> 'concurrent.futures.Future[Result]': ...

  def cancel(self, future: concurrent.futures.Future) -> Any: ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Backend:
  """What is served.

  Attributes:
    tokenizer: of the model.
    engine: draws; may be given many requests at once.
    model: the name by which clients know it.
    vocab_size: bounds the ids that clients may send; None if unknown.
    max_requests: under way at once; more are told to come back (429).
  """

  tokenizer: Tokenizer
  engine: Engine
  model: str
  vocab_size: int | None = None
  max_requests: int = 256


class Event(NamedTuple):
  """Of the sample `index`; `finish` where it was the last."""

  index: int
  piece: text_lib.Piece
  finish: str | None


class Run:
  """The samples of one call, from their submission to their end or cancel."""

  def __init__(self, backend: Backend, call: request.Call):
    self._backend, self._call = backend, call
    self._queue = queue.SimpleQueue()
    self._assemblers, self._futures = [], []
    self._seen = [0] * len(call.seeds)
    try:
      for index in range(len(call.seeds)):
        self._submit(index)
    except BaseException:
      self.cancel()
      raise

  def _submit(self, index: int) -> None:
    call, tokenizer = self._call, self._backend.tokenizer
    prompt = call.prompts[index // call.n]
    self._assemblers.append(text_lib.Assembler(tokenizer, prompt, call.stop))
    try:
      future = self._backend.engine.submit(
        prompt,
        max_new_tokens=call.max_new_tokens[index // call.n],
        temperature=call.temperature,
        top_p=call.top_p,
        seed=call.seeds[index],
        stop=tuple(tokenizer.stop_ids),
        on_token=lambda token: self._queue.put((index, token, False)),
      )
    except ValueError as error:
      raise ApiError(400, str(error)) from error
    self._futures.append(future)
    future.add_done_callback(lambda f: self._queue.put((index, f, True)))

  def cancel(self) -> None:
    """Frees what is still being drawn."""
    for future in self._futures:
      if not future.done():
        self._backend.engine.cancel(future)

  @property
  def usage(self) -> dict[str, int]:
    """Prompts once each, whatever `n`; tokens that stop count too."""
    read, drawn = sum(map(len, self._call.prompts)), sum(self._seen)
    return {
      'prompt_tokens': read,
      'completion_tokens': drawn,
      'total_tokens': read + drawn,
    }

  def events(self, check: Callable[[], None]) -> Iterator[Event]:
    """What comes, as it comes, until every sample is finished.

    Args:
      check: called a few times a second; raises to end it.
    """
    left, looked = set(range(len(self._futures))), time.monotonic()
    while left:
      with contextlib.suppress(queue.Empty):
        index, what, done = self._queue.get(timeout=LOOK)
        if index in left:
          yield from self._take(index, what, done, left)
      if time.monotonic() - looked >= LOOK:
        looked = time.monotonic()
        check()

  def _take(self, index, what, done, left) -> Iterator[Event]:
    assembler, finish = self._assemblers[index], None
    tokens = [what]
    if done:
      if what.cancelled():
        raise ApiError(503, 'the request was cancelled')
      result = what.result()
      # The result is the truth, should a token not have been called back.
      tokens, finish = result.tokens[self._seen[index] :], result.finish
    for token in tokens:
      if assembler.stopped:
        break
      self._seen[index] += 1
      piece = assembler.push(token)
      if piece.text or piece.tokens:
        yield Event(index, piece, None)
    if finish is not None:
      piece = assembler.finish()
    elif assembler.stopped:
      self._backend.engine.cancel(self._futures[index])
      piece = text_lib.Piece('', ())
    else:
      return
    left.remove(index)
    yield Event(index, piece, 'stop' if assembler.stopped else finish)
