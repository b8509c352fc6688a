"""Who said what of which part, from the cases of a store, and what `agreement` makes of it."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vlm_inspect import cli
from vlm_inspect.errors import ConfigError
from vlm_inspect.inspector import Inspector
from vlm_inspect.rater_agreement.ratings import Ratings, collect_ratings
from vlm_inspect.rater_agreement.standard import read_standard, standard_of
from vlm_inspect.rater_agreement.study import TOOL, study_agreement
from vlm_inspect.rules import load_rules
from vlm_inspect.store import CaseLine, CaseStore, JudgedCase, Judgement

BOOK = "class_name: plate\nrules:\n  - {id: bright, text: Bright., check: {measure: brightness, min: 100}}\n"
Said = tuple[str, str]


class Cases:
    """Cases of parts, made by hand."""

    def __init__(self) -> None:
        self.lines: list[CaseLine] = []
        self.judged: list[JudgedCase] = []

    def add(self, part: str, tool: str, *said: Said, model: str = "evidence") -> None:
        number = len(self.lines)
        line = CaseLine(
            f"{number:04d}", f"2026-01-01T00:{number:02d}:00", f"in/{part}.png", "plate", tool, 0.5, model, "memory",
            None, 0, part, f"{number:064x}",
        )  # fmt: skip
        self.lines.append(line)
        if said:
            judgements = tuple(Judgement(i, rating, by, "", "") for i, (by, rating) in enumerate(said, 1))  # type: ignore[arg-type]
            self.judged.append(JudgedCase(line, judgements))

    def ratings(self, *, only: Sequence[str] = ()) -> Ratings:
        return collect_ratings(self.lines, self.judged, only=only)


@pytest.fixture
def cases() -> Cases:
    found = Cases()
    found.add("p1", "OK", ("Anna", "OK"), ("bert", "OK"))
    found.add("p2", "NG", ("anna ", "OK"), ("Anna", "NG"), ("bert", "NG"))  # anna corrects herself
    found.add("p3", "REVIEW", ("Anna", "NG"), ("bert", "OK"))
    found.add("p4", "OK", ("Anna", "NG"), ("bert", "NG"))
    found.add("p1", "NG", ("Anna", "NG"), ("", "OK"))  # the part a second time
    found.add("p5", "OK")
    return found


def test_one_rating_a_part_and_person(cases: Cases) -> None:
    ratings = cases.ratings()
    assert ratings.names == ("Anna", "bert")
    assert ratings.nameless == 1
    assert [part.people.get("Anna", []) for part in ratings.parts] == [["OK", "NG"], ["NG"], ["NG"], ["NG"], []]
    assert cases.ratings(only=["BERT"]).names == ("bert",)


def test_all_comparisons(cases: Cases) -> None:
    study = study_agreement(cases.ratings())
    assert study.parts == 4
    assert [(one.rater, one.same.count, one.same.n) for one in study.with_itself] == [
        ("Anna", 0, 1),
        ("bert", 0, 0),
        (TOOL, 0, 1),
    ]
    (pair,) = study.between_people
    assert (pair.same.count, pair.same.n) == (3, 4)
    assert pair.kappa.value == pytest.approx(0.5)
    assert (study.all_people.count, study.all_people.n) == (3, 4)
    anna, bert = study.with_tool
    assert (anna.right.count, anna.right.n) == (2, 4)
    assert (anna.missed.count, anna.missed.n) == (1, 3)
    assert (anna.review.count, bert.false_alarms.count) == (1, 0)
    assert study.against_standard == ()


def test_another_model_is_another_rater() -> None:
    found = Cases()
    for model in ("evidence", "evidence", "openai:x"):
        found.add("p1", "NG" if model == "openai:x" else "OK", ("a", "OK"), model=model)
    (person, tool) = study_agreement(found.ratings()).with_itself
    assert (tool.same.count, tool.same.n) == (1, 1)
    assert (person.same.count, person.same.n) == (1, 1)


def test_against_a_standard(cases: Cases, tmp_path: Path) -> None:
    (tmp_path / "truth.csv").write_text("serial,outcome\np1,OK\np2,ng\np3,NG\np4,bad\nunknown,OK\n")
    ratings = cases.ratings()
    study = study_agreement(ratings, read_standard(tmp_path / "truth.csv", ratings), standard="truth.csv")
    anna, bert, tool = study.against_standard
    assert (anna.rater, anna.right.count, anna.right.n, anna.grade) == ("Anna", 4, 4, "acceptable")
    assert (bert.missed.count, bert.missed.n, bert.grade) == (1, 3, "unacceptable")
    assert (tool.missed.count, tool.review.count, tool.right.count) == (1, 1, 2)
    name, truth = standard_of("ANNA", ratings)
    by_anna = study_agreement(ratings, truth, standard=name)
    assert [one.rater for one in by_anna.against_standard] == ["bert", TOOL]
    with pytest.raises(ConfigError, match="Anna, bert"):
        standard_of("carla", ratings)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("serial,outcome\np1,maybe\n", "line 2, outcome: 'maybe'"),
        ("serial,outcome\np1,OK\np1,NG\n", "line 3: p1 is OK and NG"),
        ("name,outcome\np1,OK\n", "line 1: the columns are"),
        ("serial,outcome\nx,OK\n", "names none of the parts"),
        ("", "line 1: the columns are"),
    ],
)
def test_a_wrong_standard_is_one_line(cases: Cases, tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "truth.csv").write_text(text)
    with pytest.raises(ConfigError) as refused:
        read_standard(tmp_path / "truth.csv", cases.ratings())
    assert told in str(refused.value)


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as left:
        cli.main(["agreement", *map(str, arguments)])
    assert isinstance(left.value.code, int)
    return left.value.code


def test_the_command_on_a_real_store(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "plate.yaml").write_text(BOOK)
    inspector = Inspector(rules=load_rules(tmp_path / "plate.yaml"), localizer=None)
    store = tmp_path / "cases.db"
    with CaseStore(store) as cases:
        for number, grey in enumerate((180, 60, 190)):
            path = tmp_path / f"{number}.png"
            Image.fromarray(np.full((40, 40, 3), grey, np.uint8)).save(path)
            case_id = cases.save(inspector.examine(path), path, serial=f"S{number}")
            cases.judge(case_id, "OK" if number == 0 else "NG", by="Anna")
            cases.judge(case_id, "OK" if number == 0 else "NG", by="<b>bert")
    (tmp_path / "truth.csv").write_text("source,outcome\n0.png,OK\n1.png,NG\n2.png,OK\n")
    page = tmp_path / "page.html"
    assert run("--store", store, "--standard", tmp_path / "truth.csv", "--html", page) == 0
    told = capfd.readouterr().out
    assert "3 parts judged by <b>bert, Anna." in told
    assert "3 of 3, 100.0 % (29.2 to 100.0 %)" in told
    text = page.read_text()
    assert "&lt;b&gt;bert" in text
    assert "<b>bert" not in text
    assert run("--store", store, "--json", "-") == 0
    study = json.loads(capfd.readouterr().out)
    missed = study["with_tool"][0]["missed"]
    assert (missed["count"], missed["n"], missed["rate"]) == (1, 2, 0.5)
    assert run("--store", store, "--class", "other") == 0
    assert "Nobody judged a part yet" in capfd.readouterr().out
    for wrong in (("--standard", page, "--standard-by", "Anna"), ("--standard-by", "carla"), ("--since", "soon")):
        assert run("--store", store, *wrong) == 2
        assert capfd.readouterr().err.count("\n") == 1
