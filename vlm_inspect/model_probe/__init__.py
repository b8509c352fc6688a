"""What a model can do, found out by asking it: `probe_model(backend)` returns a `ModelReport`.

pictures.py   the pictures: a disc in a grid, plain colours, a plate with and without a defect
box_habit.py  in what unit and order it writes a box
questions.py  the requests, and what their answers are worth
probe.py      the steps in order, and the report
"""

from vlm_inspect.model_probe.probe import ModelReport, PairAnswer, probe_model

__all__ = ["ModelReport", "PairAnswer", "probe_model"]
