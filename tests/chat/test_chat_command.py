"""`vlm-inspect chat` from its arguments to its exit code, in this process; and its line editing at a terminal."""

import io
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.backends.openai_server import OpenAIServer, status
from tests.chat.conftest import Desk
from tests.chat.scripted_model import says
from tests.waiting import LONGEST_S
from vlm_inspect.cli import main
from vlm_inspect.replay.settings import config_of
from vlm_inspect.store import CaseStore

PROMPT = r"\?2004h[^>]*>"
"""A line editor that begins: it asks the terminal to mark what is pasted, then writes its sign."""
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("VLM_INSPECT_STORE", raising=False)

    def call(*arguments: object, typed: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        with pytest.raises(SystemExit) as left:
            main(["chat", *map(str, arguments)])
        told = capsys.readouterr()
        return int(left.value.code or 0), told.out, told.err

    return call


def test_a_part_is_inspected_kept_and_talked_over(run: Run, desk: Desk, tmp_path: Path) -> None:
    store = tmp_path / "own.db"
    part, rules = desk.folder / "spot.png", desk.rules_path
    code, out, err = run(
        part, "--rules", rules, "--localizer", "none", "--store", store, "--pictures", tmp_path, "--question", "ok?",
        "--by", "Anna  B.", typed="which rule?\n/ng\n",
    )  # fmt: skip
    assert code == 0, err
    assert "bright (minor): pass." in out
    assert err.splitlines()[1].startswith("REVIEW")
    with CaseStore(store) as kept:
        (line,) = kept.list()
        assert line.question == "ok?"
        assert config_of(kept.load(line.id)).rules == rules
        assert line.judged == "NG"
        assert [(one.outcome, one.by, one.reason) for one in kept.judgements(line.id)] == [("NG", "Anna B.", "")]
    code, out, _ = run(line.id[:15], "--store", store, typed="/rule clean: It is clean.\nyes\n")
    assert (code, "changed" in out) == (0, True)
    assert "id: clean" in rules.read_text()


def test_without_a_target_the_newest_case_is_taken_up(run: Run, desk: Desk) -> None:
    code, out, err = run("--store", desk.folder / "cases.db", typed="is it ok?\n/ok\n/reference\n")
    assert code == 2
    assert "spot.png" in err
    assert out.count("error: this case has no rule book") == 2


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["20200101-000000-0000"], "no case 20200101"),
        (["nowhere.png", "--localizer", "none"], "nowhere.png"),
        (["", "--rules", "x.yaml"], "x.yaml"),
        (["20200101-000000-0000", "--model", "magic:1"], "magic"),
    ],
)
def test_what_cannot_begin_is_one_line(run: Run, desk: Desk, arguments: list[str], hint: str) -> None:
    code, out, err = run(*arguments, "--store", desk.folder / "cases.db")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert hint in err


def test_an_empty_store_says_how_to_begin(run: Run) -> None:
    code, _, err = run()
    assert code == 2
    assert "name a part" in err


def test_a_script_whose_question_gets_no_answer_fails(run: Run, desk: Desk) -> None:
    case = desk.case().id
    with OpenAIServer([status(401), says("yes.")]) as server:
        code, out, _ = run(
            case, "--store", desk.folder / "cases.db", "--model", "openai:tiny", "--base-url", server.base_url,
            typed="one?\ntwo?\n",
        )  # fmt: skip
    assert code == 2
    assert out.startswith("error: openai:tiny: status 401")
    assert out.endswith("\nyes.\n\n")


def test_questions_are_piped_in_and_only_a_line_of_yes_is_one(run: Run, desk: Desk) -> None:
    code, out, err = run(
        desk.case().id, "--store", desk.folder / "cases.db", "--rules", desk.rules_path, "--quiet",
        typed="where is it?\n\n/ignore 1\nis it ok?\n/rule bright max=120\nyes\n",
    )  # fmt: skip
    assert (code, err) == (0, "")
    where, ignore, verdict, limit = out.strip().split("\n\n")
    assert where.startswith("Region 1")
    assert ignore.endswith("Apply? yes or no\nnothing changed")  # the next line is a question, not a yes
    assert verdict.startswith("NG, ")
    assert limit.endswith(f"changed {desk.rules_path}")
    assert "max: 120}" in desk.rules_path.read_text()
    assert "ignore" not in desk.rules_path.read_text()


def test_lines_are_edited_and_remembered_at_a_terminal(desk: Desk) -> None:
    pexpect = pytest.importorskip("pexpect")
    environment = {
        **os.environ, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", "HOME": str(desk.folder),
        "XDG_DATA_HOME": str(desk.folder), "PYTHONPATH": str(Path.cwd()),
    }  # fmt: skip
    child = pexpect.spawn(
        sys.executable, ["-m", "vlm_inspect.cli", "chat", desk.case().id, "--store", "cases.db"],
        cwd=desk.folder, env=environment, encoding="utf-8", timeout=LONGEST_S, dimensions=(40, 150),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored where tests run in the background
    )  # fmt: skip
    child.expect(PROMPT)
    child.send("how many xx\x7f\x7fplaces\r")  # two characters taken back
    child.expect("of 1 that is numbered")
    child.expect(PROMPT)
    child.send("\x1b[A")  # the line before, again
    child.expect("places")
    child.send("\r")
    child.expect("of 1 that is numbered")
    child.expect(PROMPT)
    child.send("half a line\x03")  # Ctrl-C gives it up
    child.expect(PROMPT)
    child.send("\x04")  # Ctrl-D leaves
    child.expect(pexpect.EOF)
    child.wait()  # it has closed the terminal, which is not yet its end
    child.close()
    assert child.exitstatus == 0
    asked = [turn.text for turn in desk.store.turns(desk.case().id) if turn.role == "user"]
    assert asked == ["how many places", "how many places"]
    assert "how many places" in (desk.folder / "vlm-inspect" / "chat_history").read_text()
