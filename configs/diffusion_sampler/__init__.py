"""Configs of diffusion_sampler."""
