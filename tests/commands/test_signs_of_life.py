"""A command that works for long says so by time: every few seconds a line of the step at work."""

import io
import sys
import time

import pytest

from tests.waiting import until
from vlm_inspect.command_options.general import progress, progress_lines
from vlm_inspect.step_lines import LINE_EVERY_S, StepLines, Ticker, duration_words, line_every_s


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLM_INSPECT_PROGRESS_S", "0.01")


@pytest.mark.usefixtures("quick")
def test_a_step_that_takes_long_is_told_more_than_once_where_no_terminal_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = ""
    with progress(quiet=False) as say:
        say("learning: 3 of 120 [view 0]\x1b[2J\nand more")

        def is_told_twice() -> bool:
            nonlocal told
            told += capsys.readouterr().err
            return told.count("\n") >= 2

        until(is_told_twice)
    assert {line.partition(": ")[2] for line in told.splitlines()} == {"learning: 3 of 120 [view 0] and more"}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("shown", [progress, progress_lines])
def test_quiet_says_nothing(shown: object, capsys: pytest.CaptureFixture[str]) -> None:
    with shown(quiet=True) as say:  # type: ignore[operator]
        say("learning")
        time.sleep(0.05)
    assert capsys.readouterr() == ("", "")


def test_a_line_has_the_time_and_nothing_is_written_between_parts() -> None:
    now, lines = [100.0], list[str]()
    shown = StepLines(every_s=3600.0, write=lines.append, clock=lambda: now[0])
    with shown:
        shown.tick()
        shown.say("reading the part")
        now[0] += 75
        shown.tick()
        shown.say("")
        shown.tick()
    assert lines == ["1 min 15 s: reading the part"]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59.6, "1 min 0 s"), (125, "2 min 5 s"), (3780, "1 h 3 min")]
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert duration_words(seconds) == words


def test_a_reader_that_is_gone_ends_the_lines_and_not_the_work() -> None:
    calls = []

    def gone() -> None:
        calls.append(1)
        raise BrokenPipeError

    with Ticker(gone, 0.001):
        until(lambda: len(calls) == 1)
        time.sleep(0.02)
    assert len(calls) == 1


def test_a_terminal_shows_a_name_in_brackets_and_leaves_stdout_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen, file = Terminal(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(sys, "stdout", file)
    monkeypatch.setenv("TERM", "xterm")
    with progress(quiet=False) as say:
        say("reading [bold]part[/wrong].png")
        print("the result")  # noqa: T201 - as a command does
        until(lambda: "[bold]part[/wrong].png" in screen.getvalue())
    assert file.getvalue() == "the result\n"


@pytest.mark.parametrize("told", ["", "soon", "-1", "0", "nan"])
def test_an_interval_that_is_none_is_the_usual_one(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLM_INSPECT_PROGRESS_S", told)
    assert line_every_s() == LINE_EVERY_S
    monkeypatch.setenv("VLM_INSPECT_PROGRESS_S", "60")
    assert line_every_s() == 60.0
