r"""Semantic calibration from cross-entropy alone, and how rewards undo it.

python -m launch.sweep --config=configs/calibration/mechanism.py \
  --workdir=runs/calibration_mechanism \
  --out=docs/results/calibration_mechanism.json
python -m launch.plot --workdir=runs/calibration_mechanism

One model, about a minute on one core:
python -m launch.train --config=configs/calibration/mechanism.py --workdir=...
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str = '') -> ConfigDict:
  common.check_arg(arg, ('smoke',))
  smoke = arg == 'smoke'
  c = ConfigDict()
  c.experiment = 'calibration.semantic.mechanism.experiment'
  # See calibration.mechanism_data.World.
  c.world = ConfigDict(
    dict(
      syllables=3 if smoke else 8,
      length=2 if smoke else 3,
      values=3 if smoke else 6,
      noise=0.4,
      style='direct',
    )
  )
  c.model = ConfigDict(
    dict(
      layers=1 if smoke else 2,
      width=16 if smoke else 64,
      heads=2 if smoke else 4,
      mlp_width=32 if smoke else 256,
    )
  )
  # The workdir of a run to go on from, or to measure.
  c.start = ''
  c.learn = ConfigDict(
    dict(
      kind='cross_entropy',
      batch_size=16 if smoke else 256,
      group=4 if smoke else 8,
      beta=0.1,
    )
  )
  c.measure = ConfigDict(
    dict(
      ways=2,
      levels=3 if smoke else 10,
      held_out=0.25,
      draws=5 if smoke else 100,
      chunk=18 if smoke else 128,
      every=1,
    )
  )
  c.optim = common.optim(peak_lr=3e-3, warmup_steps=2 if smoke else 50)
  c.optim.weight_decay = 0.01
  c.optim.b2 = 0.98
  c.optim.final_ratio = 0.02
  c.run = common.run(
    steps=4 if smoke else 1600, eval_every=0, save_every=2 if smoke else 160
  )
  c.run.keep = 100  # all of them are measured
  c.mesh = common.mesh()
  chain = {
    'world.style': 'chain',
    'run.steps': 4 if smoke else 600,
    'run.save_every': 2 if smoke else 60,
  }
  # Starved: hardly anything of the facts fits.
  narrow = {
    'model.layers': 1,
    'model.width': 4,
    'model.heads': 1,
    'model.mlp_width': 16,
    'optim.peak_lr': 1e-2,
  }
  if not smoke:
    narrow |= {'run.steps': 1500, 'run.save_every': 150}
  tune = {
    'start': '{direct}',
    'run.steps': 2 if smoke else 300,
    'run.eval_every': 1 if smoke else 50,
    'optim.schedule': 'constant',
    'optim.peak_lr': 3e-4,
    'optim.warmup_steps': 10,
  }
  # Another experiment: its own probe, and the run's world, model and optimiser.
  measure = {
    'experiment': 'calibration.semantic.mechanism.measure',
    'run.steps': 1,
    'probe': _probe(smoke),
    **dict.fromkeys(('world', 'model', 'learn', 'optim')),
  }
  trained = ('direct', 'chain', 'narrow_direct', 'narrow_chain')
  c.sweep = common.sweep(
    {
      'direct': {},
      'chain': chain,
      'narrow_direct': narrow,
      'narrow_chain': {'world.style': 'chain', **narrow},
      **{
        f'{name}_measured': {**measure, 'start': f'{{{name}}}'}
        for name in trained
      },
      'reward': {**tune, 'learn.kind': 'reinforce'},
      'preference': {**tune, 'learn.kind': 'dpo'},
      'more': tune,
    },
    seeds=(0,) if smoke else (0, 1, 2),
  )
  return c


def _probe(smoke: bool) -> dict[str, float]:
  """See calibration.semantic.probe.ProbeConfig."""
  return dict(
    penalty=1e-4,
    iterations=5 if smoke else 100,
    rank=2 if smoke else 8,
    steps=4 if smoke else 200,
    batch=8 if smoke else 128,
    rate=3e-3,
    left_out=0.2,
    look=2 if smoke else 10,
  )
