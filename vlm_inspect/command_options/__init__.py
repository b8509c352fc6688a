"""What commands share: kinds of paths, progress, and the options of an inspection.

general.py     paths that are not empty, --quiet and --debug, progress on stderr
inspector.py   the options of an inspection, as one InspectorConfig
"""
