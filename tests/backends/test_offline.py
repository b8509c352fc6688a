"""The `evidence` model: honest sentences, its answers to questions, and the outcome that fusion makes of them."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from converters.view import BoxXyxyn, Place, View
from vlm_inspect.answers.language import load_languages
from vlm_inspect.backends.backend import Request
from vlm_inspect.backends.offline import EvidenceBackend
from vlm_inspect.decision.fusion import Record, fuse
from vlm_inspect.decision.thresholds import Thresholds
from vlm_inspect.errors import PromptError
from vlm_inspect.evidence import AnomalyMap, Evidence, Measurement, Region
from vlm_inspect.inspection import Inspection, Provenance, Usage
from vlm_inspect.offline.wording import load_wording, read_wording
from vlm_inspect.parsing import parse_verdict
from vlm_inspect.prompt_files import prompt_folder
from vlm_inspect.prompting import load_template
from vlm_inspect.rules import Check, Rule, RuleBook
from vlm_inspect.tolerance import Tolerance

BOOK = RuleBook(
    class_name="screw",
    rules=(
        Rule(id="thread-complete", text="The thread runs unbroken from the neck to the tip.", severity="critical"),
        Rule(id="recess", text="The Phillips recess is a clean cross."),
        Rule(id="length", text="20 mm long.", check=Check(measure="length", min=19.7, max=20.3)),
    ),
    defects=("missing thread", "bent", "short", "contamination"),
)
TOLERANCE = Tolerance(limit=2.0, centre=1.0, n=4, overkill=0.01)
FITS = Measurement("length", "length", 20.01, "mm", True, "20.01 mm")
SHORT = Measurement("length", "length", 18.2, "mm", False, "18.2 mm < 19.7 mm")
UNMEASURED = Measurement("length", "length", None, "mm", None, "the cloud has 4 points")


class Solid:
    def locate(self, box_xyxyn: BoxXyxyn) -> Place:
        x0, y0, x1, y1 = (20 * side for side in box_xyxyn)
        return Place(point_mm=((x0 + x1) / 2, (y0 + y1) / 2, 1.0), size_mm=max(x1 - x0, y1 - y0))


VIEW = View(np.zeros((64, 64, 3), np.uint8), "depth", "depth, front", Solid())


def region(box: BoxXyxyn = (0.401, 0.3, 0.5804, 0.4402), **fields: Any) -> Region:
    base = Region(
        view=0, box_xyxyn=box, peak_xyn=(box[0], box[1]), score=0.97, area=0.02, source="memory", calibrated=True,
        place=Solid().locate(box),
    )  # fmt: skip
    return replace(base, **fields)


def evidence(score: float, *regions: Region, calibrated: bool = True, **fields: Any) -> Evidence:
    amap = AnomalyMap(0, np.zeros((4, 4), np.float32), score, "memory", tolerance=TOLERANCE if calibrated else None)
    base = Evidence(
        maps=(amap,), regions=regions, measurements=(FITS,), reference_count=4 if calibrated else 0, localizer="memory"
    )
    return replace(base, **fields)


INSIDE = evidence(1.1)
HOT = evidence(6.0, region())
ALONE = evidence(6.0, region(calibrated=False), region((0.1, 0.1, 0.2, 0.2), calibrated=False), calibrated=False)


def request(measured: Evidence, question: str | None = None) -> Request:
    return Request((), load_template("inspect").answer_schema, (VIEW,), BOOK, measured, question, "p")


def report(measured: Evidence, question: str | None = None) -> dict[str, Any]:
    replies = EvidenceBackend().generate(request(measured, question), samples=5)
    assert len(replies) == 1
    answer: dict[str, Any] = json.loads(replies[0].text)
    return answer


def inspect(measured: Evidence, book: RuleBook = BOOK) -> Inspection:
    asked = replace(request(measured), rules=book)
    verdict = parse_verdict(EvidenceBackend().generate(asked), book, (VIEW,))
    assert (verdict.path, verdict.warnings) == ("json", ())
    provenance = Provenance(input_sha256="a", rules_sha256="b", prompt_sha256="c", version="0", created_at="now")
    record = Record(book, (VIEW,), EvidenceBackend().name, "memory", Usage(), provenance)
    return fuse(verdict, measured, Thresholds(), record)


def statuses(answer: dict[str, Any]) -> dict[str, str]:
    return {row["id"]: row["status"] for row in answer["rules"]}


def test_inside_every_tolerance_is_ok_by_likeness() -> None:
    answer = report(INSIDE)
    assert "Like the references; not read by a model" in answer["rules"][0]["reason"]
    assert answer["anomalous"] is False
    assert answer["probability"] == pytest.approx(TOLERANCE.probability(1.1))
    assert answer["defects"] == []
    inspection = inspect(INSIDE)
    assert inspection.outcome == "OK"
    assert [(rule.id, rule.status) for rule in inspection.rules] == [
        ("thread-complete", "not_checked"), ("recess", "not_checked"), ("length", "pass"),
    ]  # fmt: skip
    assert any(
        "this OK rests on likeness to 4 references and measured rules (length)" in note
        and "no model read the rules in words: thread-complete, recess" in note
        for note in inspection.notes
    )


def test_a_rule_by_likeness_passes_inside_fails_where_a_hot_place_bears_on_it_and_is_open_elsewhere() -> None:
    by = BOOK.rules[1].model_copy(update={"by": "likeness", "severity": "critical"})
    book = BOOK.model_copy(update={"rules": (BOOK.rules[0], by, BOOK.rules[2])})

    def status(measured: Evidence) -> tuple[str, str]:
        inspection = inspect(measured, book)
        return inspection.outcome, inspection.rules[1].status

    assert status(INSIDE) == ("OK", "pass")
    assert status(evidence(6.0, region(note="0.4 mm above the reference, at the recess"))) == ("NG", "fail")
    assert status(HOT) == ("NG", "cannot_tell")
    assert status(ALONE) == ("REVIEW", "cannot_tell")


def test_the_kind_of_a_deviation_decides_the_rule_that_names_it() -> None:
    rules = (
        BOOK.rules[0].model_copy(update={"defects": ("missing thread",)}),
        BOOK.rules[1].model_copy(update={"defects": ("dent", "scratch")}),
        Rule(id="straight", text="Straight.", defects=("bent",)),
        BOOK.rules[2],
    )
    defects = ("missing thread", "bent", "short", "contamination", "dent", "scratch")
    book = BOOK.model_copy(update={"rules": rules, "defects": defects})

    def failing(*deviations: tuple[str, float]) -> list[tuple[str, str]]:
        hot = [
            region(note=f"0.3 mm {side} the reference", place=Place(point_mm=(0.0, 0.0, 9.0 * i), size_mm=size))
            for i, (side, size) in enumerate(deviations)
        ]
        inspection = inspect(evidence(6.0, *hot), book)
        return [(row.id, row.reason.partition(" at ")[0]) for row in inspection.rules if row.status == "fail"]

    assert failing(("below", 6.0)) == [("thread-complete", "Missing thread")]
    assert failing(("below", 1.5)) == [("recess", "Dent or scratch")]
    assert failing(("below", 5.0), ("above", 6.0)) == [("straight", "Bent")]
    assert failing(("below", 3.0)) == [], "between the sizes, nothing decides"
    assert failing(("below", 1.5), ("above", 6.0)) == [], "two defects are no bend, and one may be"


def test_beyond_the_tolerance_is_ng_and_rules_in_words_stay_open() -> None:
    answer = report(HOT)
    assert statuses(answer) == {"thread-complete": "cannot_tell", "recess": "cannot_tell", "length": "pass"}
    inspection = inspect(HOT)
    assert inspection.outcome == "NG"
    assert inspection.score == pytest.approx(TOLERANCE.probability(6.0))
    defect = inspection.defects[0]
    assert len(inspection.defects) == 1
    assert (defect.source, defect.box_xyxyn, defect.score) == ("heatmap", region().box_xyxyn, 0.97)
    assert defect.point_mm == region().place.point_mm


@pytest.mark.parametrize(
    ("fields", "failing"),
    [
        ({"defect_type": "missing thread"}, "thread-complete"),
        ({"note": "0.4 mm above the reference, at the recess"}, "recess"),
        ({"note": "0.4 mm above the reference"}, None),
    ],
)
def test_the_defect_type_or_note_may_decide_a_rule(fields: dict[str, str], failing: str | None) -> None:
    answer = report(evidence(6.0, region(**fields)))
    assert [rule_id for rule_id, status in statuses(answer).items() if status == "fail"] == (
        [failing] if failing else []
    )


def test_without_references_it_shows_the_unusual_and_asks_for_review() -> None:
    answer = report(ALONE)
    assert statuses(answer) == {"thread-complete": "cannot_tell", "recess": "cannot_tell", "length": "pass"}
    assert answer["probability"] == 0.5
    assert "no reference" in answer["reasoning"]
    assert "uncalibrated" in answer["reasoning"]
    inspection = inspect(ALONE)
    assert inspection.outcome == "REVIEW"
    assert [d.type for d in inspection.defects] == ["unusual place"] * 2
    assert all(d.score <= 0.5 and d.severity == "minor" for d in inspection.defects)
    assert "there is no reference to compare with" in inspection.review_reasons


def test_a_map_without_tolerance_beside_references_is_review_too() -> None:
    partial = replace(INSIDE, maps=(*INSIDE.maps, *ALONE.maps))
    assert inspect(partial).outcome == "REVIEW"
    assert report(partial)["probability"] == 0.5


def test_a_failed_check_is_said_and_is_ng() -> None:
    short = replace(INSIDE, measurements=(SHORT,))
    answer = report(short)
    assert answer["anomalous"] is True
    assert "18.2 mm < 19.7 mm" in answer["reasoning"]
    assert inspect(short).outcome == "NG"
    assert report(replace(INSIDE, measurements=(UNMEASURED,)))["rules"][2]["status"] == "cannot_tell"
    assert "the cloud has 4 points" in report(replace(INSIDE, measurements=(UNMEASURED,)))["reasoning"]
    assert "not measured" in report(replace(INSIDE, measurements=()))["rules"][2]["reason"]


@pytest.mark.parametrize("measured", [INSIDE, HOT, ALONE])
def test_it_says_that_it_is_no_language_model_and_repeats_itself(measured: Evidence) -> None:
    assert "no language model" in report(measured)["reasoning"]
    assert report(measured) == report(measured)


@pytest.mark.parametrize("measured", [INSIDE, HOT, ALONE, evidence(6.0, region((0.9995, 0.9995, 1.0, 1.0)))])
def test_the_report_keeps_to_the_answer_schema(measured: Evidence) -> None:
    schema = load_template("inspect").answer_schema["properties"]
    answer = report(measured, "Where is it?")
    assert list(answer) == list(schema)
    for row in answer["rules"]:
        assert set(row) <= set(schema["rules"]["items"]["properties"])
        assert row["status"] in schema["rules"]["items"]["properties"]["status"]["enum"]
    for defect in answer["defects"]:
        assert set(defect) <= set(schema["defects"]["items"]["properties"])
        x0, y0, x1, y1 = defect["box"]
        assert 0 <= x0 < x1 <= 1000
        assert 0 <= y0 < y1 <= 1000
        assert all(isinstance(side, int) for side in defect["box"])


def test_box_is_rounded_outwards_to_per_mille() -> None:
    assert report(HOT)["defects"][0]["box"] == [401, 300, 581, 441]


@pytest.mark.parametrize(
    ("question", "measured", "says"),
    [
        ("Where is the defect?", HOT, r"point \(9\.8, 7\.4, 1\.0\) mm"),
        ("Where is the defect?", INSIDE, "No place was found"),
        ("How big is it?", HOT, r"3\.6 mm across"),
        ("How big is it?", INSIDE, "No place was found"),
        ("How many defects are there?", HOT, "1 place exceeds its tolerance"),
        (
            "Which rules are violated?",
            replace(HOT, measurements=(SHORT,)),
            "length .major.: fail. length 18.2 mm; limits 19.7 to 20.3 mm",
        ),
        (
            "Which rule does it break?",
            HOT,
            "thread-complete .critical.: not checked",
        ),
        ("How sure are you?", HOT, r"over 0\.99"),
        ("How sure are you?", ALONE, "No probability is known"),
        ("What length did you measure?", HOT, r"length 20\.01 mm"),
        ("What's wrong with this part?", HOT, "Region 1: Deviation from the references at view 0"),
        ("Is it ok?", INSIDE, "is like its references"),
        (
            "Who made this screw?",
            HOT,
            "cannot be answered from the record.* By its measurements the part is unlike its references",
        ),
        ("Is it ok and where is it from?", ALONE, "most unusual place"),
        (None, HOT, "exceeds the tolerance"),
        ("Wo ist der Fehler?", HOT, "Bereich 1: Abweichung von den Referenzen in Ansicht 0"),
        ("合格吗？", INSIDE, "零件与参考件一致（异常概率 0.03）。没有位置"),
        (
            "Quelle est la longueur ?",
            HOT,
            "longueur de la règle length : 20.01 mm ; limites 19.7 à 20.3 mm : respectée",
        ),
    ],
)
def test_questions(question: str | None, measured: Evidence, says: str) -> None:
    said = report(measured, question)
    answer = said["answer"]
    assert re.search(says, answer), answer
    identities = [one.say("identity") for one in load_languages().values()]
    assert any(answer.endswith(one) for one in identities) == (question is not None)
    assert "no language model" in said["reasoning"]


def test_places_in_time_and_pages_are_said() -> None:
    moving = region(place=Place(frame=75, time_s=3.0))
    assert "3.00 s, frame 75" in report(evidence(6.0, moving))["reasoning"]
    assert "page 2" in report(evidence(6.0, region(place=Place(page=1))))["reasoning"]


def test_every_sentence_gets_all_that_it_names_and_a_wrong_file_is_named(tmp_path: Path) -> None:
    source = prompt_folder() / "words" / "evidence_report.yaml"
    words = yaml.safe_load(source.read_text(encoding="utf-8"))
    words["checks"]["pass"] = "Rule {idd}."
    path = tmp_path / "evidence_report.yaml"
    path.write_text(yaml.safe_dump(words), encoding="utf-8")
    with pytest.raises(PromptError, match=r"checks\.pass.*idd"):
        read_wording(path).check(BOOK.rules[2], FITS)
    path.write_text(yaml.safe_dump({**words, "jokes": {}}), encoding="utf-8")
    with pytest.raises(PromptError, match="jokes"):
        read_wording(path)
    with pytest.raises(PromptError, match="cannot be read"):
        read_wording(tmp_path / "none.yaml")
    assert load_wording() is load_wording()


def test_a_language_that_is_named_is_that_of_the_answer() -> None:
    asked = replace(request(HOT, "Where is it?"), language="German")
    (reply,) = EvidenceBackend().generate(asked)
    assert json.loads(reply.text)["answer"].startswith("Bereich 1: ")
    (reply,) = EvidenceBackend().generate(replace(asked, language="Klingon"))
    assert json.loads(reply.text)["answer"].startswith("Region 1: "), "a language without words: that of the question"
