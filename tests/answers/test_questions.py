"""Questions in seven languages: what they ask for, which rules, measures and places they name, and their language."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from vlm_inspect.answers.language import fold, load_languages, named_language
from vlm_inspect.answers.questions import read_question, tell_language
from vlm_inspect.rules import RuleBook

BOOK = RuleBook.model_validate(
    {
        "class_name": "screw",
        "rules": [
            {"id": "thread-complete", "text": "The thread runs unbroken from the neck to the tip."},
            {"id": "straight", "text": "The shaft is straight."},
            {"id": "recess", "text": "The Phillips recess is a clean cross."},
            {"id": "head-width", "text": "The head is wide.", "check": {"measure": "width", "min": 7.2, "max": 8.4}},
        ],
        "defects": ["dent", "bent"],
    }
)
ASKED = yaml.safe_load((Path(__file__).parent / "questions.yaml").read_text(encoding="utf-8"))
CASES = [(language, row) for language, rows in ASKED.items() for row in rows]


def test_questions_are_tested_in_every_language() -> None:
    assert list(ASKED) == list(load_languages())


@pytest.mark.parametrize(("language", "row"), CASES, ids=[row["ask"] for _, row in CASES])
def test_a_question_is_understood(language: str, row: dict[str, list[str]]) -> None:
    usual = load_languages()[language]
    read = read_question(row["ask"], BOOK, usual=usual)
    assert read.language.name == language
    assert list(read.topics) == row["topics"]
    assert [rule.id for rule in read.rules] == row.get("rules", [])
    assert list(read.measures) == row.get("measures", list(read.measures))
    assert list(read.numbers) == row.get("numbers", [])
    assert read.is_understood == bool(row["topics"])


@pytest.mark.parametrize(("language", "row"), CASES, ids=[row["ask"] for _, row in CASES])
def test_a_question_tells_its_language_by_itself(language: str, row: dict[str, list[str]]) -> None:
    if row["ask"] in ("合格吗？", "head-width はどうですか？"):
        return
    told = tell_language(fold(row["ask"]))
    assert told is not None
    assert told.name == language


@pytest.mark.parametrize(
    ("text", "usual", "language"),
    [
        ("合格？", None, "Chinese"),
        ("合格？", "Japanese", "Japanese"),
        ("normal?", None, "English"),
        ("normal?", "Spanish", "Spanish"),
        ("Farbe?", "German", "German"),
        ("Хорошо?", "German", "English"),
        ("xyzzy", "Chinese", "English"),
        ("", "French", "French"),
    ],
)
def test_where_a_question_does_not_tell_its_language_the_dialogue_does(
    text: str, usual: str | None, language: str
) -> None:
    known = load_languages()
    assert read_question(text, BOOK, usual=None if usual is None else known[usual]).language.name == language


@pytest.mark.parametrize("written", ["Größe?", "GRÖSSE?", "Groesse?", "grösse"])
def test_umlauts_may_be_written_in_any_way(written: str) -> None:
    assert read_question(written, BOOK, usual=load_languages()["German"]).topics == ("size",)


def test_a_defect_of_the_book_and_a_number_name_places() -> None:
    read = read_question("the dent?", BOOK)
    assert (read.defects, read.topics) == (("dent",), ("where",))
    assert read_question("regions 1 and defect 3", BOOK).numbers == (1, 3)
    assert read_question("Bereich 12?", BOOK, usual=load_languages()["German"]).numbers == (12,)
    assert read_question("region 1234", BOOK).numbers == ()


def test_a_rule_is_named_by_a_word_of_its_text_where_nothing_else_is_asked() -> None:
    assert [rule.id for rule in read_question("the Phillips cross?", BOOK).rules] == ["recess"]
    assert read_question("how far from the head?", BOOK).rules == (), "a place is asked for, not the rule of the head"


@pytest.mark.parametrize(
    ("name", "language"),
    [("German", "German"), ("de", "German"), ("DEUTSCH", "German"), ("français", "French"), ("中文", "Chinese"),
     ("日本語", "Japanese"), ("Klingon", None), ("", None)],
)  # fmt: skip
def test_a_language_may_be_named_in_several_ways(name: str, language: str | None) -> None:
    found = named_language(name)
    assert (found.name if found else None) == language


@given(st.text(max_size=60))
def test_any_text_is_read(text: str) -> None:
    read = read_question(text, BOOK)
    assert read.is_understood == bool(read.topics)
