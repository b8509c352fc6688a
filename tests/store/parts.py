"""Examinations of every kind, made without a model and without a file."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from converters.frame_grid import FrameCell, FramesOrigin
from converters.image import ImageOrigin
from converters.point_cloud import render_point_cloud
from converters.sample import PointCloud
from converters.series_plot import PlotOrigin, PlotPanel
from converters.view import Pane, Place, View, ViewBudget
from vlm_inspect.backends.backend import Reply, TokenProbability
from vlm_inspect.decision.fusion import Record, fuse
from vlm_inspect.decision.thresholds import Thresholds
from vlm_inspect.enlargement import Enlargement
from vlm_inspect.errors import ParseError
from vlm_inspect.evidence import AnomalyMap, Evidence, Measurement, ReferenceMatch, Region, TypeMap
from vlm_inspect.examination import Examination
from vlm_inspect.inspection import Provenance, Usage
from vlm_inspect.looks.look import Look
from vlm_inspect.parsing import parse_verdict
from vlm_inspect.prompting import PromptLimits, build_request, load_template
from vlm_inspect.prompting.second_request import build_second_request
from vlm_inspect.rules import RuleBook, parse_rules
from vlm_inspect.tolerance import Tolerance
from vlm_inspect.verdict import Verdict

RULES = """# What a plate must be.
class_name: plate
rules:
  - {id: clean, text: The plate carries no spot.}
  - {id: width, text: It is 20 mm wide., severity: critical, check: {measure: length, min: 19.7, max: 20.3}}
defects: [spot, scratch]
"""
ANSWER = {
    "reasoning": "There is a dark spot in the middle.",
    "anomalous": True,
    "probability": 0.9,
    "answer": "In the middle: 5 ‰ off, \u2028 and ü.",
    "rules": [{"id": "clean", "status": "fail", "reason": "a spot", "view": 0}],
    "defects": [{"type": "spot", "view": 0, "box": [400, 400, 600, 600], "severity": "major"}],
}


def noise(seed: int, height: int = 40, width: int = 56) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def image_view(seed: int = 0) -> View:
    mask = np.random.default_rng(seed).random((40, 56)) > 0.3
    return View(noise(seed), "image", "image, 56 x 40 px", ImageOrigin((3, 5, 59, 45), 2), "image", mask)


def frames_view() -> View:
    cells = (FrameCell((0, 8, 26, 40), 0, 0.0), FrameCell((30, 8, 56, 40), 7, 0.1 + 0.2))
    panes = tuple(Pane(cell.box_xyxy, f"frame {cell.frame}") for cell in cells)
    origin = FramesOrigin((40, 56), (480, 640), cells)
    return View(noise(1), "frames", "frames 0 to 7 of 8", origin, "frames", None, panes)


def plot_view() -> View:
    origin = PlotOrigin((40, 56), (PlotPanel((4, 4, 50, 36), 0, -1.5, 1 / 3, 0.0, 1e-17),))
    return View(noise(2), "plot", "curve of accel", origin, "plot", None, (Pane((4, 4, 50, 36), "accel (g)"),))


def scan_views() -> list[View]:
    points = np.random.default_rng(3).normal(0, (3, 2, 1), (3000, 3))
    return render_point_cloud(PointCloud(Path("scan.ply"), points), ViewBudget(scan_size=48))


def evidence_over(view_count: int = 1) -> Evidence:
    rng = np.random.default_rng(4)
    tolerance = Tolerance(limit=0.7, centre=0.3, n=4, overkill=0.01)
    maps = tuple(
        AnomalyMap(
            view=view,
            values=rng.random((40, 56), dtype=np.float32),
            score=float(np.float32(0.93)),
            source="memory",
            unit="nats",
            tolerance=tolerance,
            peak_tolerance=Tolerance(0.8, 0.4, 4, 0.01),
            nearest_reference=5,
            matches=np.where(rng.random((5, 7, 4)) > 0.2, rng.random((5, 7, 4)), np.nan).astype(np.float32),
            types=TypeMap(("spot", "scratch"), rng.random((2, 5, 7), dtype=np.float32)),
            notes=("a remark",),
            normal_scores=(0.1 + 0.2, 0.4),
            normal_peaks=(1 / 3,),
        )
        for view in range(view_count)
    )
    region = Region(
        view=0,
        box_xyxyn=(0.4, 0.4, 0.6, 0.6),
        peak_xyn=(0.5, 0.5),
        score=0.93,
        area=0.04,
        source="memory",
        calibrated=True,
        place=Place(source_xyxy=(25.4, 21.0, 36.6, 29.0), page=2),
        match=ReferenceMatch(5, 0, (0.4, 0.4, 0.6, 0.6)),
        defect_type="spot",
        note="darker",
    )
    measurements = (
        Measurement("width", "length", 20.1, "mm", True, "20.1 mm"),
        Measurement("clean", "length", float("nan"), "mm", None, "no edge"),
    )
    return Evidence(maps, (region,), measurements, reference_count=6, localizer="memory", notes=("3 points left out",))


def examine(
    views: Sequence[View] = (),
    *,
    evidence: Evidence | None = None,
    references: Sequence[Sequence[View]] | None = None,
    texts: Sequence[str] = (json.dumps(ANSWER),),
    rules: RuleBook | None = None,
    question: str | None = "Where is it?",
    input_sha256: str = "1" * 64,
    created_at: str = "2026-03-14T09:26:53+00:00",
    limits: PromptLimits | None = None,
) -> Examination:
    """Examine views whose evidence and replies are given, the way an inspector does."""
    views = tuple(views) or (image_view(),)
    evidence = evidence or Evidence()
    rules = rules or parse_rules(RULES)
    references = tuple(tuple(one) for one in references or ())
    limits = limits or PromptLimits()
    request = build_request(load_template("inspect"), views, rules, references, evidence, question, limits=limits)
    token = TokenProbability("true", -0.1, {"true": -0.1, "false": -2.5})
    replies = tuple(Reply(text, tokens=(token,), usage=Usage(prompt_tokens=7), model="tiny-1") for text in texts)
    opinion: Verdict | ParseError
    try:
        opinion = parse_verdict(replies, rules, views)
    except ParseError as failure:
        opinion = failure
    thresholds = Thresholds(0.25, 0.55, 0.1 + 0.2, 0.7, calibrated=True)
    provenance = Provenance(
        input_sha256=input_sha256,
        rules_sha256=rules.sha256,
        prompt_sha256=request.prompt_sha256,
        version="0.0.1",
        created_at=created_at,
    )
    record = Record(
        rules, views, "openai:tiny", evidence.localizer, Usage(latency_s=0.5), provenance, question, "in/part.png"
    )
    return Examination(
        inspection=fuse(opinion, evidence, thresholds, record),
        views=views,
        evidence=evidence,
        looks=(Look(request, replies, opinion),),
        record=record,
        references=references,
        template="inspect",
        thresholds=thresholds,
        limits=limits,
    )


def two_looks() -> Examination:
    """One whose model was asked again, with one place enlarged, and changed its mind."""
    limits = PromptLimits(detail="low", regions=1)
    references = [[image_view(10)]]
    first = examine(evidence=evidence_over(), references=references, limits=limits)
    assert isinstance(first.opinion, Verdict)
    closer = Enlargement(0, (0.4, 0.4, 0.6, 0.6), (("mark", {"mark": 1}),), noise(7, 30, 30), True, 0, noise(8, 30, 30))
    request = build_second_request(first.request, first.opinion, [closer], limits)
    replies = (Reply(json.dumps({**ANSWER, "anomalous": False, "probability": 0.2, "rules": [], "defects": []})),)
    opinion = parse_verdict(replies, first.record.rules, first.views)
    provenance = first.record.provenance.model_copy(update={"prompt_sha256": request.prompt_sha256})
    notes = ("The second look changed the model's verdict from anomalous to normal.",)
    record = dataclasses.replace(first.record, provenance=provenance, notes=notes)
    return dataclasses.replace(
        first,
        inspection=fuse(opinion, first.evidence, first.thresholds, record),
        looks=(*first.looks, Look(request, replies, opinion, "look_again", elapsed_s=1.5)),
        record=record,
    )


def full_examination(created_at: str = "2026-03-14T09:26:53+00:00") -> Examination:
    """One with references, maps, regions, measurements: everything that a record may hold."""
    references = [[image_view(10 + number)] for number in range(7)]
    return examine(evidence=evidence_over(), references=references, created_at=created_at)
