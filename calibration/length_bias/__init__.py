"""What answer length does to how uncertainty is judged (arXiv 2504.13677)."""

from engine import public

__getattr__, __dir__, __all__ = public.names(
  __name__,
  {
    'theory': (
      'observed_auroc',
      'true_auroc',
    ),
    'controlled': (
      'stratified_auroc',
      'partial_auroc',
    ),
    'world': ('World',),
    'experiment': ('build',),
  },
)
