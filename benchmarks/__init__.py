"""Measurements of speed and memory, see `make bench`; real_results: accuracy on real data, see `make results`."""
