"""DAPO: defect words with learned context, over two frozen towers (arXiv 2512.09446).

Words enter by `vocabulary.py` and `wording.py`, pictures by `vision_path.py`; `model.py` joins them. It is
trained by `training/methods/dapo.py`; `loading.py`: `load_dapo(file, encoder)` returns a judge.
"""
