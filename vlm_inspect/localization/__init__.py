"""Anomaly maps: where a view differs from normal."""
