"""One inspection of a scan, made by hand: two views with heatmaps, one without, two defects, three rules."""

from dataclasses import dataclass

import numpy as np
import pytest

from converters.view import BoxXyxyn, Place, View
from vlm_inspect.evidence import AnomalyMap, Evidence, Region
from vlm_inspect.inspection import (
    DefectOutcome,
    Inspection,
    Measured,
    Provenance,
    RuleOutcome,
    Usage,
    ViewRecord,
)
from vlm_inspect.tolerance import Tolerance


@dataclass(frozen=True)
class PlainOrigin:
    """Maps a box to pixels of a picture of one size."""

    size_hw: tuple[int, int]

    def locate(self, box_xyxyn: BoxXyxyn) -> Place:
        h, w = self.size_hw
        x0, y0, x1, y1 = box_xyxyn
        return Place(source_xyxy=(x0 * w, y0 * h, x1 * w, y1 * h))


@dataclass(frozen=True)
class Case:
    inspection: Inspection
    views: tuple[View, ...]
    evidence: Evidence


def make_view(label: str, size_hw: tuple[int, int] = (96, 128)) -> View:
    h, w = size_hw
    ramp = np.linspace(60, 190, w, dtype=np.uint8)
    return View(np.repeat(np.tile(ramp, (h, 1))[..., None], 3, axis=2), "depth", label, PlainOrigin(size_hw))


def spot(x: float, y: float, height: float, size_hw: tuple[int, int] = (96, 128)) -> np.ndarray:
    """A Gaussian hot spot, float32 HW, over a low floor."""
    h, w = size_hw
    yy, xx = np.mgrid[0:h, 0:w]
    bump = np.exp(-(((xx / w - x) / 0.08) ** 2) - ((yy / h - y) / 0.1) ** 2)
    return (0.05 + height * bump).astype(np.float32)


def make_inspection(**changes: object) -> Inspection:
    fields: dict[str, object] = {
        "outcome": "NG",
        "score": 0.97,
        "calibrated": False,
        "answer": "The screw is not in order: the thread is missing over 4 mm.",
        "reasoning": "Length is 18.2 mm.\nThe deviation exceeds its limit on one view.",
        "review_reasons": (),
        "rules": (
            RuleOutcome(id="length", status="fail", reason="18.2 mm < 19.7 mm", severity="critical",
                        source="measurement", measured=Measured(value=18.2, unit="mm")),
            RuleOutcome(id="thread-complete", status="cannot_tell", reason="nothing bears on it", source="model"),
            RuleOutcome(id="recess", status="pass", reason="like the references", source="heatmap"),
        ),
        "defects": (
            DefectOutcome(
                type="missing thread",
                severity="critical",
                view=1,
                box_xyxyn=(0.3, 0.3, 0.5, 0.6),
                score=0.93,
                source="both",
                point_mm=(0.1, 2.0, 11.4),
                size_mm=2.6,
                description="no thread for 4 mm",
            ),
            DefectOutcome(type="short", severity="major", view=None, box_xyxyn=None, score=0.9, source="measurement"),
        ),
        "views": tuple(
            ViewRecord(index=i, kind="depth", size_hw=(96, 128), label=label)
            for i, label in enumerate(("depth, front", "depth, back", "depth, top"))
        ),
        "notes": ("12 points without coordinates were left out",),
        "source": "in/lot 7/screw-12.ply",
        "model": "evidence",
        "localizer": "memory",
        "usage": Usage(latency_s=0.84),
        "provenance": Provenance(input_sha256="a" * 64, rules_sha256="b" * 64, prompt_sha256="c" * 64,
                                 version="0.1.0", created_at="2026-01-02T03:04:05Z"),
    }  # fmt: skip
    return Inspection(**{**fields, **changes})  # type: ignore[arg-type]  # pydantic checks them


@pytest.fixture
def case() -> Case:
    tolerance = Tolerance(limit=0.5, centre=0.3, n=6, overkill=0.01)
    maps = (
        AnomalyMap(0, spot(0.7, 0.5, 0.2), 0.2, "memory", tolerance=tolerance),
        AnomalyMap(1, spot(0.4, 0.45, 1.2), 1.2, "deviation", unit="mm", tolerance=tolerance),
    )
    regions = (
        Region(1, (0.3, 0.3, 0.5, 0.6), (0.4, 0.45), 0.95, 0.06, "deviation", True, Place()),
        Region(1, (0.8, 0.7, 0.95, 0.9), (0.85, 0.8), 0.6, 0.02, "deviation", True, Place()),
    )
    views = tuple(make_view(label) for label in ("depth, front", "depth, back", "depth, top"))
    return Case(make_inspection(), views, Evidence(maps=maps, regions=regions, reference_count=6, localizer="memory"))
