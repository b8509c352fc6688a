"""`Sensitivity`: what a class's references can tell, as it is said, drawn and put into the JSON of an inspection."""

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from vlm_inspect.sensitivity.pod import CONFIDENCE, POD, PodCurve, fit_pod

_MOST_PCT = 100.0
NO_SIZE = "a change of the whole surface has no size"


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Detection(_Record):
    """How often planted defects of one kind, or of all, were found, and from which size on nine in ten."""

    size_pct: float | None = Field(ge=0.0, le=_MOST_PCT)
    """a90/95 in per cent of the part's longer side (of a curve, and of what goes wrong in a clip in time, of its
    length); None: see `reason`. A change of the whole surface has no size."""
    size_mm: float | None
    """The same in the unit of the scan, or in seconds of a curve; None where the scale is not known."""
    found: int
    planted: int
    reason: str = ""

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if not 0 <= self.found <= self.planted:
            raise ValueError(f"{self.found} of {self.planted} planted defects cannot have been found")
        return self


class CurvePoint(_Record):
    """One point of the curve of all kinds together."""

    size_pct: float
    pod: float
    lower: float
    upper: float


class Sensitivity(_Record):
    """Which planted defects the references of a class would have held up: not OK."""

    pod: float = POD
    confidence: float = CONFIDENCE
    size_pct: float | None = Field(ge=0.0, le=_MOST_PCT)
    """a90/95 of all kinds together that have a size; None: see `reason`."""
    size_mm: float | None
    unit: str = ""
    """Of `size_mm`: that of the scan, or s of a curve; empty where no size has one, and in cases of older versions."""
    by_kind: dict[str, Detection]
    planted: int
    found: int
    references: int
    earns_ok: bool
    """Whether a part can come out OK at all."""
    matters_pct: tuple[float, float]
    """The sizes that decide about an OK."""
    missed: float
    """Share of the planted defects of these sizes that would be called OK; where no OK can be earned, that would be
    if every usual part were."""
    curve: tuple[CurvePoint, ...] = ()
    reason: str = ""


def record_sensitivity(
    kinds: Sequence[str],
    sizes: NDArray[np.float64],
    found: NDArray[np.bool_],
    *,
    references: int,
    earns_ok: bool,
    matters: tuple[float, float],
    missed: float,
    unit_per_share: float | None,
) -> Sensitivity:
    """Return the record of m planted defects.

    Args:
        kinds: (m,).
        sizes: (m,), shares of the part's longer side; NaN of a change of the whole surface, which has none.
        found: (m,), which would not have been OK.
        references: how many there are.
        earns_ok: whether a part can come out OK.
        matters: least and greatest of the sizes that decide.
        missed: see `Sensitivity`.
        unit_per_share: length of the longer side in the unit of the scan, of a curve in seconds; None: not known.
    """
    whole = np.isnan(sizes)
    together = fit_pod(sizes[~whole], found[~whole])
    names = np.array(kinds)
    by_kind = {}
    for kind in dict.fromkeys(kinds):
        own = names == kind
        by_kind[kind] = (
            _without_size(found[own]) if whole[own].any() else _detect(sizes[own], found[own], unit_per_share)
        )
    every = _detection(together, found[~whole], unit_per_share)
    return Sensitivity(
        size_pct=every.size_pct,
        size_mm=every.size_mm,
        by_kind=by_kind,
        planted=len(found),
        found=int(found.sum()),
        references=references,
        earns_ok=earns_ok,
        matters_pct=(100 * matters[0], 100 * matters[1]),
        missed=missed,
        curve=() if together is None else _points(together),
        reason=every.reason,
    )


def _without_size(found: NDArray[np.bool_]) -> Detection:
    return Detection(size_pct=None, size_mm=None, found=int(found.sum()), planted=len(found), reason=NO_SIZE)


def _detect(sizes: NDArray[np.float64], found: NDArray[np.bool_], unit_per_share: float | None) -> Detection:
    return _detection(fit_pod(sizes, found), found, unit_per_share)


def _detection(curve: PodCurve | None, found: NDArray[np.bool_], unit_per_share: float | None) -> Detection:
    size = None if curve is None else curve.a90_95
    reason = f"only {len(found)} were planted" if curve is None else curve.reason
    return Detection(
        size_pct=None if size is None else round(100 * size, 2),
        size_mm=None if size is None or unit_per_share is None else round(size * unit_per_share, 4),
        found=int(found.sum()),
        planted=len(found),
        reason="" if size is not None else reason,
    )


def _points(curve: PodCurve) -> tuple[CurvePoint, ...]:
    rows = zip(curve.sizes, curve.curve, curve.lower, curve.upper, strict=True)
    return tuple(
        CurvePoint(size_pct=100 * float(size), pod=float(pod), lower=float(lower), upper=float(upper))
        for size, pod, lower, upper in rows
    )
