"""Measurements beside peers; each writes one file of docs/results."""
