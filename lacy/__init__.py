"""LaCy: which tokens to learn, and which to delegate."""
