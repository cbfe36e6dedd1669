"""Does a text say what a model's answers are? (arXiv 2505.20295)."""

from engine import public

__getattr__, __dir__, __all__ = public.names(
  __name__,
  {
    'masking': ('mask', 'tasks'),
    'metric': ('Judge',),
    'distances': ('total_variation', 'question_score', 'dataset_score'),
    'experiment': ('build',),
  },
)
