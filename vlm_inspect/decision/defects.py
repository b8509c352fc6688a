"""Defects of model, heatmap and measurements -> one list: matched by place, merged over views, worst first."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace

from converters.view import Place, View
from vlm_inspect.decision.agreement import Agreement, compare_places
from vlm_inspect.decision.ends import AXIS_OF, lies_at_end
from vlm_inspect.decision.spots import Reach, box_iou, in_groups, is_one_place, lies_in, points_at, reach_of, spot_of
from vlm_inspect.evidence import Evidence, Measurement, Region
from vlm_inspect.ignored import ignored_boxes
from vlm_inspect.inspection import DefectOutcome, DefectSource, SeenRecord
from vlm_inspect.rules import Rule, RuleBook
from vlm_inspect.verdict import Defect, Severity, Verdict
from vlm_inspect.vocabulary import SIZES, Circumstances, circumstances, name_failure, name_region, severity_of

FAILED_CHECK_SCORE = 0.97
"""P(anomalous) of a part that fails a measured rule: certain up to the error of the measurement."""
_RANK: dict[Severity, int] = {"critical": 0, "major": 1, "minor": 2}


@dataclass(frozen=True)
class DefectList:
    """What was found, worst first."""

    defects: tuple[DefectOutcome, ...]
    ignored: int
    """How many of the model's defects lie in ignored areas."""
    agreement: Agreement = field(default_factory=Agreement)
    """What regions without a tolerance say of the places that the model names."""
    unconfirmed: tuple[DefectOutcome, ...] = ()
    """Places of such regions that the model says nothing of, hottest first."""


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
    own = None if verdict is None else replace(verdict, defects=tuple(counted))
    agreement = compare_places(own, evidence, views)
    found: list[DefectOutcome] = []
    claimed: set[Region] = set()
    for defect in counted:
        region = _matching_region(defect, evidence.regions)
        claimed |= {region} if region is not None else set()
        found.append(_of_verdict(defect, region, verdict, views))
        if agreement.region_of(defect) is not None:
            found[-1] = found[-1].model_copy(update={"source": "both"})
    hot = [r for r in evidence.regions if is_hot(r, evidence)]
    told = circumstances(hot, views, evidence.measurements)
    found += [_of_region(r, book, told) for r in hot if r not in claimed]
    if agreement.elsewhere is not None:
        found.append(_pointed_at(agreement.elsewhere, book, told))
    measured = [_of_measurement(m, evidence, book, views) for m in evidence.measurements if m.passed is False]
    merged = _merge(found, views, evidence)
    found = [d for d in merged if not any(_explains(m, d) for m in measured)] + measured
    found.sort(key=lambda d: (_RANK[d.severity], -d.score))
    unconfirmed = tuple(_pointed_at(region, book, told) for region in agreement.unconfirmed)
    return DefectList(tuple(found), len(named) - len(counted), agreement, unconfirmed)


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


def _matching_region(defect: Defect, regions: Sequence[Region]) -> Region | None:
    box = defect.box_xyxyn
    if box is None:
        return None
    near = [r for r in regions if r.view == defect.view and points_at(box, r.box_xyxyn)]
    return max(near, key=lambda r: (box_iou(box, r.box_xyxyn), r.score), default=None)


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


def _pointed_at(region: Region, book: RuleBook, told: Circumstances) -> DefectOutcome:
    """Return the place that an uncalibrated heatmap points at: its rank among those of a part is no probability."""
    return _of_region(region, book, told).model_copy(update={"severity": "minor", "score": 0.5})


def _of_measurement(
    measurement: Measurement, evidence: Evidence, book: RuleBook, views: Sequence[View]
) -> DefectOutcome:
    rule = book.rule(measurement.rule_id)
    word = measurement.rule_id if rule is None else name_failure(measurement, rule, book)
    region = _bearing_region(measurement, word, evidence, _off_size(measurement, rule), views)
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


def _off_size(measurement: Measurement, rule: Rule | None) -> float:
    """Return by how much a size is beyond its limits, negative where it is too small; 0.0 of what is no size."""
    check, value = None if rule is None else rule.check, measurement.value
    if measurement.measure not in SIZES or check is None or value is None:
        return 0.0
    if check.min is not None and value < check.min:
        return value - check.min
    return value - check.max if check.max is not None and value > check.max else 0.0


def _bearing_region(
    measurement: Measurement, word: str, evidence: Evidence, off: float, views: Sequence[View]
) -> Region | None:
    """Return the hottest region that shows why a check failed, or None: a dent makes no part shorter.

    Args:
        measurement: the failed check.
        word: for its defect.
        evidence: the regions.
        off: how far the size of the part is off, with the sign of what is too much.
        views: of the part.
    """

    def shows(region: Region) -> bool:
        if "deviation" in measurement.measure:
            return True
        depth, point = region.place.depth_mm, region.place.point_mm
        if off == 0.0 or (depth is not None and depth * off < 0):
            return False
        if measurement.measure not in AXIS_OF or point is None:
            return True
        return lies_at_end(point, measurement.measure, views)

    bearing = (r for r in evidence.regions if r.defect_type == word or (r.source == "deviation" and shows(r)))
    return next((r for r in bearing if is_hot(r, evidence)), None)


def _explains(measured: DefectOutcome, other: DefectOutcome) -> bool:
    """Return whether a failed check says what a nameless hot place of the heatmap is."""
    return (
        other.source == "heatmap"
        and other.box_xyxyn is not None
        and (other.view, other.box_xyxyn) == (measured.view, measured.box_xyxyn)
    )


def _merge(found: Sequence[DefectOutcome], views: Sequence[View], evidence: Evidence) -> list[DefectOutcome]:
    """Return one defect for each group that means the same place of the part, as seen on several views or frames.

    An event of a clip, or of a curve, is one defect, in however many places it is hot.
    """
    reach = reach_of(views)

    def is_same(a: DefectOutcome, b: DefectOutcome) -> bool:
        return _same_defect(a, b, reach) or _same_event(a, b, evidence)

    groups = in_groups(sorted(found, key=lambda d: -d.score), is_same)
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
            "seen_on": tuple(_sightings(group)),
        }
    )


def _sightings(group: Sequence[DefectOutcome]) -> Iterator[SeenRecord]:
    """Yield where else a defect is seen, each other view once, the clearest first."""
    known = {group[0].view, None}
    for defect in group[1:]:
        if defect.view not in known and defect.view is not None:
            known.add(defect.view)
            yield SeenRecord(view=defect.view, box_xyxyn=defect.box_xyxyn)


def _same_defect(a: DefectOutcome, b: DefectOutcome, reach: Reach) -> bool:
    if a.type != b.type and "heatmap" not in (a.source, b.source):
        return False
    return is_one_place(spot_of(a), spot_of(b), reach)


def _same_event(a: DefectOutcome, b: DefectOutcome, evidence: Evidence) -> bool:
    """Return whether two hot places that the model did not name apart are seen at different times of one event."""
    if a.type != b.type and "heatmap" not in (a.source, b.source):
        return False
    if evidence.curve is not None and a.frame is not None and b.frame is not None and a.frame != b.frame:
        return _in_one((a.frame, b.frame), [(one.first, one.last) for one in evidence.curve.events])
    if evidence.sample_curve is None:
        return False
    events = evidence.sample_curve.events
    if a.time_s is not None and b.time_s is not None:
        timed = [(one.first_s, one.last_s) for one in events if one.first_s is not None and one.last_s is not None]
        return _in_one((a.time_s, b.time_s), timed)
    if a.sample is not None and b.sample is not None:
        return _in_one((a.sample, b.sample), [(one.first, one.last) for one in events])
    return False


def _in_one(moments: tuple[float, float], spans: Sequence[tuple[float, float]]) -> bool:
    return any(first <= min(moments) and max(moments) <= last for first, last in spans)


def _unit(score: float) -> float:
    return min(1.0, max(0.0, score)) if math.isfinite(score) else 0.5
