"""LaCy: the demo, the synthetic biographies, the paper's size."""
