"""Calibration: what confidences mean, and how uncertainty is judged."""
