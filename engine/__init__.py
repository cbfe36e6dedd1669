"""How anything runs: one loop, one mesh, one checkpoint."""
