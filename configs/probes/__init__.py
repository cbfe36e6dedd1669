"""Configs of probes."""
