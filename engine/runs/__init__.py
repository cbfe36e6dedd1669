"""What runs write and how it is read again: files, logs, results."""

from engine import public

__getattr__, __dir__, __all__ = public.names(
  __name__,
  {
    'writer': (
      'Writer',
      'read_json',
      'replace',
      'write_json',
    ),
    'train_log': ('Interval',),
  },
)
