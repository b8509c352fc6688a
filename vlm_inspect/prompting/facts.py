"""What a template may name: rules, views and evidence as plain values, counted, rounded and cut to the limits.

Views count from 0, as in the answer; references and marks count from 1, as people do.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from converters.view import View
from vlm_inspect.backends.box_conventions import BoxFrame
from vlm_inspect.evidence import Evidence, Region
from vlm_inspect.prompting.template import LOOKS, Look, Words, look_of
from vlm_inspect.rules import Rule, RuleBook
from vlm_inspect.significant_digits import rounded

Facts = dict[str, Any]


@dataclass(frozen=True, eq=False)
class ShownReferences:
    """The pictures of references that are sent: the same for every part of the class."""

    pictures: tuple[tuple[int, View], ...]
    """Number of the reference, from 1, and one of its views."""
    shown: int
    count: int
    views_left_out: int


def choose_references(references: Sequence[Sequence[View]], *, max_references: int, max_views: int) -> ShownReferences:
    """Choose the references to show: the first ones, whole, as many as fit.

    The choice must not depend on the part, or no two parts would share a prefix; what the nearest reference looks like
    is shown in the zoomed pictures. Tiles repeat what the whole view shows, and are left out.

    Where two scans do not fit whole, their depth views may, the same sides beside each other: two normal parts tell
    more than other renderings of one.
    """
    whole = [[view for view in views if view.key.partition("/")[0] != "tile"] for views in references]
    shown = min(len(whole), max_references)
    if shown > 1 and sum(map(len, whole[:2])) > max_views and (sides := _sides_of_two(whole[:2], max_views)):
        return ShownReferences(sides, 2, len(references), sum(map(len, references[:2])) - len(sides))
    while shown > 1 and sum(map(len, whole[:shown])) > max_views:
        shown -= 1
    pictures = [(number, view) for number, views in enumerate(whole[:shown], start=1) for view in views][:max_views]
    return ShownReferences(tuple(pictures), shown, len(references), sum(map(len, references[:shown])) - len(pictures))


def _sides_of_two(references: Sequence[Sequence[View]], most: int) -> tuple[tuple[int, View], ...]:
    """Return depth views of two scans, side by side, and shaded ones and normals as far as all of them fit.

    Empty where even the depth views do not fit, or one of the two has none.
    """
    order = [view.key for view in references[0]]
    numbered = [
        (order.index(view.key), number, view)
        for number, views in enumerate(references, start=1)
        for view in views
        if view.key in order
    ]
    chosen: list[tuple[int, int, View]] = []
    for look in ("depth", "shaded", "normals"):
        more = [one for one in numbered if look_of(one[2]) == look]
        if look == "depth" and {number for _, number, _ in more} != {1, 2}:
            return ()
        if len(chosen) + len(more) > most:
            break
        chosen += more
    return tuple((number, view) for _, number, view in sorted(chosen, key=lambda one: one[:2]))


def class_facts(rules: RuleBook) -> Facts:
    """What is the same for every part of the class."""
    return {
        "class_name": rules.class_name,
        "description": rules.description,
        "defects": rules.defects,
        "unit": rules.unit,
        "rules": [_rule_facts(rule) for rule in rules.rules],
    }


def kind_facts(words: Words, looks: Set[Look]) -> list[Facts]:
    """How to read each kind of picture, in a fixed order."""
    return [{"noun": words.views[look].noun, "reading": words.views[look].reading} for look in LOOKS if look in looks]


def view_facts(words: Words, view: View, index: int | None, label: str) -> Facts:
    """One picture: its number, what it is called, and the names of its cells."""
    cells = [pane.name for pane in view.panes if pane.name] if view.kind == "frames" else []
    return {"index": index, "noun": words.views[look_of(view)].noun, "label": label, "cells": cells}


def evidence_facts(evidence: Evidence, regions: Mapping[int, Region], views: Sequence[View], frame: BoxFrame) -> Facts:
    """All that was measured, in rounded numbers; `regions` by the number of their mark, their boxes as asked for."""
    return {
        "measurements": [
            {
                "rule_id": m.rule_id,
                "measure": m.measure,
                "value": None if m.value is None else rounded(m.value, 4),
                "unit": m.unit,
                "passed": m.passed,
                "reason": m.reason,
            }
            for m in evidence.measurements
        ],
        "maps": [
            {
                "view": m.view,
                "source": m.source,
                "probability": None if m.probability is None else f"{m.probability:.2f}",
                "score": f"{m.score:.3g}",
                "unit": m.unit,
                "nearest_reference": None if m.nearest_reference is None else m.nearest_reference + 1,
            }
            for m in evidence.maps
        ],
        "regions": [
            {
                **_region_facts(number, region),
                "box": frame.convention.write(region.box_xyxyn, frame.size_of(region.view, views[region.view].size_hw)),
            }
            for number, region in regions.items()
        ],
        "by_words": sorted({m.source for m in evidence.maps if m.by_words}),
        "regions_left_out": len(evidence.regions) - len(regions),
        "notes": (evidence.mismatch, *evidence.notes) if evidence.mismatch else evidence.notes,
    }


def _rule_facts(rule: Rule) -> Facts:
    check = rule.check and {
        "measure": rule.check.measure,
        "channel": rule.check.channel,
        "min": None if rule.check.min is None else f"{rule.check.min:g}",
        "max": None if rule.check.max is None else f"{rule.check.max:g}",
    }
    return {"id": rule.id, "text": rule.text, "severity": rule.severity, "check": check}


def _region_facts(number: int, region: Region) -> Facts:
    place = region.place
    return {
        "mark": number,
        "view": region.view,
        "score": f"{region.score:.2f}",
        "calibrated": region.calibrated,
        "source": region.source,
        "defect_type": region.defect_type,
        "note": region.note,
        "point": None if place.point_mm is None else [f"{c:.1f}" for c in place.point_mm],
        "size": None if place.size_mm is None else f"{place.size_mm:.2g}",
        "page": place.page,
        "frame": place.frame,
        "time": None if place.time_s is None else f"{place.time_s:.2f}",
    }
