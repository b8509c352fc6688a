"""How a run is carried out: from tasks to journalled records.

runner.py     READ FIRST: threads, limits, and what is done with each task
examiner.py   one task from a file to its record
asking.py     the model, asked within the limits of the run: spending.py, token_rate.py, reply_cache.py
journal.py    what is done (SQLite); item_files.py: maps and previews beside it
cluster/      the same on a Ray cluster
"""
