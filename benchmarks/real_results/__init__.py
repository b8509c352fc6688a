"""`make results`: what the offline default reaches on real data, written into docs/results/bench.md.

data_sets.yaml   what is measured, and what others have published about it
data_set.py      the same, read and checked
runs.py          one `vlm-inspect bench` run a data set and number of references
section.py       READ FIRST: all runs to the text between two marks of docs/results/bench.md
tables.py        results.json to lines of Markdown
"""
