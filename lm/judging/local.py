"""A model on this machine that is asked in text.

`Local.ask` has the shape that lm/judging/judge.py wants, so a judge needs no
server; everything under it, tokenizer, engine and model, is there for use by
itself.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import tqdm

from engine import stop as stop_lib
from lm.checkpoints import decoder, pretrained_tokenizer
from lm.decoding import continuous_batching

Prompt = str | Sequence[Mapping[str, str]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Local:
  """See `open`. A context manager: leaving it stops the engine."""

  model: decoder.Decoder
  engine: continuous_batching.Engine

  @classmethod
  def open(
    cls,
    name: str,
    *,
    accept_licence: str = '',
    dtype: str = 'float32',
    slots: int = 32,
    size: int = 2048,
    top: int = 0,
  ) -> 'Local':
    """Loads a model for decoding.

    Args:
      name: see `hub.resolve`.
      accept_licence: see `hub.resolve`.
      dtype: of parameters and computation, see `decoder.open_decoder`.
      slots: see `continuous_batching.Engine`.
      size: see `continuous_batching.Engine`.
      top: see `continuous_batching.Engine`.
    """
    model = decoder.open_decoder(
      name, accept_licence=accept_licence, dtype=dtype
    )
    engine = continuous_batching.Engine(
      model.config, model.params, slots=slots, size=size, top=top
    )
    return cls(model=model, engine=engine)

  @property
  def tokenizer(self) -> pretrained_tokenizer.CheckpointTokenizer:
    return self.model.tokenizer

  def __enter__(self) -> 'Local':
    self.engine.__enter__()
    return self

  def __exit__(self, *error) -> None:
    self.engine.__exit__(*error)

  def ids(self, prompt: Prompt) -> list[int]:
    """A string as it stands; chat messages through the model's template."""
    if isinstance(prompt, str):
      return self.tokenizer.encode(prompt)
    return self.tokenizer.chat(prompt)

  def ask(
    self,
    prompts: Sequence[Prompt],
    *,
    max_new_tokens: int = 128,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
  ) -> list[str]:
    """What the model says to each: a string is a user's message.

    Args:
      prompts: text, or chat messages with role and content.
      max_new_tokens: the most that it says.
      temperature: 0 takes the most probable.
      top_p: see `sampling.keep_top_p`.
      seed: of the first prompt; the next have the next.
    """
    futures = [
      self.engine.submit(
        self.ids([{'role': 'user', 'content': p}] if isinstance(p, str) else p),
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        top_p=top_p,
        seed=seed + i,
        stop=self.tokenizer.stop_ids,
      )
      for i, p in enumerate(prompts)
    ]
    bar = tqdm.tqdm(futures, desc='asking', disable=len(futures) < 20)
    said = []
    for future in bar:
      stop_lib.check()
      ids = [token.id for token in future.result().tokens]
      said.append(self.tokenizer.decode(ids))
    return said
