"""Painted pictures with painted defects: surfaces and parts from formulas, with exact masks of what is wrong."""
