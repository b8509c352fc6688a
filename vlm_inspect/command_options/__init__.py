"""What commands share: kinds of paths, progress, and the options of an inspection.

groups.py      options in groups, and the environment variables, in --help
general.py     paths that are not empty, --quiet and --debug, progress on stderr
inspector.py   the options of an inspection, as one InspectorConfig
"""
