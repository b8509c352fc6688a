"""Damaged files of every kind that the program reads back: a clear line and exit 2, or a right result.

Thousands of them, from a seed:

mutants.py   how a file is damaged: bytes, keys and values of JSON and YAML, cells of a database
kinds.py     the kinds of files, each with a command that reads it
__main__.py  python -m benchmarks.fuzz [KIND]... [--mutants N] [--seed S]
"""
