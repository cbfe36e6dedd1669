"""What samplers wrote and in which order, from the files of runs; no JAX.

Passes are counted from 1 here, so that the last one is the number of passes.

Shapes: F records, L answer positions, P prompt positions.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from diffusion_sampler.report import keys

# As canvas.py has them.
GIVEN, UNWRITTEN, BEHIND = -1, -2, -3
END = 'E'
# One column of each, the first that was measured.
COLUMNS = (
  ('threshold', 'factor', 'klass', 'entropy_bounded'),
  ('random', 'ancestral'),
  ('left_to_right', 'top_k'),
  ('policy',),
)


class Strip(NamedTuple):
  """What one sampler did.

  Attributes:
    label: the sampler, or the variant of a policy.
    order: pass of writing from 0, -1 given, -2 never, -3 behind the end.
    answer: tokens as text, END where they end an answer.
    wrong: not the target's token, up to the target's end; nowhere in an answer
      that is right in another way.
    passes: spent.
    right: whole answers; of a gap in a text the share that is the text's.
    target: tokens wanted, as text; no columns where none are.
    level: of the records.
    prompt: what stands before it in words; no columns for a puzzle.
  """

  label: str
  order: np.ndarray  # [F, L], as are answer, wrong and target
  answer: np.ndarray
  wrong: np.ndarray
  passes: np.ndarray  # [F], as are right and level
  right: np.ndarray
  target: np.ndarray
  level: np.ndarray
  prompt: np.ndarray  # [F, P]

  @property
  def words(self) -> bool:
    """Whether it is a text."""
    return self.prompt.shape[1] > 0

  def verdict(self, record: int) -> str:
    """Passes of a record, and whether it is right."""
    count, right = int(self.passes[record]), self.right[record]
    if self.right.dtype == bool:
      found = 'right' if right else 'wrong'
    else:
      found = f'{right:.0%} the same'
    return f'{count} pass{"es" * (count != 1)}, {found}'


def _strips(run) -> list[tuple[int, str, Strip]]:
  """Block length, family and strip of every sampler of a run."""
  path = run.folders[0] / 'evals' / 'test-final.npz'
  if not path.exists():
    return []
  with np.load(path) as file:
    made = dict(file)
  # Other runs of texts keep no words.
  count = made['order'].shape[1]
  if not count or not {'pieces', 'targets'} & set(made):
    return []
  if 'pieces' in made:
    told = _told_in_words(made, count)
  else:
    told = _told_in_symbols(made, run.eos_id)
  out = []
  for i, name in enumerate(map(str, made['names'])):
    sampler, block = keys.named(name)
    strip = Strip(
      label=run.variant if keys.is_policy(sampler) else sampler,
      order=made['order'][i],
      passes=made['passes'][i, :count],
      right=made['correct'][i, :count],
      level=made['level'][:count],
      **told(i),
    )
    out.append((block, keys.rule(sampler), strip))
  return out


def _told_in_symbols(made, eos_id):
  """i -> the fields of sampler i that show tokens of a puzzle."""

  def spelled(tokens):
    return np.where(tokens == eos_id, END, tokens.astype(str))

  # Nothing behind the first end of the target counts.
  targets = made['targets']
  target = spelled(targets)
  end = target == END
  counts = np.cumsum(end, -1) - end == 0
  prompt = np.zeros((len(target), 0), str)

  def told(i):
    right = made['correct'][i, : len(target), None]
    differs = (made['answers'][i] != targets) & (made['order'][i] >= -1)
    answer = spelled(made['answers'][i])
    wrong = differs & counts & ~right
    return dict(answer=answer, wrong=wrong, target=target, prompt=prompt)

  return told


def _told_in_words(made, count):
  """The same of a text, in which nothing is wrong: it is only another."""
  prompt = made['prompt_pieces']
  target = made.get('target_pieces', np.zeros((count, 0), str))

  def told(i):
    answer = made['pieces'][i]
    wrong = np.zeros(answer.shape, bool)
    return dict(answer=answer, wrong=wrong, target=target, prompt=prompt)

  return told


def gather(runs: Sequence[Any]) -> list[Strip]:
  """Up to four samplers that differ in kind; empty where no order was kept.

  Args:
    runs: as `curves.gather` returns: of the first world, and in it of the
      longest blocks, where an order is freest.
  """
  found = [
    strip
    for run in runs
    if run.world == runs[0].world
    for strip in _strips(run)
  ]
  longest = max((block for block, _, _ in found), default=0)
  found = [(kind, strip) for block, kind, strip in found if block == longest]
  picked = [
    next((strip for kind, strip in found if kind in kinds), None)
    for kinds in COLUMNS
  ]
  picked = [strip for strip in picked if strip is not None]
  picked = picked or [strip for _, strip in found[:4]]
  # Runs may have kept more records or fewer, all of them the first ones.
  least = min((len(strip.order) for strip in picked), default=0)
  return [Strip(s.label, *(field[:least] for field in s[1:])) for s in picked]


def pair(strips: Sequence[Strip]) -> list[Strip]:
  """The two to compare closely: the first and the last, a policy if any."""
  return [strips[0], strips[-1]] if len(strips) > 1 else list(strips)
