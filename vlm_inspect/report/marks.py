"""Which views a report shows first, and which numbered boxes lie on them."""

from collections.abc import Sequence
from dataclasses import dataclass

from converters.view import BoxXyxyn, View
from vlm_inspect.evidence import Evidence, Region
from vlm_inspect.inspection import Inspection
from vlm_inspect.report.heat import heat_of_view


@dataclass(frozen=True)
class Mark:
    """One box on a view; `number` is the defect's row in the report, None: a hot region that no defect names."""

    number: int | None
    box_xyxyn: BoxXyxyn


def rank_views(inspection: Inspection, views: Sequence[View], evidence: Evidence) -> list[int]:
    """Return view indices, the most telling first: those with defects, worst first, then the hottest.

    Behind the worst defect of a scan come its strongest places beside references, and the first deviation picture.
    """
    found = [d.view for d in inspection.defects if d.view is not None]
    found += [seen.view for defect in inspection.defects for seen in defect.seen_on]
    named = [view for view in found if view < len(views)]
    if named:
        deviations = [i for i, one in enumerate(views) if one.kind == "deviation"]
        closer = [i for i in deviations if views[i].panes]
        whole = [i for i in deviations if not views[i].panes][:1]
        named = [named[0], *(i for i in (*closer, *whole) if i != named[0]), *named[1:]]
    heats = {i: heat_of_view(evidence, i) for i in range(len(views))}

    def rank(view: int) -> tuple[int, float, int]:
        heat = heats[view]
        return (named.index(view) if view in named else len(named), -(heat.peak if heat else -1.0), view)

    return sorted(range(len(views)), key=rank)


def marks_of_view(inspection: Inspection, evidence: Evidence, view: int) -> list[Mark]:
    """Return the numbered defects of a view, then the regions above the limit that no defect covers."""
    numbered = [
        Mark(number, box)
        for number, defect in enumerate(inspection.defects, start=1)
        for seen, box in [(defect.view, defect.box_xyxyn), *((one.view, one.box_xyxyn) for one in defect.seen_on)]
        if seen == view and box is not None
    ]
    regions = [r for r in evidence.latest_regions if r.view == view and _counts(r, inspection)]
    rest = [r for r in regions if all(_overlap(r.box_xyxyn, mark.box_xyxyn) < 0.3 for mark in numbered)]
    return numbered + [Mark(None, region.box_xyxyn) for region in rest]


def _counts(region: Region, inspection: Inspection) -> bool:
    """A calibrated region counts above its limit; an uncalibrated one where a person is asked to look."""
    return region.score >= 0.5 and (region.calibrated or inspection.outcome == "REVIEW")


def _overlap(a: BoxXyxyn, b: BoxXyxyn) -> float:
    """Share of the smaller box that lies in the other one."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    smaller = min((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return width * height / smaller
