"""A model's places and words against DAPO's heatmap, with the weights of dapo-mini that ship: no references."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vlm_inspect.backends.backend import Reply, Request
from vlm_inspect.evidence import Evidence
from vlm_inspect.examination import Examination
from vlm_inspect.inspector import Inspector
from vlm_inspect.localization import load_localizer
from vlm_inspect.localization.localizer import vocabulary_of
from vlm_inspect.localization.subject import Subject
from vlm_inspect.replay.replay import replay
from vlm_inspect.rules import RuleBook
from vlm_inspect.second_map import said_words
from vlm_inspect.store.case_store import CaseStore
from vlm_inspect.verdict import Defect, Verdict

PLACE = [600, 250, 780, 430]
"""Where the picture is damaged, per mille."""
CORNER = [40, 760, 180, 900]


class Scripted:
    """A model that answers what it was told to, whatever it is shown."""

    name = "openai:scripted"

    def __init__(self, answer: dict[str, object]) -> None:
        self.text = json.dumps(answer)

    def generate(self, request: Request, *, samples: int = 1) -> Sequence[Reply]:
        return [Reply(self.text)] * samples


def says(box: list[int] | None, word: str = "scratch", **fields: object) -> Scripted:
    defect = {"type": word, "view": 0, "severity": "major"} | ({"box": box} if box else {})
    answer = {"reasoning": "It is damaged.", "anomalous": True, "probability": 0.95, "defects": [defect]}
    return Scripted(answer | fields)


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    generator = np.random.default_rng(1)
    picture = generator.normal(150, 6, (300, 300, 3))
    yy, xx = np.mgrid[:300, :300]
    picture[(xx - 207) ** 2 + (yy - 102) ** 2 < 24**2] = (60, 30, 20)
    path = tmp_path_factory.mktemp("plate") / "plate.png"
    Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).save(path)
    return path


def examine(
    plate: Path, model: Scripted, question: str | None = None, defects: tuple[str, ...] = (), **fields: object
) -> Examination:
    rules = RuleBook(class_name="plate", defects=defects)
    return Inspector(rules=rules, backend=model, **fields).examine(plate, question)  # type: ignore[arg-type]  # settings


def vocabulary(evidence: Evidence) -> set[str]:
    """The words that DAPO was given for its last map."""
    (made,) = evidence.latest_maps
    assert made.source == "dapo-mini"
    assert made.types is not None
    return set(made.types.words)


# --- places ----------------------------------------------------------------------------------------------------------


def test_a_box_on_the_damage_is_both(plate: Path) -> None:
    inspection = examine(plate, says(PLACE)).inspection
    assert inspection.outcome == "NG"
    assert [defect.source for defect in inspection.defects] == ["both"]
    assert any("heatmap agrees" in note for note in inspection.notes)


def test_a_box_elsewhere_ends_in_review_with_both_places(plate: Path) -> None:
    inspection = examine(plate, says(CORNER)).inspection
    assert inspection.outcome == "REVIEW"
    assert any("the heatmap points elsewhere" in reason for reason in inspection.review_reasons)
    model, heatmap = sorted(inspection.defects, key=lambda defect: defect.source != "model")
    assert (model.source, heatmap.source) == ("model", "heatmap")
    assert heatmap.box_xyxyn is not None
    x0, y0, x1, y1 = heatmap.box_xyxyn
    assert x0 < 0.77  # it meets the damage itself
    assert x1 > 0.61
    assert y0 < 0.42
    assert y1 > 0.26


def test_a_normal_verdict_leaves_the_hottest_place_unconfirmed(plate: Path) -> None:
    model = Scripted({"reasoning": "Fine.", "anomalous": False, "probability": 0.02, "defects": []})
    inspection = examine(plate, model).inspection
    assert inspection.outcome == "OK"
    assert inspection.unconfirmed[0].box_xyxyn is not None
    assert any(note.startswith("unconfirmed:") for note in inspection.notes)
    assert json.loads(inspection.model_dump_json())["unconfirmed"][0]["source"] == "heatmap"


# --- words -----------------------------------------------------------------------------------------------------------


def test_a_word_of_the_model_reaches_the_second_map(plate: Path) -> None:
    examined = examine(plate, says(PLACE, "Solder splash"), defects=("scratch", "dent"))
    first = {word for one in examined.evidence.maps for word in (one.types.words if one.types else ())}
    assert first == {"scratch", "dent"}
    assert examined.evidence.worded is not None
    assert examined.evidence.worded.words == ("solder splash",)
    assert vocabulary(examined.evidence) == {"scratch", "dent", "solder splash"}
    assert any("made again with what was said of the part: solder splash" in n for n in examined.inspection.notes)
    values = [one.values for one in (*examined.evidence.maps, *examined.evidence.worded.maps)]
    assert not np.array_equal(*values)


def test_a_word_of_the_engineer_reaches_it_too(plate: Path) -> None:
    examined = examine(plate, says(PLACE), "Is there a stain, or a missing part?", defects=("scratch",))
    assert vocabulary(examined.evidence) == {"scratch", "stain", "missing part"}


def test_a_word_that_dapo_knows_makes_no_second_map(plate: Path) -> None:
    assert examine(plate, says(PLACE, "Scratch"), defects=("scratch",)).evidence.worded is None
    assert examine(plate, says(PLACE, "scratch")).evidence.worded is None  # one of its own


def test_other_localizers_and_the_evidence_model_hear_nothing(plate: Path) -> None:
    assert examine(plate, says(PLACE, "solder splash"), localizer=None).evidence.worded is None
    memory = load_localizer("memory")
    assert examine(plate, says(PLACE, "solder splash"), localizer=memory).evidence.worded is None
    assert Inspector(rules=RuleBook(class_name="plate")).examine(plate, "a burn?").evidence.worded is None


def test_a_word_that_cannot_be_encoded_leaves_the_first_map(plate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vlm_inspect.localization.dapo_mini.judge.minilm_folder", lambda: None)
    examined = examine(plate, says(PLACE, "solder splash"), defects=("scratch",))
    assert any("knows no solder splash without MiniLM" in note for note in examined.inspection.notes)
    assert examined.inspection.outcome == "NG"


def test_a_case_keeps_the_second_map_and_replays_alike(plate: Path, tmp_path: Path) -> None:
    examined = examine(plate, says(CORNER, "solder splash"), defects=("scratch",))
    with CaseStore(tmp_path / "cases.db") as store:
        case = store.load(store.save(examined, plate))
        assert case.evidence.worded is not None
        assert case.evidence.worded.words == ("solder splash",)
        assert replay(case).same


@pytest.mark.parametrize(
    ("types", "question", "expected"),
    [
        (("Deep Scratch", "deep scratch"), None, ("deep scratch",)),
        (("a long story of how this part came to look as it does",), None, ()),
        ((), "Any rust, or a crack? Not scratched!", ("crack",)),
        (("“Öl-Fleck”",), "", ("öl-fleck",)),
        (("",), None, ()),
    ],
)
def test_what_is_said(types: tuple[str, ...], question: str | None, expected: tuple[str, ...]) -> None:
    verdict = Verdict(anomalous=True, reasoning="", defects=tuple(Defect(one) for one in types))
    assert said_words(verdict, question, ("scratch", "crack")) == expected
    assert said_words(replace(verdict, source="evidence"), None, ()) == ()


def test_the_subject_is_asked_for_its_words() -> None:
    dapo = load_localizer("dapo")
    both = load_localizer("memory+dapo")
    assert vocabulary_of(dapo, Subject("plate", ("rust",))) == ("rust",) == vocabulary_of(both, Subject("p", ("rust",)))
    assert "scratch" in vocabulary_of(dapo, Subject("plate"))
