"""Scans laid onto each other and compared: poses, surfaces, signed deviations, and what is no match at all."""
