"""A run as data: what is asked (`plan.py`), what the results rest on (`settings.py`), what came of it."""
