"""Pages of docs/ that are written from the code: rules, JSON and the drawing of imports.

`python -m recipes.reference_pages` writes them; a test says whether they are current.
"""
