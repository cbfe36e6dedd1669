"""Question sets as lists of one record, and what answers count as right."""

from engine import public

__getattr__, __dir__, __all__ = public.names(
  __name__,
  {
    'question': ('Question',),
    'tasks': (
      'Task',
      'group',
    ),
    'latex_grading': (
      'gsm8k_correct',
      'math_correct',
    ),
  },
)
