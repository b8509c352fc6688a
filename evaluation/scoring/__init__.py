"""From the records and maps of a run to `results.json`: images, pixels, defect types."""
