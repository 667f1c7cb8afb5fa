"""Metrics, calibration and benchmark protocols; free of torch, so that a device can run them."""
