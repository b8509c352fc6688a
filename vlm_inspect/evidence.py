"""`Evidence`: all that was measured before the model is asked."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from converters.view import BoxXyxyn, Place
from vlm_inspect.frame_curve import FrameCurve
from vlm_inspect.sample_curve import SampleCurve
from vlm_inspect.sensitivity.standing import Standing
from vlm_inspect.tolerance import Tolerance

BACKGROUND = "background"
"""Source of regions that lie beside the part, where no map has a value."""


@dataclass(frozen=True, eq=False)
class TypeMap:
    """Which defect each place of a view looks like."""

    words: tuple[str, ...]
    """K defect words."""
    values: NDArray[np.float32]
    """(K, h, w) in [0, 1]: P of each word by place, on a coarse grid over the view."""
    names: bool = True
    """Whether a place may be called by them: False of a method that has not shown that it tells kinds apart."""


@dataclass(frozen=True)
class Phrases:
    """Why a method that judges by sentences finds a picture anomalous."""

    nearest: tuple[tuple[str, float], ...]
    """The sentences of an anomalous part nearest to the picture, each with its cosine in [-1, 1], best first."""
    normal: float
    """The mean cosine of the sentences of a normal part that count for the picture: what lies beyond it speaks for an
    anomaly."""


@dataclass(frozen=True, eq=False)
class AnomalyMap:
    """Anomaly scores of one view.

    `values` is float32, HW of the view, >= 0, higher = more anomalous, 0 where the view's mask is False. `score` is the
    raw score of the whole view in the same unit as `values`: their maximum, unless the method scores the view as a
    whole. With a `tolerance` (from normal samples) the map is calibrated: `tolerance.probability(score)` is
    P(anomalous).
    """

    view: int
    values: NDArray[np.float32]
    score: float
    source: str
    """Who made it: "memory", "rarity", "deviation", "alfa"."""
    unit: str = ""
    """"mm" for the deviation of a scan; "nats" for text-driven methods, -ln P(normal); "" for feature distances."""
    tolerance: Tolerance | None = None
    peak_tolerance: Tolerance | None = None
    """Tolerance of the highest of `values`, where `score` is no maximum of them."""
    nearest_reference: int | None = None
    """Index of the reference that this view resembles most."""
    matches: NDArray[np.float32] | None = None
    """(h, w, 4) of a coarse grid over the view: reference index, reference view index, and x, y in [0, 1] on that view
    of the place that matches the grid cell best; NaN where there is none."""
    types: TypeMap | None = None
    phrases: Phrases | None = None
    """Of a method that judges by sentences, of the most anomalous picture of the view."""
    notes: tuple[str, ...] = ()
    """What the method has to say of the view: phrases that speak for an anomaly, a fallback that was taken."""
    normal_scores: tuple[float, ...] = ()
    """`score` of every reference, each judged without itself: what `tolerance` was made of."""
    normal_peaks: tuple[float, ...] = ()
    """Likewise the highest of `values`; empty where that is the score."""

    @property
    def tolerance_of_places(self) -> Tolerance | None:
        """The tolerance that single places are held against."""
        return self.peak_tolerance or self.tolerance

    @property
    def by_words(self) -> bool:
        """Whether words for damage play a part in it."""
        return self.unit == "nats" or self.types is not None

    @property
    def probability(self) -> float | None:
        """P(anomalous) of the view in [0, 1], or None when uncalibrated."""
        return None if self.tolerance is None else self.tolerance.probability(self.score)


@dataclass(frozen=True, eq=False)
class SurfaceDeviation:
    """How far every point of a scan is from its references."""

    points: NDArray[np.float64]
    """(N, 3): the scan as it was read, in its own coordinates and unit."""
    signed: NDArray[np.float64]
    """(N,), in `unit`: positive is material too much, negative too little."""
    spreads: NDArray[np.float64]
    """(N,), >= 0: the same in normal spreads of the place, which says how unusual it is."""
    typical: float
    """A usual normal spread, in `unit`."""
    unit: str


@dataclass(frozen=True)
class ReferenceMatch:
    """The same place on the nearest reference."""

    reference: int
    view: int
    box_xyxyn: BoxXyxyn


@dataclass(frozen=True)
class Region:
    """A connected hot area of an anomaly map."""

    view: int
    box_xyxyn: BoxXyxyn
    peak_xyn: tuple[float, float]
    score: float
    """Calibrated: P(anomalous) of its peak. Uncalibrated: the peak's rank among the view's values. In [0, 1]."""
    area: float
    """Fraction of the view, in [0, 1]."""
    source: str
    calibrated: bool
    place: Place
    match: ReferenceMatch | None = None
    defect_type: str | None = None
    """A word of the rule book's vocabulary, where something names it."""
    note: str = ""
    """What was measured there, in words: "0.82 mm above the reference"."""


@dataclass(frozen=True)
class Measurement:
    """The value of one check. `passed` is None when it could not be measured; `reason` then says why."""

    rule_id: str
    measure: str
    value: float | None
    unit: str
    passed: bool | None
    reason: str


@dataclass(frozen=True, eq=False)
class WordedMaps:
    """The maps of a part, made again with words that were said of it: of a localizer with an open vocabulary."""

    words: tuple[str, ...]
    """What was added to the vocabulary of the first maps."""
    maps: tuple[AnomalyMap, ...]
    regions: tuple[Region, ...]
    """Hottest first."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """Maps, regions, measurements and the references that they rest on."""

    maps: tuple[AnomalyMap, ...] = ()
    regions: tuple[Region, ...] = ()
    """Hottest first."""
    measurements: tuple[Measurement, ...] = ()
    reference_count: int = 0
    localizer: str = "none"
    notes: tuple[str, ...] = field(default=())
    """What an engineer should know: points dropped, tiles left out, frames chosen."""
    mismatch: str = ""
    """What the input shows instead of the part of its references, in sentences: another unit, a mirror image, a piece,
    several parts, another part, other channels; or what lies beside the part, and what is otherwise with all of it. ""
    where it shows that part, or nobody could tell."""
    standing: Standing | None = None
    """Where the score of the part stands between the bounds of its class; None where the references cannot tell."""
    incomplete: bool = False
    """The class has bounds, but some view of this part has no reference: what was compared says nothing of the rest."""
    worded: WordedMaps | None = None
    """What the maps become with words that the model or the engineer used; None: none of them is new, or words cannot
    be chosen. The prompt rests on `maps` and `regions`; what is decided after it, on these."""
    surface: SurfaceDeviation | None = None
    """Of a scan that was compared with reference scans, for `--ply`: points by the hundred thousand, which a case does
    not keep."""
    curve: FrameCurve | None = None
    """Of a clip, for `--curve`: a number for every frame, which a case does not keep."""
    sample_curve: SampleCurve | None = None
    """Likewise of a sensor curve, for every sample; its events a case keeps."""

    @property
    def latest_maps(self) -> tuple[AnomalyMap, ...]:
        """The maps with all words that were said, where there are such; else the first ones."""
        return self.maps if self.worded is None else self.worded.maps

    @property
    def latest_regions(self) -> tuple[Region, ...]:
        """Likewise the regions, hottest first."""
        return self.regions if self.worded is None else self.worded.regions

    @property
    def calibrated(self) -> bool:
        """True when there is a map and every map has a tolerance, or bounds say what the part's score means."""
        return self.standing is not None or self._tolerated

    @property
    def _tolerated(self) -> bool:
        return bool(self.maps) and all(m.tolerance is not None for m in self.maps)

    @property
    def probability(self) -> float | None:
        """P(anomalous) of the part in [0, 1]: by its bounds, else of the hottest calibrated map; None: not known."""
        if self.standing is not None:
            return self.standing.probability
        known = [p for m in self.maps if (p := m.probability) is not None]
        return max(known, default=None)

    @property
    def has_hot_place(self) -> bool:
        """Whether a place exceeds its own bound, whatever the part as a whole does."""
        return any(region.calibrated and region.score >= 0.5 for region in self.regions)

    @property
    def status(self) -> Literal["within", "exceeded", "unknown"]:
        """Whether the part stays inside what normal ones reach: exceeded beats unknown beats within."""
        if self.standing is not None:
            return "exceeded" if self.standing.outcome == "NG" else "within"
        if any((p := m.probability) is not None and p >= 0.5 for m in self.maps):
            return "exceeded"
        return "within" if self.calibrated and not self.incomplete else "unknown"
