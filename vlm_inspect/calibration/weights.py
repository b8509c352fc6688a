"""How much model and heatmap count: the weights of the pool, learnt where labelled anomalous parts are given.

The score is a weighted mean of two log-odds (`decision/fusion.py`), so the weights are those of a logistic regression
without intercept on them. They are kept from going below 0, since neither opinion shall count against itself, and held
to the equal weights by a ridge that is worth a few samples: ten parts must not decide that a model is worthless.
"""

from collections.abc import Sequence

import numpy as np

from vlm_inspect.errors import CalibrationError

RIDGE = 2.0
"""Strength of the pull to equal weights."""
LEAST_ANOMALOUS = 5


def learn_weights(log_odds: Sequence[tuple[float, float]], anomalous: Sequence[bool]) -> tuple[float, float]:
    """Return the weights of model and heatmap, which sum to 1.

    Args:
        log_odds: of each part, those of the model and of the heatmap.
        anomalous: of each part, whether it is.

    Raises:
        CalibrationError: too few anomalous or normal parts to learn from.
    """
    from scipy.optimize import minimize

    x, y = np.asarray(log_odds, np.float64).reshape(-1, 2), np.asarray(anomalous, bool)
    few = min(int(y.sum()), int((~y).sum()))
    if few < LEAST_ANOMALOUS:
        raise CalibrationError(
            f"weights of model and heatmap need at least {LEAST_ANOMALOUS} normal and {LEAST_ANOMALOUS} anomalous "
            f"parts on which both have an opinion; there are {int((~y).sum())} and {int(y.sum())}"
        )
    balance = np.where(y, 0.5 / y.sum(), 0.5 / (~y).sum()) * len(y)  # rare anomalies weigh as much as normal parts
    signs = np.where(y, 1.0, -1.0)

    def loss(weights: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
        misfit = np.logaddexp(0.0, -signs * (x @ weights))
        return float((balance * misfit).sum() + RIDGE * ((weights - 0.5) ** 2).sum())

    found = minimize(loss, np.array([0.5, 0.5]), bounds=[(0.0, None), (0.0, None)], method="L-BFGS-B").x
    total = float(found.sum())
    if total <= 1e-9:
        return 0.5, 0.5
    return float(found[0]) / total, float(found[1]) / total
