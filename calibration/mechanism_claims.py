"""What the mechanism should show, as numbers over seeds, from its summaries.

docs/papers/semantic_calibration.md section 7.1, (i) to (v). A claim's name says
which sign or size would make it hold. Nothing here knows whether it ought to.
"""

from collections.abc import Mapping, Sequence
from typing import Any

COLUMNS = (
  ('accuracy_exact', 'accuracy', '.3f'),
  ('accuracy_best', 'best', '.3f'),
  ('confidence', 'confidence', '.3f'),
  ('smece', 'smECE', '.3f'),
  ('null', 'null floor', '.3f'),
  ('smece_exact', 'exact', '.3f'),
  ('gap_signed', 'gap', '+.3f'),
  ('gap_measured', 'to gain', '.4f'),
  ('kl_linear', 'KL linear', '.3f'),
  ('kl_lora', 'KL LoRA', '.3f'),
)


def claims(
  summaries: Mapping[str, Sequence[Mapping[str, Any]]],
) -> dict[str, list[float]]:
  """[mean, lowest, highest] over seeds of every claim that can be made."""
  del summaries
  return {}
