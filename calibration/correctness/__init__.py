"""Whether an answer is right, by seven functions."""
