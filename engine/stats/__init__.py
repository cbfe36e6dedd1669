"""Statistics that several papers share, each once."""
