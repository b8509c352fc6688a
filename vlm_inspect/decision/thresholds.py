"""`Thresholds`: the scores between which lies doubt, and the weights of model and heatmap."""

from collections.abc import Sequence
from dataclasses import dataclass

from vlm_inspect.errors import CalibrationError
from vlm_inspect.sensitivity.record import Sensitivity
from vlm_inspect.sensitivity.whole_surface import WholeLay

_NO_OK = 0.0005


@dataclass(frozen=True)
class Thresholds:
    """How a fused score becomes an outcome, and how model and heatmap are weighed."""

    ok_below: float = 0.3
    ng_above: float = 0.6
    """Between the two lies doubt: REVIEW. OK needs more than staying inside the tolerance: docs/results.md shows what
    a lower or higher bound would let through."""
    model_weight: float = 0.5
    heatmap_weight: float = 0.5
    """Weights of the two log-odds in the fused score."""
    calibrated: bool = False
    """True when they come from a calibration file."""
    box_trust: float | None = None
    """Share of the model's sure boxes that mean the right place, kept from a benchmark; None: not known."""
    sensitivity: Sensitivity | None = None
    """Which planted defects these thresholds would have held up; None: not known."""
    whole: tuple[WholeLay | None, ...] | None = None
    """How scores of the surface as a whole are laid over that of odd places; None: as the references say."""
    made_with: "MadeWith | None" = None
    """What the calibration file was made with; None: they come from none."""

    @property
    def leave_no_ok(self) -> bool:
        """Whether no part can be OK: the bound is so low that it is written 0.000."""
        return self.ok_below < _NO_OK


@dataclass(frozen=True)
class MadeWith:
    """What the scores of a calibration file rest on, beside its rule book and references."""

    path: str
    """The file."""
    judged_by: tuple[str, ...]
    """See `FittedClass.judged_by`."""

    def check(self, judged_by: Sequence[str]) -> None:
        """Make sure that parts are judged as the file's were.

        Raises:
            CalibrationError: they are not; the message names the first difference.
        """
        if self.judged_by == tuple(judged_by):
            return
        was = [one for one in self.judged_by if one not in judged_by] or ["nothing else"]
        now = [one for one in judged_by if one not in self.judged_by] or ["nothing else"]
        raise CalibrationError(
            f"{self.path} was made with {was[0]}, and parts are judged by {now[0]} here, so its thresholds do not "
            "hold; run vlm-inspect calibrate again"
        )
