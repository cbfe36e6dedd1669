"""The keys of figures: '<sampler>@<block>/<figure>', written and read here."""

import re
from typing import NamedTuple

_KEY = re.compile(r'(?P<sampler>.+)@(?P<block>\d+)/(?P<figure>\w+)')


class Key(NamedTuple):
  """What a figure is of: a sampler, the length of its blocks, and which."""

  sampler: str
  block: int
  figure: str

  def __str__(self) -> str:
    return f'{name(self.sampler, self.block)}/{self.figure}'


def parse(key: str) -> Key | None:
  """None where a summary's key is no sampler's."""
  match = _KEY.fullmatch(key)
  if match is None:
    return None
  return Key(match['sampler'], int(match['block']), match['figure'])


def name(sampler: str, block: int) -> str:
  """What the figures of a sampler begin with, and what arrays are named by."""
  return f'{sampler}@{block}'


def named(text: str) -> tuple[str, int]:
  """Sampler and block of a `name`."""
  sampler, _, block = text.rpartition('@')
  return sampler, int(block)


def rule(sampler: str) -> str:
  """Its rule, without options."""
  return sampler.partition('(')[0]


def is_policy(sampler: str) -> bool:
  return rule(sampler) == 'policy'


def family(sampler: str) -> str:
  """What one curve goes through: a rule, what it reads, and its cache."""
  words = re.findall(r'\b(?:by|of|cache)=(\w+)', sampler)
  return ' '.join([rule(sampler), *words])
