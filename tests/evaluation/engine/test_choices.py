"""The letter in an answer to a multiple-choice question: read where it stands, never guessed."""

from pathlib import Path

import pytest

from evaluation.engine.choices import question_template, question_text, read_choice
from vlm_inspect.backends.backend import Reply
from vlm_inspect.datasets.question import Question
from vlm_inspect.errors import ParseError
from vlm_inspect.prompting import load_template

QUESTION = Question(
    "a.png#1",
    "a.png",
    "set",
    "bolt",
    Path("a.png"),
    "Is there any defect?",
    (("A", "Yes."), ("B", "No."), ("C", "A crack")),
    "A",
    "Anomaly Detection",
    anomalous=True,
)


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ('{"reasoning": "a dent", "choice": "A"}', "A"),
        ('{"reasoning": "{B}", "choice": "b"}', "B"),
        ('```json\n{"choice": "C: A crack"}\n```', "C"),
        ('{"choice": "A crack"}', "C"),
        ('{"answer": "(B)"}', "B"),
        ("B", "B"),
        ("(c).", "C"),
        ("A. Yes.", "A"),
        ("No.", "B"),
        ("The answer is B.", "B"),
        ("I see a dent, so the correct option is: (A)", "A"),
    ],
)
def test_a_choice_is_read(text: str, letter: str) -> None:
    assert read_choice([Reply(text)], QUESTION) == letter


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Definitely.",
        "A dent is visible.",
        "Both answer A and answer B are right.",
        '{"choice": "D"}',
        '{"choice": null}',
        '{"reasoning": "the answer is A"}',
        "I cannot help with that.",
        "E",
    ],
)
def test_no_choice_is_none(text: str) -> None:
    with pytest.raises(ParseError):
        read_choice([Reply(text)], QUESTION)


def test_a_cut_or_refused_reply_is_none() -> None:
    for reason in ("length", "refusal"):
        with pytest.raises(ParseError):
            read_choice([Reply("A", finish_reason=reason)], QUESTION)


def test_most_replies_decide() -> None:
    replies = [Reply("B"), Reply("?"), Reply("A"), Reply("A")]
    assert read_choice(replies, QUESTION) == "A"
    assert read_choice(replies[:3], QUESTION) == "B"


def test_the_question_is_put_as_published() -> None:
    assert question_text(QUESTION) == "Is there any defect? Options: A: Yes. B: No. C: A crack"
    assert load_template(question_template()).takes_question
