"""Calibration about the meaning of whole answers."""
