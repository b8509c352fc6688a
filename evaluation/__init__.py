"""Metrics and runs over labelled data; imports `vlm_inspect`, never the other way."""
