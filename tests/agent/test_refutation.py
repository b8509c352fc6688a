"""Hypotheses: each is looked at by a step made for it, and kept, dropped or left open; what stays open is no OK."""

from pathlib import Path
from typing import Any

import pytest

from converters.view import Place
from tests.agent.scripted import BOX, FAR_BOX, ask, hypothesis, turn, verdict, write_plate
from tests.backends.openai_server import Behaviour
from vlm_inspect.agent import try_hypotheses
from vlm_inspect.agent.hypotheses import places_of
from vlm_inspect.evidence import Evidence, Region
from vlm_inspect.looks.look import Look
from vlm_inspect.rules import RuleBook

PROPOSED = turn("propose", "zoom", FAR_BOX, hypotheses=[hypothesis()])


def tried(status: str = "dropped", reason: str = "the line is a reflection", box: str = BOX) -> list[Behaviour]:
    """Propose, look at it, and say what came of it."""
    settled = turn("judge", hypotheses=[hypothesis(status=status, reason=reason)])
    return [turn("propose", "zoom", box, hypotheses=[hypothesis()], tests=["h1"]), settled]


@pytest.mark.parametrize(("status", "outcome"), [("dropped", "OK"), ("kept", "REVIEW"), ("open", "REVIEW")])
def test_a_hypothesis_that_is_not_dropped_keeps_the_part_from_ok(tmp_path: Path, status: str, outcome: str) -> None:
    proposes = turn("propose", hypotheses=[hypothesis()])
    script = [proposes, turn("refute", "zoom", BOX, tests=["h1"]), tried(status)[1], verdict()]
    found, _ = ask(write_plate(tmp_path), *script)
    assert found["outcome"] == outcome
    (one,) = found["hypotheses"]
    assert (one["id"], one["rule"], one["status"], one["proposed"], one["steps"]) == ("h1", "whole", status, 1, [3])
    assert one["expected"] == "a dark line"
    assert one["box_xyxyn"] == [0.1, 0.1, 0.4, 0.4]
    if status != "dropped":
        assert any("h1" in reason and "a reflection" in reason for reason in found["review_reasons"])


def test_a_word_without_a_look_settles_nothing(tmp_path: Path) -> None:
    script = [
        turn("observe", "zoom", FAR_BOX),
        turn("propose", hypotheses=[hypothesis(status="dropped", reason="I am sure")]),
        turn("judge", hypotheses=[hypothesis(status="dropped", reason="I am still sure")]),
        verdict(),
    ]
    found, requests = ask(write_plate(tmp_path), *script)
    assert "h1 (h1 is a crack) has not been looked at" in str(requests[2].body["messages"][-1])
    assert found["outcome"] == "REVIEW"
    assert (found["hypotheses"][0]["status"], found["hypotheses"][0]["steps"]) == ("open", [])
    assert "no step looked at it" in found["review_reasons"][0]


@pytest.mark.parametrize(
    "look",
    [turn("refute", "zoom", FAR_BOX, tests=["h1"]), turn("refute", "rule_text", '{"rule": "whole"}', tests=["h1"]),
     turn("refute", "zoom", '{"view": 7, "box": [1, 2, 3, 4]}', tests=["h1"]), turn("refute", "zoom", BOX)],
)  # fmt: skip
def test_a_look_elsewhere_or_for_nothing_or_that_failed_is_none(tmp_path: Path, look: Behaviour) -> None:
    script = [turn("propose", hypotheses=[hypothesis()]), look, tried()[1], tried()[1], verdict()]
    found, _ = ask(write_plate(tmp_path), *script)
    assert found["hypotheses"][0]["status"] == "open"
    assert found["outcome"] == "REVIEW"


def test_a_model_that_is_sent_back_may_look_and_settle(tmp_path: Path) -> None:
    script = [PROPOSED, turn("judge"), turn("refute", "zoom", BOX, tests=["h1"]), *tried()[1:], verdict()]
    found, _ = ask(write_plate(tmp_path), *script)
    assert found["outcome"] == "OK"
    assert found["hypotheses"][0]["steps"] == [4]


def test_an_end_without_a_reason_is_asked_for_once(tmp_path: Path) -> None:
    script = [*tried(reason=""), tried()[1], verdict()]
    found, requests = ask(write_plate(tmp_path), *script)
    assert "kept, dropped or open, with the reason" in str(requests[2].body["messages"][-1])
    assert found["outcome"] == "OK"


def test_an_open_hypothesis_on_a_minor_rule_does_not_count(tmp_path: Path) -> None:
    found, _ = ask(write_plate(tmp_path, severity="minor"), *tried("open"), verdict())
    assert found["outcome"] == "OK"


def test_ng_on_what_no_step_tried_to_refute_says_so(tmp_path: Path) -> None:
    found, _ = ask(write_plate(tmp_path), PROPOSED, turn("judge"), turn("judge"), verdict(anomalous=True))
    assert any("No step tried to refute hypothesis h1, on rule whole" in note for note in found["notes"])
    assert any("no hypothesis that a look could have shown wrong was kept" in note for note in found["notes"])
    kept, _ = ask(write_plate(tmp_path), *tried("kept"), verdict(anomalous=True))
    assert kept["outcome"] == "NG"
    assert not any("hypothesis" in note for note in kept["notes"])


def test_the_report_shows_what_became_of_them(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    ask(write_plate(tmp_path), *tried("kept"), verdict(anomalous=True), options=("--html", str(page)))
    told = page.read_text(encoding="utf-8")
    assert "h1 is a crack" in told
    assert "the line is a reflection" in told


def test_without_refutation_there_are_no_hypotheses(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("agent: {refutation: false}\n")
    script = [turn("observe", "zoom", BOX, hypotheses=[hypothesis()]), turn("judge"), verdict()]
    found, requests = ask(write_plate(tmp_path), *script, options=("--config", str(config)))
    assert found["outcome"] == "OK"
    assert "hypotheses" not in found
    assert "hypotheses" not in str(requests[0].body["messages"][-1])


@pytest.mark.parametrize(("score", "calibrated", "listed"), [(0.9, True, True), (0.1, True, False), (0.2, False, True)])
def test_hot_places_of_the_evidence_are_hypotheses(score: float, calibrated: bool, listed: bool) -> None:
    region = Region(0, (0.1, 0.1, 0.3, 0.3), (0.2, 0.2), score, 0.04, "dapo", calibrated, Place(), defect_type="crack")
    evidence = Evidence(regions=(region,), localizer="dapo")
    looks = [Look(None, phase="observe", refutation="own", places=places_of(evidence))]
    found = try_hypotheses(looks, RuleBook(class_name="part"))
    assert [one.id for one in found] == (["m1"] if listed else [])
    assert not listed or ("dapo" in found[0].claim and "crack" in found[0].claim and not found[0].is_settled)


@pytest.mark.parametrize("box", [[1], ["a", 0, 1, 2], None, [5, 5, 1, 1], [float("nan")] * 4, {"x": 1}])
def test_a_place_that_is_none_loses_the_place_alone(tmp_path: Path, box: Any) -> None:
    script = [turn("propose", "zoom", BOX, hypotheses=[hypothesis(box=box)], tests=["h1"]), tried()[1], verdict()]
    found, _ = ask(write_plate(tmp_path), *script)
    assert found["outcome"] == "OK"
    assert found["hypotheses"][0]["box_xyxyn"] is None


def test_the_case_replays_with_its_hypotheses(tmp_path: Path) -> None:
    from vlm_inspect.replay import replay
    from vlm_inspect.store import CaseStore, Filters

    store = str(tmp_path / "cases")
    found, _ = ask(write_plate(tmp_path), *tried("open"), verdict(), options=("--save", "--store", store))
    with CaseStore(store) as cases:
        case = cases.load(cases.list(Filters())[0].id)
        again = replay(case)
        assert again.differences == ()
        assert again.inspection.hypotheses[0].status == "open"
    assert found["outcome"] == "REVIEW"
