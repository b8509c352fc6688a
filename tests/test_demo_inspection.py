"""The demo's truth, offline: every part gets its outcome, and every anomalous one the place of its defect."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from converters.view import ViewBudget
from vlm_inspect.demo import DemoCase, DemoDefect, DemoTruth
from vlm_inspect.inspection import DefectOutcome, Inspection
from vlm_inspect.inspector import Inspector
from vlm_inspect.qualification.settings import QualificationSettings

MM, SECONDS = 2.0, 0.5
"""How near a found defect lies to the true one."""
BUDGET = ViewBudget(max_frames=9)
"""A quarter of the frames of a clip that are drawn otherwise, to save time; the events are told from every frame."""
USUAL = QualificationSettings()
QUALIFIED = {"conveyor": QualificationSettings(planted=30), "screw": QualificationSettings(planted=16)}
"""As many as users have planted on clips, and half as many on scans: of fewer a normal part earns no sure OK, whatever
it looks like."""
BROKEN = {
    "normal.ply": ("", ""),
    "missing_thread.ply": ("thread-complete", "Missing thread"),
    "bent.ply": ("straight", "Bent"),
    "short.pcd": ("", ""),
    "dent.xyz": ("surface-clean", "Dent or scratch"),
    "blob.ply": ("surface-clean", "Contamination"),
}
"""The rule in words that each screw breaks, and what its reason begins with; the short one breaks a measured rule."""


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


def failing_rules(inspection: Inspection) -> dict[str, str]:
    """Return the rules in words that fail, and why; the others were not read by a model."""
    words = [row for row in inspection.rules if row.measured is None]
    assert {row.status for row in words} <= {"fail", "not_checked"}
    return {row.id: row.reason for row in words if row.status == "fail"}


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("conveyor", marks=pytest.mark.slow(55)),
        pytest.param("screw", marks=pytest.mark.slow(50)),
        pytest.param("circuit_board", marks=pytest.mark.slow(25)),
        "vibration",
    ],
)
def test_every_demo_part_is_judged_right(demo: Path, kind: str) -> None:
    truth = DemoTruth.model_validate_json((demo / "truth.json").read_bytes())
    inspector = replace(
        Inspector.from_rules(demo / "rules" / f"{kind}.yaml"), budget=BUDGET, qualification=QUALIFIED.get(kind, USUAL)
    )
    cases = [case for case in truth.root if case.rules == f"rules/{kind}.yaml"]
    assert cases
    judged = {case: inspector.inspect(demo / case.source) for case in cases}
    assert [said for case, inspection in judged.items() if (said := wrong(case, inspection))] == []
    if kind == "screw":
        failing = {Path(case.source).name: failing_rules(inspection) for case, inspection in judged.items()}
        assert {part: list(reasons) for part, reasons in failing.items()} == {
            part: [rule] if rule else [] for part, (rule, _) in BROKEN.items()
        }
        for part, reasons in failing.items():
            assert all(reason.startswith(f"{BROKEN[part][1]} at view ") for reason in reasons.values())
            assert all("the reference" in reason for reason in reasons.values())
