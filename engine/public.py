"""What a package offers its callers, named in one place and loaded when used.

An `__init__.py` that imported its modules would load JAX for whoever only
draws, and would turn an import of a neighbour into a circle.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence


def names(
  package: str, modules: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:
  """Returns `__getattr__`, `__dir__` and `__all__` of a package (PEP 562).

  Args:
    package: its name, `__name__`.
    modules: public names by the module, relative to `package`, that has them.
      No name may be that of a module of the package: Python would replace it
      with the module.
  """
  home = {name: module for module, names in modules.items() for name in names}

  def getattr_(name: str) -> object:
    if name not in home:
      raise AttributeError(f'module {package!r} has no attribute {name!r}')
    return getattr(importlib.import_module(f'{package}.{home[name]}'), name)

  return getattr_, lambda: sorted(home), sorted(home)
