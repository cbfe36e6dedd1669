"""Where the tests find their files."""

import pathlib
import shutil

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Tiny checkpoints, with what transformers makes of them (make_peers.py).
PEERS = ROOT / 'tests' / 'lm' / 'peers'
TOKENS = PEERS / 'tokens'
# What runs, recordings and sweeps of an earlier release wrote.
FIXTURES = ROOT / 'tests' / 'fixtures' / 'old'


def old_recording(name: str, folder: pathlib.Path) -> pathlib.Path:
  """A copy of an old recording, beside a copy of the model that was asked."""
  shutil.copytree(FIXTURES / 'recordings' / name, folder / name)
  shutil.copytree(FIXTURES / 'recordings' / 'tiny', folder / 'tiny')
  for file in ('tokenizer.json', 'tokenizer_config.json'):
    shutil.copy(TOKENS / file, folder / 'tiny')
  return folder / name
