"""The type checker of the tests: shapes and dtypes of arrays, nothing else.

What a config may hold is checked by the code, with a message for its reader;
a checker that came first would hide that.
"""

import typing

import beartype
import jaxtyping


def _names_array(hint) -> bool:
  if isinstance(hint, type) and issubclass(hint, jaxtyping.AbstractArray):
    return True
  return any(map(_names_array, typing.get_args(hint)))


def check(function):
  """`function`, raising where an array does not fit its annotation.

  A class is let be: JAX rebuilds a node with whatever it carries at the time
  (shardings, shapes, None) in place of arrays.
  """
  if function.__name__ == '__init__':
    return function
  function.__annotations__ = {
    name: hint
    for name, hint in function.__annotations__.items()
    if _names_array(hint)
  }
  return beartype.beartype(function)
