"""P(anomalous) of a score: a logistic curve in the log score, between normal parts and parts with planted defects."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PRIOR_ODDS = 1.0
"""Of anomalous to normal among the parts that are judged, before a part is looked at."""
_RIDGE = 0.02
"""Weight of the penalty on the slope: plants that lie apart from all normal scores must not make it infinite."""
_STEPS = 60


@dataclass(frozen=True)
class ScoreOdds:
    """log-odds = `slope` (log score - `even`); `even` is where both are equally likely."""

    slope: float
    even: float

    def probability(self, log_score: float) -> float:
        """Return P(anomalous) in [0, 1] of a log score (-inf included)."""
        z = self.slope * (log_score - self.even)
        return 1.0 / (1.0 + math.exp(-z)) if z > -700 else 0.0


def learn_odds(normal: NDArray[np.float64], planted: NDArray[np.float64]) -> ScoreOdds:
    """Return the logistic curve between equally weighted normal (n,) and planted (m,) log scores.

    Maximum likelihood with a ridge on the slope in units of the normal scores' deviation (Hosmer & Lemeshow, Applied
    Logistic Regression, chapter 1), by Newton steps. The slope is never negative.
    """
    middle, scale = float(normal.mean()), max(float(normal.std()), 1e-3)
    x = np.concatenate([(normal - middle) / scale, (planted - middle) / scale])
    y = np.concatenate([np.zeros(len(normal)), np.ones(len(planted))])
    weight = np.where(y > 0, PRIOR_ODDS / len(planted), 1.0 / len(normal))
    design = np.column_stack([np.ones_like(x), x])
    beta = np.array([-1.0, 1.0])
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-np.clip(design @ beta, -30, 30)))
        gradient = design.T @ (weight * (y - p)) - np.array([0.0, _RIDGE * beta[1]])
        curvature = design.T @ (design * (weight * p * (1 - p))[:, None]) + np.diag([1e-9, _RIDGE])
        step = np.linalg.solve(curvature, gradient)
        beta += np.clip(step, -2, 2)
        if float(np.abs(step).max()) < 1e-9:
            break
    slope = max(float(beta[1]), 1e-3)
    return ScoreOdds(slope / scale, middle - float(beta[0]) / slope * scale)
