"""Which split a document belongs to, whatever else its corpus holds."""

import hashlib

SPLITS = ('train', 'validation', 'test')


def split_of(key: str) -> str:
  """The split of a document, 90/5/5 by the SHA-256 of its title."""
  digest = hashlib.sha256(key.encode('utf-8')).digest()
  part = int.from_bytes(digest[:8], 'big') / 2**64
  return 'train' if part < 0.9 else 'validation' if part < 0.95 else 'test'
