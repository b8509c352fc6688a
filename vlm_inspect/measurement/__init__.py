"""Measurements: one small function per measurable check."""
