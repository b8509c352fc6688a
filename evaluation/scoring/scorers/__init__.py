"""The scorers, one kind a module; each registers itself (`registry.py`), and nothing else names it."""
