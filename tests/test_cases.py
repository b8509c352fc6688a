"""`ask --save` and `cases`, from the outside: what is printed, where, and with which exit code."""

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from converters.digest import sha256_of
from tests.store.parts import ANSWER, examine, full_examination
from vlm_inspect import cli
from vlm_inspect.commands.cases import cases
from vlm_inspect.inspection import Inspection
from vlm_inspect.rules import RuleBook
from vlm_inspect.store import CaseStore


class Ran(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def store_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "cases.db"
    monkeypatch.setenv("VLM_INSPECT_STORE", str(path))
    return path


@pytest.fixture
def run(store_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setitem(cli.cli.commands, "cases", cases)
    monkeypatch.delenv("VLM_INSPECT_MODEL", raising=False)

    def call(*arguments: object) -> Ran:
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main([str(a) for a in arguments])
        out, err = capfd.readouterr()
        return Ran(int(str(left.value.code)), out, err)

    return call


@pytest.fixture
def two(store_path: Path) -> tuple[str, str]:
    """A plate that is odd, from December, talked over; and a screw that is normal, from March."""
    normal = json.dumps({**ANSWER, "anomalous": False, "probability": 0.01, "rules": [], "defects": []})
    screw = examine(rules=RuleBook(class_name="screw"), texts=[normal], question="=1+1")
    with CaseStore(store_path) as store:
        old = store.save(full_examination("2025-12-31T10:00:00+00:00"), "in/pl\x1b[31mate.png")
        store.add_turn(old, "user", "Why is it NG?")
        store.add_correction(old, "ignore", {"box": [0.1, 0.2, 0.3, 0.4]}, accepted=True)
        new = store.save(screw, "in/screw.png")
    return old, new


@pytest.fixture
def part(tmp_path: Path) -> Path:
    path = tmp_path / "part.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8)).save(path)
    return path


def test_ask_keeps_a_case_and_says_its_id_on_stderr(run: Run, part: Path, tmp_path: Path) -> None:
    done = run("ask", part, "--localizer", "none", "--json", "-", "--save", "--keep-input", "--quiet")
    assert done.code == 3, done
    found = re.fullmatch(r"saved as case (\d{8}-\d{6}-[0-9a-f]{4})\n", done.err)
    assert found, done.err
    shown = run("cases", "show", found[1], "--json", "--input", tmp_path / "back")
    assert shown.code == 0, shown
    case = json.loads(shown.out)
    assert case["inspection"] == json.loads(done.out)
    assert case["settings"]["config"]["model"]["samples"] == 1
    assert case["settings"]["folder"] == str(Path.cwd())
    assert not set(case["settings"]) & {"save", "store", "debug", "quiet", "json_path"}
    assert case["input"] == ["part.png"]
    assert sha256_of(tmp_path / "back" / "part.png") == sha256_of(part)


def test_ask_without_save_keeps_nothing(run: Run, part: Path, store_path: Path) -> None:
    assert run("ask", part, "--localizer", "none").code == 3
    assert not store_path.exists()
    assert run("ask", part, "--keep-input").err.count("--keep-input requires --save") == 1


def test_a_store_that_cannot_be_used_is_told_before_the_part_is_read(run: Run, tmp_path: Path) -> None:
    done = run("ask", tmp_path / "missing.png", "--save", "--store", tmp_path)
    assert done.code == 2
    assert "is a folder; name the store's file in it" in done.err


def test_an_answer_that_cannot_be_kept_is_shown_all_the_same(
    run: Run, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> str:
        raise OSError(28, "No space left on device", "cases.db")

    monkeypatch.setattr(CaseStore, "save", fail)
    done = run("ask", part, "--localizer", "none", "--save", "--json", "-")
    assert done.code == 2
    assert json.loads(done.out)["outcome"] == "REVIEW"
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize("command", [("cases",), ("cases", "list")])
def test_cases_are_listed_newest_first(run: Run, two: tuple[str, str], command: tuple[str, ...]) -> None:
    listed = run(*command)
    assert listed.code == 0
    lines = listed.out.splitlines()
    assert "\x1b" not in listed.out
    assert [line.split()[0] for line in lines[2:]] == [two[1], two[0]]
    assert lines[2].split()[1:] == ["OK", "0.01", "screw", "screw.png"]
    assert lines[3].split()[1:] == ["NG", "0.83", "plate", "plate.png", "1"]


def test_the_list_is_json_for_programs(run: Run, two: tuple[str, str]) -> None:
    listed = json.loads(run("cases", "--json").out)
    assert [line["id"] for line in listed] == [two[1], two[0]]
    assert listed[1]["turns"] == 1
    assert json.loads(run("cases", "--json", "--class", "nut").out) == []


def test_a_person_judges_a_case_and_finds_it_by_that(run: Run, two: tuple[str, str], tmp_path: Path) -> None:
    for outcome, by in (("ok", "bob"), ("NG", "Anna  B.")):
        done = run("cases", "judge", two[1], outcome, "--by", by, "--reason", f"says {by}")
        assert (done.code, done.err) == (0, "")
    assert done.out == f"case {two[1]} judged NG by Anna B.\n"
    listed = json.loads(run("cases", "--json").out)
    assert [(one["judged"], one["judged_by"]) for one in listed] == [("NG", "Anna B."), (None, None)]
    assert listed[0]["outcome"] == "OK"  # what the inspection said stays
    assert re.search(r"screw.png +NG Anna B. 20\d\d-", run("cases").out)
    for value, found in (("ng", [1]), ("OK", []), ("none", [0]), ("any", [1])):
        listed = json.loads(run("cases", "--json", "--judged", value).out)
        assert [line["id"] for line in listed] == [two[i] for i in found]
    shown = run("cases", "show", two[1]).out
    assert re.search(r"judged OK by bob, 20\S+: says bob\n\njudged NG by Anna B., 20\S+: says Anna", shown)
    (case,) = map(json.loads, run("cases", "export", "--judged", "any").out.splitlines())
    assert [(one["outcome"], one["by"]) for one in case["judgements"]] == [("OK", "bob"), ("NG", "Anna B.")]
    rows = list(csv.DictReader(io.StringIO(run("cases", "export", "--format", "csv").out)))
    assert [row["judged"] for row in rows] == ["NG", ""]
    assert rows[0]["judged_by"] == "Anna B."
    assert rows[0]["judged_at"] == case["judgements"][1]["created_at"]
    assert rows[0]["judged_reason"] == "says Anna  B."


def test_a_judgement_needs_a_case_an_outcome_and_a_name(run: Run, two: tuple[str, str]) -> None:
    for arguments, told in (
        (("1999", "ok"), "no case 1999"),
        ((two[0], "review"), "'review' is not one of 'ok', 'ng'"),
        ((two[0], "ok", "--by", " "), "nobody is named"),
        ((two[0], "ok", "--by", "x" * 201), "longer than 200"),
    ):
        done = run("cases", "judge", *arguments)
        assert (done.code, done.out) == (2, "")
        assert told in done.err
        assert len(done.err.splitlines()) == 1
    assert json.loads(run("cases", "--json", "--judged", "any").out) == []


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (("--outcome", "ok"), [1]),
        (("--class", "plate"), [0]),
        (("--since", "2026-01-01"), [1]),
        (("--until", "2025-12-31"), [0]),
        (("--text", "SCREW.png"), [1]),
        (("--limit", "1"), [1]),
        (("--class", "nut"), []),
    ],
)
def test_filters(run: Run, two: tuple[str, str], filters: tuple[str, ...], found: list[int]) -> None:
    for command in (("cases", "--json"), ("cases", "list", "--json")):
        listed = json.loads(run(*command, *filters).out)
        assert [line["id"] for line in listed] == [two[i] for i in found]
    exported = run("cases", "export", *filters).out.splitlines()
    assert [json.loads(line)["id"] for line in exported] == [two[i] for i in found]


def test_a_case_is_shown_with_what_was_said_over_it(run: Run, two: tuple[str, str], tmp_path: Path) -> None:
    page, picture = tmp_path / "case.html", tmp_path / "case.png"
    shown = run("cases", "show", two[0], "--html", page, "--overlay", picture)
    assert shown.code == 0, shown
    assert "\x1b" not in shown.out
    for words in (
        f"case {two[0]}",
        "question: Where is it?",
        "There is a dark spot in the middle.",
        "1 user\nWhy is it NG?",
        'correction 1, accepted: ignore {"box": [0.1, 0.2, 0.3, 0.4]}',
        f"written: {page}",
    ):
        assert words in shown.out
    assert "dark spot" in page.read_text(encoding="utf-8")
    with Image.open(picture) as sheet:
        assert sheet.format == "PNG"
    case = json.loads(run("cases", "show", two[0], "--json").out)
    assert Inspection.model_validate(case["inspection"]).outcome == "NG"
    assert case["turns"][0]["text"] == "Why is it NG?"
    assert case["corrections"][0]["accepted"] is True
    assert case["replies"][0]["text"] == json.dumps(ANSWER)
    assert case["rules"].startswith("# What a plate must be.")


def test_cases_are_exported_as_csv_that_no_spreadsheet_runs(run: Run, two: tuple[str, str], tmp_path: Path) -> None:
    out = tmp_path / "cases.csv"
    done = run("cases", "export", "--format", "csv", "--out", out)
    assert (done.code, done.out) == (0, "")
    assert "2 cases written to" in done.err
    rows = list(csv.DictReader(io.StringIO(out.read_text(encoding="utf-8"))))
    assert [row["id"] for row in rows] == [two[1], two[0]]
    assert rows[0]["question"] == "'=1+1"
    assert rows[1]["failed_rules"] == "clean"
    assert rows[1]["answer"] == ANSWER["answer"]
    named = run("cases", "export", two[0], two[0], "--format", "csv")
    assert len(list(csv.DictReader(io.StringIO(named.out)))) == 1
    assert run("cases", "export", two[0], "--outcome", "OK").code == 2


@pytest.mark.parametrize(
    "arguments",
    [("list",), ("list", "--json"), ("show",), ("show", "--json"), ("export",), ("export", "--format", "csv")],
    ids=" ".join,
)
def test_no_name_drives_the_terminal(run: Run, store_path: Path, arguments: tuple[str, ...]) -> None:
    driving = "\x1b[31m\x1b]0;title\x07\x9b2J\u202e\u2066"
    examination = examine(rules=RuleBook(class_name=f"nut{driving}"), question=f"why{driving}?")
    with CaseStore(store_path) as store:
        kept = store.save(examination, f"in/nut{driving}.png")
    done = run("cases", *arguments[:1], *[kept] * (arguments[0] == "show"), *arguments[1:])
    assert done.code == 0, done
    assert "nut" in done.out
    assert not [sign for sign in driving if sign in done.out and not sign.isprintable()]
    if "--json" in arguments:
        told = json.loads(done.out)
        source = (told[0] if isinstance(told, list) else told)["source"]
        assert source.endswith(f"in/nut{driving}.png")  # nothing is lost


def test_cases_are_deleted_all_or_none(run: Run, two: tuple[str, str], store_path: Path) -> None:
    failed = run("cases", "delete", two[0], "20990101")
    assert failed.code == 2
    assert "no case 20990101" in failed.err
    assert len(json.loads(run("cases", "--json").out)) == 2
    done = run("cases", "delete", two[0], two[1])
    assert (done.code, done.out) == (0, f"deleted {two[0]}\ndeleted {two[1]}\n")
    empty = run("cases")
    assert (empty.code, empty.out) == (0, "")
    assert "no case passes" in empty.err
    assert not list(store_path.with_name("cases.db.files").glob("*/*"))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("show", "20"), "several cases begin with 20"),
        (("show", "1999"), "no case 1999; vlm-inspect cases lists them"),
        (("show", "bogus!"), "is not the id of a case"),
        (("--since", "yesterday"), "'yesterday' is not a date"),
        (("--store", "missing/cases.db"), "no such folder"),
        (("--store", "missing.db"), "no such store"),
        (("--store", ""), "--store is empty"),
        (("show", "20", "--json", "--html", "a.html"), "--json shows the case alone"),
        (("bogus",), "No such command"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_2(
    run: Run, two: tuple[str, str], arguments: tuple[str, ...], told: str
) -> None:
    done = run("cases", *arguments)
    assert (done.code, done.out) == (2, "")
    assert told in done.err
    assert len(done.err.splitlines()) == 1


def test_a_case_whose_files_were_deleted_still_shows_its_inspection(
    run: Run, two: tuple[str, str], store_path: Path, tmp_path: Path
) -> None:
    for path in store_path.with_name("cases.db.files").glob("*/view-*"):
        path.unlink()
    assert "dark spot" in run("cases", "show", two[0]).out
    drawn = run("cases", "show", two[0], "--overlay", tmp_path / "case.png")
    assert drawn.code == 2
    assert "is gone: put it back from a copy, or delete the case" in drawn.err
    assert run("cases", "delete", two[0]).code == 0


def test_help_has_a_runnable_example(run: Run) -> None:
    for command in ((), ("list",), ("show",), ("judge",), ("export",), ("delete",)):
        shown = run("cases", *command, "--help")
        assert shown.code == 0
        assert "vlm-inspect cases" in shown.out.partition("Example:")[2]
