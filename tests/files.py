"""Where the tests find their files."""

import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Tiny checkpoints, with what transformers makes of them (make_peers.py).
PEERS = ROOT / 'tests' / 'lm' / 'peers'
TOKENS = PEERS / 'tokens'
# What runs, recordings and sweeps of an earlier release wrote.
FIXTURES = ROOT / 'tests' / 'fixtures' / 'old'
