"""Which target tokens become <CALL>, and which are left out of the loss.

Section and symbol names follow docs/papers/lacy.md, section 3. Every rule is a
pure function of the model's own loss, the fact mask, a reference loss and a
key. Counts are integers and ties go to the earlier position, so the mask of a
global batch is the same on one device and on many.

Shapes: B sequences, T positions.
"""

import dataclasses

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int

RULES = (
  'standard',
  'loss',
  'rho',
  'random',
  'fact_random',
  'fact_all',
  'ignore',
  'ignore_facts',
  'judge',
  'lacy',
)
SCOPES = ('facts', 'batch', 'budget')
UNITS = ('token', 'entity')
RHO_VARIANTS = ('low_excess', 'high_ref')


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelectionConfig:
  """What to select, and how much.

  Attributes:
    rule: one of `RULES`. `judge` takes the given fact mask as it is (then the
      mask comes from a file, see lacy/facts/judged.py); `ignore` drops from the
      loss what `loss` would call, `ignore_facts` what `lacy` would.
    scope: of `lacy` and `ignore_facts`. `facts`: the `percent` highest losses
      among facts (reading A). `batch`: facts among the `percent` highest
      losses of all (reading B, the printed formula). `budget`: the `rho` N
      highest losses among facts (reading C), at most all facts.
    unit: of `lacy` and `ignore_facts`; what is ranked. `token`: each by its
      loss, as in the paper. `entity`: whole runs of facts by their mean loss,
      as many as fit the count (ours), since a called first digit without the
      rest of its number says nothing. Not for the scope `batch`.
    percent: n, an integer so that the count is exact.
    rho: training call budget as a share of valid positions, to 0.001.
    rho_variant: of `rho`; `low_excess` calls where loss minus reference loss
      is lowest (the complement of Rho-1), `high_ref` where the reference loss
      is highest. Which one the paper means is not known (section 10).
    warmup_steps: no calls before this step.
  """

  rule: str = 'lacy'
  scope: str = 'facts'
  unit: str = 'token'
  percent: int = 60
  rho: float = 0.15
  rho_variant: str = 'low_excess'
  warmup_steps: int = 0

  def __post_init__(self):
    for name, value, known in (
      ('rule', self.rule, RULES),
      ('scope', self.scope, SCOPES),
      ('unit', self.unit, UNITS),
      ('rho_variant', self.rho_variant, RHO_VARIANTS),
    ):
      if value not in known:
        raise ValueError(
          f'lacy.{name} must be one of {", ".join(known)}; got {value!r}'
        )
    by_loss = self.rule in ('lacy', 'ignore_facts') and self.scope != 'batch'
    if self.unit == 'entity' and not by_loss:
      raise ValueError(
        'lacy.unit=entity ranks facts by loss: lacy.rule must be lacy or '
        'ignore_facts and lacy.scope facts or budget, got '
        f'lacy.rule={self.rule!r} and lacy.scope={self.scope!r}'
      )
    if not 0 <= self.percent <= 100 or self.percent != int(self.percent):
      raise ValueError(
        f'lacy.percent must be an integer in [0, 100], got {self.percent}'
      )
    if not 0.0 <= self.rho <= 1.0:
      raise ValueError(f'lacy.rho must lie in [0, 1], got {self.rho}')

  @property
  def calls(self) -> bool:
    """Whether training moves p(CALL) at all."""
    return self.rule not in ('standard', 'ignore', 'ignore_facts')

  @property
  def needs_reference(self) -> bool:
    return self.rule == 'rho'


class Choice(struct.PyTreeNode):
  """`call`: the target becomes CALL. `drop`: the position is not trained on."""

  call: Bool[Array, 'B T']
  drop: Bool[Array, 'B T']


def top(
  score: Float[Array, 'B T'], among: Bool[Array, 'B T'], k: Int[Array, '']
) -> Bool[Array, 'B T']:
  """The `k` highest scores among the marked; ties to the earlier position.

  By ranks, because k depends on the batch and jit wants static shapes.
  """
  flat = jnp.where(among, score.astype(jnp.float32), -jnp.inf).ravel()
  order = jnp.argsort(-flat, stable=True)
  chosen = (
    jnp.zeros(flat.shape, bool)
    .at[order]
    .set(jnp.arange(flat.size) < k, unique_indices=True)
  )
  return chosen.reshape(score.shape) & among


def top_entities(
  loss: Float[Array, 'B T'], facts: Bool[Array, 'B T'], k: Int[Array, '']
) -> Bool[Array, 'B T']:
  """Whole entities by mean loss, the highest first, of `k` tokens at most.

  An entity is a run of facts in a row; ties go to the earlier one. The first
  that does not fit ends the list: no entity of lower loss goes before it.
  """
  starts = facts & ~jnp.pad(facts, ((0, 0), (1, 0)))[:, :-1]
  facts, loss = facts.ravel(), loss.astype(jnp.float32).ravel()
  size = facts.size
  number = jnp.where(facts, jnp.cumsum(starts.ravel()) - 1, size)
  total = jnp.zeros(size + 1).at[number].add(loss)
  tokens = jnp.zeros(size + 1, jnp.int32).at[number].add(1)
  mean = total / jnp.maximum(tokens, 1)
  mean = jnp.where((jnp.arange(size + 1) < size) & (tokens > 0), mean, -jnp.inf)
  order = jnp.argsort(-mean, stable=True)
  upto = jnp.zeros(size + 1, jnp.int32)
  upto = upto.at[order].set(jnp.cumsum(tokens[order]), unique_indices=True)
  return (facts & (upto[number] <= k)).reshape(starts.shape)


def _count(mask):
  return jnp.sum(mask, dtype=jnp.int32)


def _budget(rho, valid):
  """round(rho N) in integers: in floats 0.29 * 100 floors to 28."""
  return (round(1000 * rho) * _count(valid) + 500) // 1000


def _lacy(config, loss, facts, valid):
  if config.scope == 'batch':
    return facts & top(loss, valid, config.percent * _count(valid) // 100)
  if config.scope == 'facts':
    k = config.percent * _count(facts) // 100
  else:
    k = _budget(config.rho, valid)
  if config.unit == 'entity':
    return top_entities(loss, facts, k)
  return top(loss, facts, k)


def select(
  config: SelectionConfig,
  loss: Float[Array, 'B T'],
  facts: Bool[Array, 'B T'],
  valid: Bool[Array, 'B T'],
  *,
  step: Int[Array, ''] | int,
  key: Array,
  reference: Float[Array, 'B T'] | None = None,
) -> Choice:
  """Applies the rule to one global batch (section 3).

  Args:
    config: the rule and its budget.
    loss: the current model's loss with CALL left out of the softmax; no
      gradient flows through it.
    facts: fact mask (or judge mask), aligned with targets.
    valid: positions that count; padding and document boundaries do not.
    step: for the warm-up.
    key: consumed by `random` and `fact_random` only.
    reference: loss of the frozen reference model, for `rho`.

  Raises:
    ValueError: `rho` without a reference loss.
  """
  loss = jax.lax.stop_gradient(loss)
  facts = facts & valid
  nothing = jnp.zeros(loss.shape, bool)
  budget = _budget(config.rho, valid)
  match config.rule:
    case 'standard':
      chosen = nothing
    case 'loss' | 'ignore':
      chosen = top(loss, valid, budget)
    case 'rho':
      if reference is None:
        raise ValueError(
          'lacy.rule=rho needs the loss of a reference model; set '
          '--config.lacy.reference to the workdir of a finished standard run'
        )
      low = config.rho_variant == 'low_excess'
      chosen = top(reference - loss if low else reference, valid, budget)
    case 'random':
      chosen = valid & jax.random.bernoulli(key, config.rho, loss.shape)
    case 'fact_random':
      score = jax.random.uniform(key, loss.shape)
      chosen = top(score, facts, config.percent * _count(facts) // 100)
    case 'fact_all' | 'judge':
      chosen = facts
    case 'lacy' | 'ignore_facts':
      chosen = _lacy(config, loss, facts, valid)
  chosen = chosen & (jnp.asarray(step) >= config.warmup_steps)
  if config.rule in ('ignore', 'ignore_facts'):
    return Choice(call=nothing, drop=chosen)
  return Choice(call=chosen, drop=nothing)
