"""Which rows of a batch go on when many are finished.

Shapes: C rows of what lies beneath, G rows that share one of them.
"""

import numpy as np


def kept(done: np.ndarray, fewest: int) -> np.ndarray:
  """The unfinished rows and some more, as many of each that share one.

  Both numbers are powers of two or what they were, so that few programs serve
  all.

  Args:
    done: [C, G], not all.
    fewest: rows that are kept, if there are so many.

  Returns:
    [c, g] places in the flattened `done`, each c of one C.
  """
  count, each = done.shape

  def bucketed(wanted, most):
    return min(most, 1 << (int(wanted) - 1).bit_length())

  busy_C = (~done).sum(1)
  shared = bucketed((busy_C > 0).sum(), count)
  size = bucketed(max(busy_C.max(), -(-fewest // shared)), each)
  chosen = np.sort(np.argsort(busy_C == 0, kind='stable')[:shared])
  places = np.argsort(done[chosen], 1, kind='stable')[:, :size]
  return chosen[:, None] * each + places
