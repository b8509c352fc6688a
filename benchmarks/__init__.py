"""Measurements of speed and memory; see `make bench`."""
