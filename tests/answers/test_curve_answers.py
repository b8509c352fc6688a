"""Answers about a place of a curve: seconds or samples and the channel, in no language a share of the plot."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.sample import Series
from converters.series import render_series
from converters.view import ViewBudget
from vlm_inspect.answers.answering import answer_question
from vlm_inspect.answers.language import load_languages
from vlm_inspect.answers.places import number_places
from vlm_inspect.answers.questions import read_question
from vlm_inspect.answers.record import PartRecord
from vlm_inspect.decision.events import record_curve_events
from vlm_inspect.evidence import Evidence, Region
from vlm_inspect.inspection import Inspection
from vlm_inspect.rules import RuleBook
from vlm_inspect.sample_curve import SampleCurve, SampleEvent

BOOK = RuleBook(class_name="motor")
BOX = (0.3, 0.2, 0.5, 0.4)


def record(*, clock: bool, events: bool) -> PartRecord:
    """A place between the samples 229 and 455 of 1000 at 0.01 s; its event, where there is one, is a little shorter."""
    time = np.arange(1000.0) if not clock else np.arange(1000) / 100
    series = Series(Path("m.csv"), time, np.zeros((1000, 1)), ("force",), ("N",), time_is_index=not clock)
    (view,) = render_series(series, ViewBudget())
    place = view.origin.locate(BOX)
    region = Region(0, BOX, (0.4, 0.3), 0.97, 0.04, "deviation", True, place, note="a course as in no reference")
    first_s, peak_s, last_s = (2.6, 3.8, 4.4) if clock else (None, None, None)
    event = SampleEvent(260, 380, 440, first_s, peak_s, last_s, 0.97, ("force",), "a course as in no reference")
    curve = SampleCurve(None, np.zeros(1000), (event,)) if events else None
    evidence = Evidence(regions=(region,), reference_count=4, localizer="deviation", sample_curve=curve)
    return PartRecord(BOOK, (view,), evidence, (), number_places(evidence, BOOK, (view,)))


def ask(question: str, known: PartRecord, language: str) -> str:
    words = load_languages()[language]
    return " ".join(answer_question(read_question(question, BOOK, usual=words), known, words))


@pytest.mark.parametrize("language", list(load_languages()))
@pytest.mark.parametrize(("clock", "expected"), [(True, ("2.60", "4.40", "1.8")), (False, ("260", "440", "181"))])
def test_a_size_is_a_time_by_the_event(language: str, clock: bool, expected: tuple[str, ...]) -> None:
    said = ask(load_languages()[language].questions["size"][0], record(clock=clock, events=True), language)
    assert all(number in said.replace(",", ".") for number in (*expected, "force")), said
    assert "%" not in said
    assert "[view" not in said


def test_without_an_event_the_box_tells_the_time() -> None:
    assert "from 2.29 s to 4.55 s in force" in ask("how big?", record(clock=True, events=False), "English")
    assert "from sample 229 to 455 in force" in ask("how big?", record(clock=False, events=False), "English")


def test_where_and_how_far_along_are_times_and_samples() -> None:
    known = record(clock=False, events=True)
    assert "sample 342 in force" in ask("where is it?", known, "English")
    assert "at sample 342." in ask("how far along the part is it?", known, "English")
    assert "[view" not in ask("where is it?", known, "English")


@pytest.mark.parametrize(
    ("language", "question"),
    [
        ("English", "which channel is wrong, when, and how long?"),
        ("English", "How many seconds did it last?"),
        ("German", "Wie lange dauert die Abweichung?"),
        ("French", "combien de temps dure l'écart ?"),
        ("Spanish", "¿Cuántos segundos dura la desviación?"),
        ("Italian", "quanto tempo dura lo scostamento?"),
        ("Chinese", "偏差持续多久？"),
        ("Japanese", "偏差は何秒続きましたか？"),
    ],
)
def test_how_long_asks_for_the_seconds_of_a_place(language: str, question: str) -> None:
    said = ask(question, record(clock=True, events=True), language)
    assert all(number in said.replace(",", ".") for number in ("2.60", "4.40", "force")), said
    assert "length" not in said
    words = load_languages()[language]
    assert words.say("no_measure") not in said


def test_a_channel_without_events_is_told() -> None:
    known = record(clock=True, events=True)
    assert "No event was found" not in ask("is the force normal?", known, "English")
    quiet = replace(known, evidence=replace(known.evidence, sample_curve=SampleCurve(None, np.zeros(1000), ())))
    assert "No event was found in force." in ask("is the force normal?", quiet, "English")
    unknown = replace(known, evidence=replace(known.evidence, sample_curve=None))
    assert "No event was found" not in ask("is the force normal?", unknown, "English")


def test_what_a_rule_can_measure_of_a_curve_is_told() -> None:
    said = ask("what is the largest pressure value?", record(clock=True, events=True), "English")
    assert "No rule of this case was measured. A rule can measure duration, min, max" in said


def test_a_kept_case_has_its_events_in_the_inspection() -> None:
    known = record(clock=True, events=True)
    kept = replace(
        known,
        evidence=replace(known.evidence, sample_curve=None),
        inspection=Inspection.model_construct(
            outcome="NG", score=0.97, review_reasons=(), curve_events=record_curve_events(known.evidence.sample_curve)
        ),
    )
    assert "1.8 s long, from 2.60 s to 4.40 s in force" in ask("how many seconds did it last?", kept, "English")
