"""How anything runs: one loop, one mesh, one checkpoint."""

from engine import public

__getattr__, __dir__, __all__ = public.names(
  __name__,
  {
    'experiment': (
      'Experiment',
      'TrainState',
    ),
    'loop': ('RunConfig',),
    'mesh': ('MeshConfig',),
    'optim': ('OptimConfig',),
    'metrics': ('Mean',),
    'checkpoint': ('restore_params',),
    'progress': ('Progress',),
    'stop': ('Interrupted',),
  },
)
