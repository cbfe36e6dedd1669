r"""Denoisers of puzzles, every rule on them, and policies that learn to unmask.

The argument is <what>_<puzzle>, and `_smoke` behind it runs in seconds:

P=configs/diffusion_sampler/puzzles.py
python -m launch.train --config=$P:denoiser_sudoku \
  --workdir=runs/denoiser_sudoku
python -m launch.evaluate --config=$P:heuristics_sudoku \
  --workdir=runs/heuristics_sudoku --config.denoiser=runs/denoiser_sudoku
python -m launch.train --config=$P:policy_sudoku --workdir=runs/policy_sudoku \
  --config.denoiser=runs/denoiser_sudoku
python -m launch.plot --workdir=runs/heuristics_sudoku

A denoiser takes a few minutes on two CPU cores. Denoiser, every rule and
policies, three seeds:
python -m launch.sweep --config=$P:policy_sudoku \
  --workdir=runs/diffusion_sudoku --out=docs/results/diffusion_sudoku.json

Puzzles are addition (digits from the left), chain (pointer chains of unknown
length), chains (four, interleaved) and sudoku (four by four). The policies of
chain, and the comparison of the paper, are policy_chain.py.
"""

from ml_collections import ConfigDict

from configs import common as parts
from configs.diffusion_sampler import common

# Vocabulary, steps of the denoiser and its block in the test, blocks of the
# rules, the level from which records are hard.
PUZZLES = {
  'addition': ('addition(digits=5)', 11, 1500, 2, (2, 0), 3),
  'chain': (
    'chain(symbols=16, answer=16, short=8)',
    *(274, 1200, 2, (2, 4, 0), 9),
  ),
  'chains': (
    'chains(symbols=12, chains=4, depth=6)',
    *(157, 1000, 4, (4, 8, 0), 0),
  ),
  'sudoku': ('sudoku(fewest=4, most=12)', 6, 1000, 4, (4, 0), 9),
}
ARGUMENTS = (
  *(f'denoiser_{name}' for name in PUZZLES),
  *(f'heuristics_{name}' for name in PUZZLES),
  *(f'policy_{name}' for name in PUZZLES if name != 'chain'),
)


def get_config(arg: str = '') -> ConfigDict:
  parts.check_arg(
    arg, (*ARGUMENTS, 'smoke', *(f'{name}_smoke' for name in ARGUMENTS))
  )
  smoke = arg.endswith('smoke')
  name = arg.removesuffix('smoke').removesuffix('_') or 'denoiser_chain'
  what, _, name = name.partition('_')
  puzzle, vocab_size, steps, block, blocks, hard = PUZZLES[name]
  if what == 'denoiser':
    return common.denoiser(
      puzzle=puzzle,
      vocab_size=vocab_size,
      steps=steps,
      block=block,
      smoke=smoke,
    )
  if what == 'heuristics':
    return common.heuristics(
      puzzle=puzzle, blocks=blocks, hard=hard, smoke=smoke
    )
  own = common.sampler
  c = common.policy(
    puzzle=puzzle,
    samplers=(
      own('policy'),
      own('policy', fallback=False),
      own('policy', scale=0.5),
      own('policy', scale=2),
    ),
    smoke=smoke,
  )
  c.sweep = parts.sweep(
    {
      'denoiser': common.denoiser_variant(vocab_size=vocab_size, smoke=smoke),
      'heuristics': {
        **common.measurement(common.rules(smoke)),
        'sampling.blocks': blocks,
      },
      **{
        f'policy_a={a:g}': {'denoiser': '{denoiser}', 'grpo.alpha': a}
        for a in (0.3, 3.0)
      },
    },
    (0,) if smoke else (0, 1, 2),
  )
  return c
