"""Calibration: what confidences mean, and how uncertainty is judged.

A paper a wing (`semantic`, `length_bias`) over shared rooms.
"""
