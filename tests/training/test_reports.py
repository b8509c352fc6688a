"""What a person sees of a run: a bar on a terminal, lines in a log, nothing when quiet."""

import io
import sys

import pytest

from vlm_inspect.training.reports import Lines, Report, Step, reporting


def step(number: int, *, last: bool = False) -> Step:
    losses = {"dice": 0.25, "total": 1.5, "bce": 0.125}
    return Step(number, 20, (number - 1) // 10 + 1, 2, last, losses, 1e-4)


def show_twenty(report: Report) -> None:
    report.say("starting")
    report.progress("checking plate: 1 of 2 pictures")
    for number in range(1, 21):
        report.show(step(number, last=number % 10 == 0))


def test_a_log_gets_one_line_an_epoch_and_the_total_first(capsys: pytest.CaptureFixture[str]) -> None:
    with reporting(quiet=False) as report:
        show_twenty(report)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "starting",
        "epoch 1/2, step 10/20: total 1.5, bce 0.125, dice 0.25; lr 0.0001",
        "epoch 2/2, step 20/20: total 1.5, bce 0.125, dice 0.25; lr 0.0001",
    ]


def test_a_log_gets_every_step_where_steps_are_slow(capsys: pytest.CaptureFixture[str]) -> None:
    show_twenty(Lines(every_s=0.0))
    assert len(capsys.readouterr().err.splitlines()) == 22


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    with reporting(quiet=True) as report:
        show_twenty(report)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with reporting(quiet=False) as report:
        show_twenty(report)
    shown = screen.getvalue()
    assert "starting" in shown
    assert "epoch 1/2 total 1.5, bce 0.125, dice 0.25; lr 0.0001" in shown
    assert "20/20" in shown
