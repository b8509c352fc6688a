"""Defects planted on normal pictures and scans: what shows, before any part is judged, which defects would be seen."""
