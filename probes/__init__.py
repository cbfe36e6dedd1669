"""Whether truth has one geometry (arXiv 2506.08572)."""

from engine import public

__getattr__, __dir__, __all__ = public.names(
  __name__,
  {
    'experiment': ('build',),
    'worlds': ('World',),
  },
)
