"""The demo's truth, offline: every part gets its outcome, and every anomalous one the place of its defect."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from vlm_inspect.demo import DemoCase, DemoDefect, DemoTruth, write_demo
from vlm_inspect.inspection import DefectOutcome, Inspection
from vlm_inspect.inspector import Inspector

MM, SECONDS = 2.0, 0.5
"""How near a found defect lies to the true one."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "demo"
    write_demo(folder)
    return folder


def is_near(found: DefectOutcome, true: DemoDefect) -> bool:
    if true.point_mm is not None:
        return found.point_mm is not None and math.dist(found.point_mm, true.point_mm) <= MM
    if true.time_s is not None:
        return found.time_s is not None and abs(found.time_s - true.time_s) <= SECONDS
    if found.box_xyxyn is None or true.box_xyxyn is None:
        return False
    x, y = (found.box_xyxyn[0] + found.box_xyxyn[2]) / 2, (found.box_xyxyn[1] + found.box_xyxyn[3]) / 2
    return true.box_xyxyn[0] <= x <= true.box_xyxyn[2] and true.box_xyxyn[1] <= y <= true.box_xyxyn[3]


def wrong(case: DemoCase, inspection: Inspection) -> str:
    """Say what is wrong with an inspection; nothing when it is right."""
    if inspection.outcome != case.outcome:
        return f"{case.source}: {inspection.outcome} {inspection.score:.2f}, not {case.outcome}"
    places = [(d.type, d.point_mm, d.time_s, d.box_xyxyn) for d in inspection.defects]
    missed = [true for true in case.defects if not any(is_near(found, true) for found in inspection.defects[:1])]
    return f"{case.source}: {missed} not at {places}" if missed else ""


@pytest.mark.parametrize("kind", ["screw", "circuit_board", "conveyor", "vibration"])
def test_every_demo_part_is_judged_right(demo: Path, kind: str) -> None:
    truth = DemoTruth.model_validate_json((demo / "truth.json").read_bytes())
    inspector = Inspector.from_rules(demo / "rules" / f"{kind}.yaml")
    cases = [case for case in truth.root if case.rules == f"rules/{kind}.yaml"]
    assert cases
    assert [said for case in cases if (said := wrong(case, inspector.inspect(demo / case.source)))] == []


@pytest.fixture(scope="module")
def without_localizer(demo: Path) -> Inspector:
    """An inspector of screws by measures and deviation alone; its references are learned once."""
    return replace(Inspector.from_rules(demo / "rules" / "screw.yaml"), localizer=None)


@pytest.mark.parametrize(
    ("part", "rule", "kind"),
    [
        ("missing_thread.ply", "thread-complete", "Missing thread"),
        ("bent.ply", "straight", "Bent"),
        ("blob.ply", "surface-clean", "Contamination"),
        ("dent.xyz", "surface-clean", "Dent or scratch"),
        ("normal.ply", None, ""),
    ],
)
def test_the_broken_rule_fails_for_a_stated_reason_offline(
    demo: Path, without_localizer: Inspector, part: str, rule: str | None, kind: str
) -> None:
    found = without_localizer.inspect(demo / "screw" / part)
    words = [row for row in found.rules if row.measured is None]
    failing = {row.id: row.reason for row in words if row.status == "fail"}
    assert list(failing) == ([] if rule is None else [rule])
    assert all(row.status == "not_checked" for row in words if row.id != rule)
    assert all(reason.startswith(f"{kind} at view ") for reason in failing.values())
    assert all("the reference" in reason for reason in failing.values())
