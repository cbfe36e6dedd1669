"""Masked-diffusion language models: when to unmask, by rule or by policy.

Sections and equations are those of docs/papers/diffusion_sampler.md.
"""
