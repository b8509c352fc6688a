"""`vlm-inspect bench`: a data set in, a folder of results out.

run.py        READ FIRST: from the options of the command to a finished run
assembly.py   a run, put together and checked
dry_run.py    what would be asked
progress.py   what is shown meanwhile
"""
