"""Any input file to a sample, and a sample to views.

    convert(path) == render(read(path))

`READERS` and `RENDERERS` are the whole registry: one entry a kind. Which kind a file is, is told from its content
(`detect_kind`), so that a `.csv` of x, y, z columns is a cloud and any other `.csv` a series.
"""
