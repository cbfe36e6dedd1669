"""An OpenAI-compatible server over any tokenizer and engine, as a library."""

from engine import public

__getattr__, __dir__, __all__ = public.names(
  __name__,
  {
    'backend': ('Backend',),
    'server': ('make_server',),
    'request': ('ApiError',),
  },
)
