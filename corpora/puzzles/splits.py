"""Which examples a split has.

Each split is a stream with a seed of its own, so that a smaller one is the
beginning of a larger. A prompt belongs to one split: what the test split has is
left out of the others, what validation has out of train. Examples are drawn
until there are enough.
"""

import itertools

import numpy as np

from corpora.puzzles import form

SIZES = {'train': 50_000, 'validation': 1000, 'test': 2000}
SEED = 0
CHUNK = 5000
# Fewer left of a chunk: the others have nearly every prompt there is.
LEAST = 0.01


def check(split: str) -> None:
  """Raises ValueError where there is no such split."""
  if split not in SIZES:
    raise ValueError(f'split must be one of {", ".join(SIZES)}, got {split!r}')


def examples(
  puzzle: form.Puzzle, split: str, count: int | None = None
) -> form.Examples:
  """The first `count` examples of a split, made anew.

  Args:
    puzzle: what to make.
    split: 'train', 'validation' or 'test'.
    count: SIZES[split] by default; what is held out does not depend on it.

  Returns:
    As `Puzzle.generate`.

  Raises:
    ValueError: unknown split, or a puzzle that has too few prompts for three.
  """
  check(split)
  count = SIZES[split] if count is None else count
  others = {'train': ('validation', 'test'), 'validation': ('test',)}
  held_out = {
    prompt.tobytes()
    for other in others.get(split, ())
    for prompt in examples(puzzle, other)['prompt']
  }
  parts, have = [], 0
  for number in itertools.count():
    rng = np.random.default_rng([SEED, list(SIZES).index(split), number])
    part = puzzle.generate(rng, CHUNK)
    kept = np.array([p.tobytes() not in held_out for p in part['prompt']])
    if kept.mean() < LEAST:
      raise ValueError(
        f'data.puzzle={puzzle} has too few prompts: those of the other splits '
        f'leave {kept.mean():.1%} for {split}; take a larger puzzle'
      )
    parts.append({name: value[kept] for name, value in part.items()})
    have += kept.sum()
    if have >= count:
      break
  return {
    name: np.concatenate([part[name] for part in parts])[:count]
    for name in parts[0]
  }
