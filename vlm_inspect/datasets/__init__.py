"""Data sets on disk, as lists of items."""
