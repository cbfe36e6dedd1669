"""Samplers as a config names them: a rule or the trained policy, and a cache.

A sampler is a mapping such as {'rule': 'top_k', 'count': 2, 'by': 'margin'}: a
rule of rules.py with its options, or 'policy' with those of `PolicyOptions`.
Either may add 'cache', a mode of cached.py. A sampler's figures carry its name,
which spells out the given options: 'top_k(count=2,by=margin)'.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from diffusion_sampler.policy import rule as policy_rule
from diffusion_sampler.sampling import cached, rules
from engine import options

POLICY = 'policy'
KEY = 'sampling.samplers'


@dataclasses.dataclass(frozen=True, kw_only=True)
class PolicyOptions:
  """How a trained policy is sampled (section 6.3).

  Attributes:
    temperature, scale: see `actions.draw`.
    fallback: whether every pass writes something, as at test time. False lets
      the policy alone decide, as in training: a policy that has learned to
      write nothing shows there only.
    blind: 'mask' or 'time' withholds that input.
  """

  temperature: float = 1.0
  scale: float = 1.0
  fallback: bool = True
  blind: str = ''

  def __post_init__(self):
    if self.blind not in ('', 'mask', 'time'):
      raise ValueError(
        f'{KEY}: blind of {POLICY} must be mask or time, got {self.blind!r}'
      )


KINDS = rules.KINDS | {POLICY: PolicyOptions}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sampler:
  """A rule, or how the trained policy is one, the cache, and their name."""

  name: str
  rule: rules.Rule | PolicyOptions
  cache: str

  def bound(self, trained: policy_rule.PolicyRule | None) -> rules.Rule:
    """The rule itself.

    Raises:
      ValueError: a policy is asked for, and none was trained.
    """
    if not isinstance(self.rule, PolicyOptions):
      return self.rule
    if trained is None:
      raise ValueError(
        f'{KEY} has {self.name}, which needs a trained policy; set '
        '--config.policy_run to the workdir of a finished policy run'
      )
    config = trained.config
    if self.rule.blind:
      config = dataclasses.replace(config, **{f'see_{self.rule.blind}': False})
    return trained.replace(
      config=config,
      temperature=self.rule.temperature,
      scale=self.rule.scale,
      fallback=self.rule.fallback,
    )


def sampler(values: Mapping[str, Any]) -> Sampler:
  """The sampler of a config's mapping.

  Raises:
    ValueError: no such rule or cache, or an option that does not fit.
  """
  given = dict(values)
  kind, cache = given.pop('rule', None), given.pop('cache', cached.NONE)
  if kind not in KINDS:
    raise ValueError(
      f'{KEY}: rule must be one of {", ".join(KINDS)}, got {kind!r}'
    )
  if cache not in cached.MODES:
    raise ValueError(
      f'{KEY}: cache of {kind} must be one of {", ".join(cached.MODES)}, got '
      f'{cache!r}'
    )
  told = [f.name for f in dataclasses.fields(KINDS[kind]) if f.name in given]
  told = [f'{name}={_told(given[name])}' for name in told]
  told += [f'cache={cache}'] * (cache != cached.NONE)
  return Sampler(
    name=kind + (f'({",".join(told)})' if told else ''),
    rule=options.section(given, f'{KEY}: {kind}', KINDS[kind]),
    cache=cache,
  )


def _told(value: Any) -> Any:
  # As the keys of results have always had it: fallback=0.
  return int(value) if isinstance(value, bool) else value
