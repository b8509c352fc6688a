"""`Standing`: where the score of one part stands between the bounds of its class."""

from collections.abc import Sequence
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from vlm_inspect.sensitivity.learning import Decision
from vlm_inspect.sensitivity.probability import ScoreOdds
from vlm_inspect.sensitivity.record import Sensitivity
from vlm_inspect.sensitivity.whole_surface import WholeLay, combined, is_by_whole


class Standing(BaseModel):
    """The log score of a part, 0 for the usual one, and what it is held against."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    log_score: float
    ok_below: float | None
    """None: no OK can be earned."""
    ng_above: float
    slope: float
    even: float
    """P(anomalous) is logistic: 0.5 at `even`; see `ScoreOdds`."""
    by_whole: bool = False
    """Whether the surface as a whole holds the part up more than its oddest places do."""
    places: float | None = None
    """The log score of its oddest places alone; None in records of earlier versions."""
    wholes: tuple[float, ...] = ()
    """(K,): log scores of the surface as a whole by each channel that looks at it, before they are laid over that."""
    sensitivity: Sensitivity

    @property
    def probability(self) -> float:
        """P(anomalous) of the part in [0, 1], before any model is asked."""
        return self._odds.probability(self.log_score)

    @property
    def ok_below_probability(self) -> float | None:
        """P(anomalous) at the bound of OK."""
        return None if self.ok_below is None else self._odds.probability(self.ok_below)

    @property
    def ng_above_probability(self) -> float:
        """P(anomalous) at the bound of NG."""
        return self._odds.probability(self.ng_above)

    @property
    def outcome(self) -> Literal["OK", "REVIEW", "NG"]:
        """What the bounds alone say."""
        if self.log_score > self.ng_above:
            return "NG"
        return "OK" if self.ok_below is not None and self.log_score <= self.ok_below else "REVIEW"

    def shifted(self, by: float) -> Self:
        """Return the standing of a part whose log score is higher by this."""
        places = None if self.places is None else self.places + by
        return self.model_copy(update={"log_score": self.log_score + by, "places": places})

    def relaid(self, lays: Sequence[WholeLay | None] | None) -> Self:
        """Return the standing with scores of the surface as a whole that are laid as a calibration says.

        Args:
            lays: (K,), None for a channel that is not heard; None: as it is, and so are records of earlier versions.
        """
        if lays is None or self.places is None or len(lays) != len(self.wholes):
            return self
        wholes = np.array(self.wholes)
        log_score = float(combined(np.array(self.places), wholes, lays))
        return self.model_copy(update={"log_score": log_score, "by_whole": is_by_whole(self.places, wholes, lays)})

    def probability_of(self, log_score: float) -> float:
        """Return P(anomalous) of a part with another log score."""
        return self._odds.probability(log_score)

    @property
    def _odds(self) -> ScoreOdds:
        return ScoreOdds(self.slope, self.even)


def standing_of(log_scores: NDArray[np.float64], decision: Decision, sensitivity: Sensitivity) -> Standing:
    """Return the standing of a part with these log scores (C,)."""
    bounds, judged = decision.bounds, decision.judged(log_scores)
    return Standing(
        log_score=float(decision.combine(log_scores)),
        by_whole=is_by_whole(float(judged[0]), judged[1:], decision.whole.lays),
        places=float(judged[0]),
        wholes=tuple(judged[1:].tolist()),
        ok_below=bounds.ok_below if bounds.earns_ok else None,
        ng_above=bounds.ng_above,
        slope=decision.odds.slope,
        even=decision.odds.even,
        sensitivity=sensitivity,
    )
