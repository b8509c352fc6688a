"""A case as its page draws it: views with their marks, rules, defects, what people said."""

from dataclasses import dataclass

from vlm_inspect.inspection import DefectOutcome
from vlm_inspect.report.heat import heat_of_view
from vlm_inspect.report.marks import marks_of_view, rank_views
from vlm_inspect.report.wording import measured_words, place_words
from vlm_inspect.rules import RuleBook
from vlm_inspect.store import Case

_ENOUGH = 24
"""Views whose marks are drawn; a scan of many more shows the most telling."""


@dataclass(frozen=True)
class Box:
    """A mark, in pixels of its view."""

    number: int | None
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class ViewPanel:
    """One view."""

    index: int
    label: str
    kind: str
    width: int
    height: int
    heat: str
    """What the heat says, in words; empty: there is none."""
    reference: bool
    boxes: tuple[Box, ...]


@dataclass(frozen=True)
class RuleRow:
    """One rule, in its words."""

    id: str
    text: str
    status: str
    severity: str
    reason: str
    measured: str


@dataclass(frozen=True)
class DefectRow:
    """One defect."""

    number: int
    told: DefectOutcome
    place: str


def panels_of(case: Case) -> list[ViewPanel]:
    """Return the views, the most telling first."""
    views, evidence = case.views, case.evidence
    keys = {view.key for reference in case.references for view in reference}
    panels = []
    for index in rank_views(case.inspection, views, evidence)[:_ENOUGH]:
        height, width = views[index].size_hw
        heat = heat_of_view(evidence, index)
        boxes = [
            Box(
                mark.number,
                round(mark.box_xyxyn[0] * width, 1),
                round(mark.box_xyxyn[1] * height, 1),
                round((mark.box_xyxyn[2] - mark.box_xyxyn[0]) * width, 1),
                round((mark.box_xyxyn[3] - mark.box_xyxyn[1]) * height, 1),
            )
            for mark in marks_of_view(case.inspection, evidence, index)
        ]
        panels.append(
            ViewPanel(
                index=index,
                label=views[index].label,
                kind=views[index].kind,
                width=width,
                height=height,
                heat="" if heat is None else heat.caption,
                reference=views[index].key in keys,
                boxes=tuple(boxes),
            )
        )
    return panels


def rules_of(case: Case, book: RuleBook) -> list[RuleRow]:
    """Return the rules, those that fail first."""
    order = {"fail": 0, "cannot_tell": 1, "not_checked": 2, "pass": 3}
    rows = []
    for told in case.inspection.rules:
        rule = book.rule(told.id)
        text = told.id if rule is None else rule.text
        rows.append(RuleRow(told.id, text, told.status, told.severity, told.reason, measured_words(told)))
    return sorted(rows, key=lambda row: order[row.status])


def turn_marks_of(case: Case) -> list[tuple[int, tuple[float, float, float]]]:
    """Return the numbers and the points of the defects that have a place on the scan."""
    told = enumerate(case.inspection.defects, start=1)
    return [(number, one.point_mm) for number, one in told if one.point_mm is not None]


def defects_of(case: Case) -> list[DefectRow]:
    """Return the defects, numbered as their marks are."""
    told = enumerate(case.inspection.defects, start=1)
    return [DefectRow(number, defect, place_words(defect, case.inspection.views)) for number, defect in told]
