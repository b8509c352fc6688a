"""`vlm-inspect bench`: a data set in, a journal of judged items and its results out.

run.py        READ FIRST: from the options of the command to a finished run
assembly.py   a run, put together and checked
plan.py       which items, references and rules; whether that is honest
settings.py   what a run is, and how it is carried out
asking.py     the model, asked within the limits of the run
runner.py     tasks to journalled records: threads, limits, retries of nothing that is done
examiner.py   one task from a file to its record
cluster/      the same on a Ray cluster
journal.py    what is done (SQLite); reply_cache.py: what was paid for; item_files.py: maps and previews beside them
"""
