"""One compiled loop that writes an answer, whatever the rule."""

from engine import public

__getattr__, __dir__, __all__ = public.names(
  __name__,
  {
    'canvas': (
      'Layout',
      'Canvas',
    ),
    'denoiser': (
      'Denoiser',
      'of_transformer',
    ),
    'decode': (
      'Decoded',
      'sample',
    ),
    'rules': ('KINDS',),
  },
)
