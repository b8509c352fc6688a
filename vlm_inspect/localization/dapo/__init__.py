"""DAPO: defect words with learned context, over two frozen towers (arXiv 2512.09446).

Words enter by `vocabulary.py` and `wording.py`, pictures by `vision_path.py`; `model.py` joins them. Train with
`method.py`, use with `loading.py`: `load_dapo(file, encoder)` returns a judge.
"""
