"""Numbers: the distance between two points, the value of a rule's check, and the text of a rule."""

import math

from vlm_inspect.citation import cite
from vlm_inspect.evidence import Measurement
from vlm_inspect.rules import Rule
from vlm_inspect.tools.arguments import Distance, OfRule
from vlm_inspect.tools.material import Material, around
from vlm_inspect.tools.result import ToolError, ToolResult


def measure_distance(material: Material, wanted: Distance) -> ToolResult:
    """Measure from one point to another: in the unit of a scan, in pixels of a photo, in seconds of a recording."""
    first = material.view(wanted.view)
    second = first if wanted.to_view is None else material.view(wanted.to_view)
    for point in (wanted.from_point, wanted.to_point):
        if not all(0 <= value <= 1000 for value in point):
            raise ToolError(f"the point {point} does not lie on the view; x and y are in per mille, 0 to 1000")
    boxes = around(wanted.from_point), around(wanted.to_point)
    a, b = first.origin.locate(boxes[0]), second.origin.locate(boxes[1])
    said = []
    if a.point_mm is not None and b.point_mm is not None:
        unit = material.rules.unit
        ends = " to ".join(f"({', '.join(f'{value:.2f}' for value in end)})" for end in (a.point_mm, b.point_mm))
        said.append(f"{math.dist(a.point_mm, b.point_mm):.4g} {unit} between the surface points {ends} {unit}")
    elif a.source_xyxy is not None and b.source_xyxy is not None and (a.page, a.frame) == (b.page, b.frame):
        across = [(p.source_xyxy[i] + p.source_xyxy[i + 2]) / 2 for p in (a, b) if p.source_xyxy for i in (0, 1)]
        said.append(f"{math.dist(across[:2], across[2:]):.4g} px of the source picture")
    if a.time_s is not None and b.time_s is not None:
        said.append(f"{_seconds(abs(b.time_s - a.time_s))} apart ({_seconds(a.time_s)} and {_seconds(b.time_s)})")
    if not said:
        raise ToolError("these two points have no distance: they lie in different pages or frames, or no place is kept")
    views = wanted.view, wanted.view if wanted.to_view is None else wanted.to_view
    places = " to ".join(cite(view, box) for view, box in zip(views, boxes, strict=True))
    return ToolResult(f"{places}: {'; '.join(said)}.")


def measure_rule(material: Material, wanted: OfRule) -> ToolResult:
    """Give the value of a rule's check: that of the record where it holds, else measured now."""
    rule = _rule(material, wanted.rule)
    if rule.check is None:
        raise ToolError(f"rule {rule.id} is in words and has no check; measurable rules: {_measurable(material)}")
    recorded = next((m for m in material.case.evidence.measurements if m.rule_id == rule.id), None)
    if recorded is not None and material.case.rules.rule(rule.id) == rule:
        return ToolResult(f"Rule {rule.id}: {_words(recorded)} (measured when the part was inspected).")
    from vlm_inspect.measured_checks import measure

    return ToolResult(f"Rule {rule.id}: {_words(measure(rule, material.sample, unit=material.rules.unit))}.")


def tell_rule(material: Material, wanted: OfRule) -> ToolResult:
    """Give the text of a rule, its limits, and how this part stands to it."""
    rule = _rule(material, wanted.rule)
    said = [f"Rule {rule.id} ({rule.severity}): {rule.text}"]
    if rule.check is not None:
        bounds = [
            f"{name} {bound:g}" for name, bound in (("at least", rule.check.min), ("at most", rule.check.max))
            if bound is not None
        ]  # fmt: skip
        said.append(f"Measured: {rule.check.measure}, {', '.join(bounds)}.")
    row = next((row for row in material.case.inspection.rules if row.id == rule.id), None)
    if row is not None:
        said.append(f"This part: {row.status}. {row.reason}")
    return ToolResult(" ".join(said))


def _rule(material: Material, rule_id: str) -> Rule:
    rule = material.rules.rule(rule_id.strip())
    if rule is None:
        known = ", ".join(rule.id for rule in material.rules.rules) or "none"
        raise ToolError(f"there is no rule {rule_id.strip()!r}; the rules are: {known}")
    return rule


def _measurable(material: Material) -> str:
    return ", ".join(rule.id for rule in material.rules.rules if rule.check is not None) or "none"


def _words(measurement: Measurement) -> str:
    word = {True: "pass", False: "fail", None: "cannot tell"}[measurement.passed]
    return f"{measurement.measure}: {measurement.reason}, {word}"


def _seconds(time_s: float) -> str:
    return f"{time_s:.4g} s" if abs(time_s) < 1000 else f"{time_s:.1f} s"
