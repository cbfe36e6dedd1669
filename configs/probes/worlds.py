r"""Three worlds: no shared truth, some, and one truth for all tasks.

python -m launch.sweep --config=configs/probes/worlds.py \
  --workdir=runs/probes_worlds --out=docs/results/probes_worlds.json
python -m launch.plot --workdir=runs/probes_worlds

One of them, minutes on two cores:
python -m launch.train --config=configs/probes/worlds.py --workdir=runs/world

lambdas are those of the prototype that docs/papers/probes.md section 10 has
the numbers of; 0 chooses them by folds.
"""

from ml_collections import ConfigDict

from configs import common as parts
from configs.probes import common


def get_config(arg: str = '') -> ConfigDict:
  parts.check_arg(arg, ('smoke',))
  smoke = arg == 'smoke'
  c = ConfigDict()
  c.experiment = 'probes.simulated'
  # See probes.worlds.World.
  c.world = ConfigDict(
    dict(
      shared=0.0,
      specific=3.0,
      tasks=3 if smoke else 7,
      train=80 if smoke else 800,
      test=40 if smoke else 800,
      width=32 if smoke else 256,
      apart=6.0,
      rank=8,
      nuisance=2.0,
    )
  )
  c.probes = common.probes(ridge_at=1 / 8, sparse_at=1 / 24)
  if smoke:
    c.probes.supports = (4,)
    c.probes.draws = 20
  c.run = parts.run(steps=1, eval_every=0)
  c.mesh = parts.mesh()
  worlds = {'own': (0.0, 3.0), 'part': (1.5, 2.5), 'shared': (3.0, 0.0)}
  c.sweep = parts.sweep(
    {
      name: {'world.shared': shared, 'world.specific': specific}
      for name, (shared, specific) in worlds.items()
    },
    seeds=(0,) if smoke else (0, 1, 2),
  )
  return c
