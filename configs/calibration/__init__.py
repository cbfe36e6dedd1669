"""Configs of calibration."""
