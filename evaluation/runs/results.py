"""`results.json` and `items.jsonl`: the names of the files, and what stands in them."""

RESULTS, ITEMS = "results.json", "items.jsonl"
UNCALIBRATED = 0.5
"""Threshold of accuracy, misses and overkills without a calibration file."""
