"""Masked-diffusion language models: when to unmask, by rule or by policy."""
