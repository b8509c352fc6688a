"""Defects of model, heatmap and measurements -> one list: matched by place, merged over views, worst first."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

from converters.view import BoxXyxyn, Place, View
from vlm_inspect.evidence import Evidence, Measurement, Region
from vlm_inspect.ignored import ignored_boxes
from vlm_inspect.inspection import DefectOutcome, DefectSource
from vlm_inspect.rules import RuleBook
from vlm_inspect.verdict import Defect, Severity, Verdict
from vlm_inspect.vocabulary import SIZES, Circumstances, circumstances, name_failure, name_region, severity_of

FAILED_CHECK_SCORE = 0.97
"""P(anomalous) of a part that fails a measured rule: certain up to the error of the measurement."""
_RANK: dict[Severity, int] = {"critical": 0, "major": 1, "minor": 2}
_SAME_IOU = 0.3
_SAME_FRACTION = 0.04
"""Two places of a scan are one where they are nearer than this fraction of the part's longest side."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class DefectList:
    """What was found, worst first, and how many of the model's defects lie in ignored areas."""

    defects: tuple[DefectOutcome, ...]
    ignored: int


def collect_defects(verdict: Verdict | None, evidence: Evidence, book: RuleBook, views: Sequence[View]) -> DefectList:
    """Return every defect once, worst first.

    Args:
        verdict: the opinion, or None where the reply could not be read. One that words the evidence confirms no region.
        evidence: regions and measurements.
        book: vocabulary, severities and areas to ignore.
        views: the pictures that view numbers refer to.
    """
    named = verdict.defects if verdict is not None else ()
    counted = [d for d in named if not _is_ignored(d, book, views)]
    found: list[DefectOutcome] = []
    claimed: set[Region] = set()
    for defect in counted:
        region = _matching_region(defect, evidence.regions)
        claimed |= {region} if region is not None else set()
        found.append(_of_verdict(defect, region, verdict, views))
    hot = [r for r in evidence.regions if is_hot(r, evidence)]
    told = circumstances(hot, views, evidence.measurements)
    found += [_of_region(r, book, told) for r in hot if r not in claimed]
    measured = [_of_measurement(m, evidence, book) for m in evidence.measurements if m.passed is False]
    found = [d for d in _merge(found, views) if not any(_explains(m, d) for m in measured)] + measured
    found.sort(key=lambda d: (_RANK[d.severity], -d.score))
    return DefectList(tuple(found), ignored=len(named) - len(counted))


def _is_ignored(defect: Defect, book: RuleBook, views: Sequence[View]) -> bool:
    box, view = defect.box_xyxyn, defect.view
    if box is None:
        return False
    known = view is not None and 0 <= view < len(views)
    return lies_in(box, ignored_boxes(view, views, book.ignore) if view is not None and known else book.ignore)


def is_hot(region: Region, evidence: Evidence) -> bool:
    """Return whether a region is calibrated and exceeds its tolerance, on a map, or of a part, that does too."""
    if not region.calibrated or region.score < 0.5:
        return False
    if evidence.standing is not None and evidence.standing.outcome == "NG":
        return True
    own = [m.probability for m in evidence.maps if m.view == region.view and m.source == region.source]
    return not own or any(p is None or p >= 0.5 for p in own)


def lies_in(box: Box, areas: Iterable[Box]) -> bool:
    """Return whether more than half of a box lies in one of the areas."""
    return any(_overlap(box, area) > 0.5 * _area(box) for area in areas)


def same_place(a: Box, b: Box) -> bool:
    """Return whether two boxes of one picture mean the same place: they overlap, or one holds the other's centre."""
    return _iou(a, b) >= _SAME_IOU or _holds_centre(a, b) or _holds_centre(b, a)


def _matching_region(defect: Defect, regions: Sequence[Region]) -> Region | None:
    box = defect.box_xyxyn
    if box is None:
        return None
    near = [r for r in regions if r.view == defect.view and _points_at(box, r.box_xyxyn)]
    return max(near, key=lambda r: (_iou(box, r.box_xyxyn), r.score), default=None)


def _points_at(a: BoxXyxyn, b: BoxXyxyn) -> bool:
    """Return whether two boxes of one view mean the same place; one around half of the view points at none."""
    return _iou(a, b) >= _SAME_IOU or (max(_area(a), _area(b)) <= 0.5 and same_place(a, b))


def _of_verdict(defect: Defect, region: Region | None, verdict: Verdict | None, views: Sequence[View]) -> DefectOutcome:
    stated = defect.score if defect.score is not None else verdict.probability if verdict is not None else None
    score = 0.5 if stated is None else stated
    by_model = verdict is None or verdict.by_model
    box, place = defect.box_xyxyn, Place()
    source: DefectSource = "model"
    if region is not None and (region.calibrated or not by_model):
        box, place = region.box_xyxyn, region.place
        agreed = max(score, region.score) if region.score >= 0.5 else score
        score = agreed if by_model else region.score
        score = score if region.calibrated else 0.5  # a rank among the places of one part is no probability
        source = "heatmap" if not by_model else "both" if region.score >= 0.5 else "model"
    elif box is not None and defect.view is not None and defect.view < len(views):
        place = views[defect.view].origin.locate(box)
    return DefectOutcome(
        type=defect.type,
        severity=defect.severity,
        view=defect.view,
        box_xyxyn=box,
        score=_unit(score),
        source=source,
        description=defect.description,
        **asdict(place),
    )


def _of_region(region: Region, book: RuleBook, told: Circumstances) -> DefectOutcome:
    word = name_region(region, book, told)
    return DefectOutcome(
        type=word,
        severity=severity_of(word, book),
        view=region.view,
        box_xyxyn=region.box_xyxyn,
        score=_unit(region.score),
        source="heatmap",
        description=region.note,
        **asdict(region.place),
    )


def _of_measurement(measurement: Measurement, evidence: Evidence, book: RuleBook) -> DefectOutcome:
    rule = book.rule(measurement.rule_id)
    word = measurement.rule_id if rule is None else name_failure(measurement, rule, book)
    region = _bearing_region(measurement, word, evidence)
    return DefectOutcome(
        type=word,
        severity="major" if rule is None else rule.severity,
        view=None if region is None else region.view,
        box_xyxyn=None if region is None else region.box_xyxyn,
        score=FAILED_CHECK_SCORE,
        source="measurement",
        description=measurement.reason,
        **asdict(Place() if region is None else region.place),
    )


def _bearing_region(measurement: Measurement, word: str, evidence: Evidence) -> Region | None:
    """Return the hottest region that shows why a check failed, or None."""
    shows = "deviation" in measurement.measure or measurement.measure in SIZES
    bearing = (r for r in evidence.regions if r.defect_type == word or (shows and r.source == "deviation"))
    return next((r for r in bearing if is_hot(r, evidence)), None)


def _explains(measured: DefectOutcome, other: DefectOutcome) -> bool:
    """Return whether a failed check says what a nameless hot place of the heatmap is."""
    return (
        other.source == "heatmap"
        and other.box_xyxyn is not None
        and (other.view, other.box_xyxyn) == (measured.view, measured.box_xyxyn)
    )


def _merge(found: Sequence[DefectOutcome], views: Sequence[View]) -> list[DefectOutcome]:
    """Return one defect for each group that means the same place of the part, as seen on several views or frames."""
    extent = _part_size(views) if any(d.point_mm for d in found) else 0.0
    step_s = _frame_step_s(views) if any(d.frame is not None for d in found) else 0.0
    groups: list[list[DefectOutcome]] = []
    for defect in sorted(found, key=lambda d: -d.score):
        joined = [g for g in groups if any(_same_defect(defect, other, extent, step_s) for other in g)]
        groups = [g for g in groups if all(g is not j for j in joined)]
        groups.append([*(d for g in joined for d in g), defect])
    return [_one_of(sorted(group, key=lambda d: -d.score)) for group in groups]


def _one_of(group: list[DefectOutcome]) -> DefectOutcome:
    """Return the strongest of a group, with the model's word for it and the worst severity."""
    best, sources = group[0], {d.source for d in group}
    worded = next((d for d in group if d.source in ("both", "model")), best)
    return best.model_copy(
        update={
            "type": worded.type,
            "description": worded.description or best.description,
            "severity": min((d.severity for d in group), key=lambda s: _RANK[s]),
            "source": "both" if "both" in sources or len(sources) > 1 else best.source,
        }
    )


def _same_defect(a: DefectOutcome, b: DefectOutcome, extent_mm: float, step_s: float) -> bool:
    if a.type != b.type and "heatmap" not in (a.source, b.source):
        return False
    if a.view is not None and a.view == b.view and a.box_xyxyn and b.box_xyxyn and a.frame == b.frame:
        return _points_at(a.box_xyxyn, b.box_xyxyn)
    if a.point_mm and b.point_mm:
        sizes = max(a.size_mm or 0.0, b.size_mm or 0.0)
        return math.dist(a.point_mm, b.point_mm) <= max(_SAME_FRACTION * extent_mm, 0.5 * sizes)
    if a.frame is not None and b.frame is not None and a.frame != b.frame:
        return a.time_s is not None and b.time_s is not None and abs(a.time_s - b.time_s) <= 1.5 * step_s
    if a.source_xyxy and b.source_xyxy and a.page == b.page:
        return same_place(a.source_xyxy, b.source_xyxy)
    return False


def _part_size(views: Sequence[View]) -> float:
    """Return the longest side of a scanned part in its unit, as its views show it; 0 where none does."""
    return max((view.origin.locate((0.0, 0.0, 1.0, 1.0)).size_mm or 0.0 for view in views), default=0.0)


def _frame_step_s(views: Sequence[View]) -> float:
    """Return the usual time between two neighbouring frames that are shown, in seconds; 0 where there are no two."""
    times: set[float] = set()
    for view in views:
        height, width = view.size_hw
        for pane in view.panes:
            x0, y0, x1, y1 = pane.box_xyxy
            second = view.origin.locate((x0 / width, y0 / height, x1 / width, y1 / height)).time_s
            times |= {second} if second is not None else set()
    ordered = sorted(times)
    steps = sorted(later - earlier for earlier, later in pairwise(ordered))
    return steps[len(steps) // 2] if steps else 0.0


def _area(box: Box) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def _overlap(a: Box, b: Box) -> float:
    return _area((max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])))


def _iou(a: Box, b: Box) -> float:
    shared = _overlap(a, b)
    union = _area(a) + _area(b) - shared
    return shared / union if union > 0 else 0.0


def _holds_centre(box: Box, other: Box) -> bool:
    x, y = (other[0] + other[2]) / 2, (other[1] + other[3]) / 2
    return box[0] <= x <= box[2] and box[1] <= y <= box[3]


def _unit(score: float) -> float:
    return min(1.0, max(0.0, score)) if math.isfinite(score) else 0.5
