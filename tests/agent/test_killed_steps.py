"""A killed examination goes on without paying for a step twice: a real process, a real kill, and counted requests."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.agent.scripted import BOX, FAR_BOX, run_ask, turn, verdict, write_plate
from tests.backends.openai_server import Behaviour, Body, OpenAIServer, Recorded, hang, status
from tests.waiting import LONGEST_S
from vlm_inspect.backends.backend import Reply
from vlm_inspect.backends.model_turn import ToolCall
from vlm_inspect.backends.reply_journal import OLD_S, SUFFIX, ReplyJournal, remove_old
from vlm_inspect.inspection import Usage

SCRIPT = (turn("observe", "zoom", BOX), turn("observe", "zoom", FAR_BOX), turn("judge"), verdict())


def steps_of(body: Body) -> int:
    """How many turns of the model a request holds."""
    return sum(message["role"] == "assistant" for message in body["messages"])


def accepted(server: OpenAIServer) -> list[Recorded]:
    return [one for one in server.requests if "tools" not in one.body]


def play(*, hangs_at: list[int]) -> Behaviour:
    """Play the script by what was said before; hang once at each of these steps."""

    def respond(body: Body) -> object:
        step = steps_of(body)
        if step in hangs_at:
            hangs_at.remove(step)
            return hang(60)(body)
        return SCRIPT[step](body)

    return respond  # type: ignore[return-value]


def start(photo: Path, server: OpenAIServer, store: Path) -> "subprocess.Popen[bytes]":
    rules = str(photo.with_name("plate.yaml"))
    command = [sys.executable, "-m", "vlm_inspect", "ask", str(photo), "--rules", rules, "--model", "openai:tiny"]
    command += ["--base-url", server.base_url, "--localizer", "none", "--agent", "--json", "-", "--store", str(store)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ.copy())


def test_a_kill_in_the_middle_of_a_step_pays_for_no_other_twice(tmp_path: Path) -> None:
    photo, store = write_plate(tmp_path), tmp_path / "cases.db"
    with OpenAIServer([play(hangs_at=[2])], refuses=("tools",)) as server:
        process = start(photo, server, store)
        deadline = time.monotonic() + LONGEST_S
        while not any(steps_of(one.body) == 2 for one in accepted(server)):
            assert time.monotonic() < deadline, "it never came to its third step"
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        (kept,) = (tmp_path / f"cases.db{SUFFIX}").iterdir()
        assert kept.stat().st_mode & 0o077 == 0
        done = run_ask(photo, server.base_url, ("--store", str(store)))
        assert done.exception is None
        asked = [steps_of(one.body) for one in accepted(server)]
    assert sorted(asked) == [0, 1, 2, 2, 3], "only the step without an answer is asked again"
    found = json.loads(done.stdout)
    assert (found["outcome"], len(found["steps"])) == ("OK", 4)
    assert all(step["usage"]["prompt_tokens"] > 0 for step in found["steps"]), "what was paid before is in the account"
    assert "2 answers of before" in done.stderr
    assert not kept.parent.exists(), "a finished examination leaves nothing"


def test_a_step_that_got_no_answer_is_gone_on_with(tmp_path: Path) -> None:
    photo, options = write_plate(tmp_path), ("--store", str(tmp_path / "cases.db"))
    lost = iter([False, True])

    def respond(body: Body) -> object:
        return (status(401, "bad key") if next(lost, False) else SCRIPT[steps_of(body)])(body)

    with OpenAIServer([respond], refuses=("tools",)) as server:  # type: ignore[list-item]
        first, second = (json.loads(run_ask(photo, server.base_url, options).stdout) for _ in range(2))
        asked = [steps_of(one.body) for one in accepted(server)]
    assert (first["outcome"], second["outcome"]) == ("REVIEW", "OK")
    assert asked == [0, 1, 1, 2, 3]


def test_another_question_or_another_part_begins_anew(tmp_path: Path) -> None:
    photo, options = write_plate(tmp_path), ("--store", str(tmp_path / "cases.db"))
    with OpenAIServer([play(hangs_at=[])], refuses=("tools",)) as server:
        for _ in range(2):
            assert run_ask(photo, server.base_url, options).exception is None
        assert len(accepted(server)) == 2 * len(SCRIPT), "nothing is kept of what came to its end"


def test_a_torn_line_is_asked_again_and_the_next_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "one.replies"
    first = Reply("", usage=Usage(prompt_tokens=3, calls=1), calls=(ToolCall("c", "zoom", "{}"),))
    journal = ReplyJournal(path)
    journal.add("a", [first])
    journal.add("b", [Reply("two")])
    path.write_bytes(path.read_bytes()[:-9])
    torn = ReplyJournal(path)
    assert (torn.get("a"), torn.get("b")) == ((first,), None)
    torn.add("b", [Reply("again")])
    whole = ReplyJournal(path)
    assert (whole.get("a"), whole.get("b"), len(whole)) == ((first,), (Reply("again"),), 2)
    whole.discard()
    assert not path.exists()


@pytest.mark.filterwarnings("default::vlm_inspect.errors.InspectWarning")
def test_a_disk_that_takes_nothing_loses_no_answer(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match="a kill would lose"):
        ReplyJournal(tmp_path / "file" / "one.replies").add("a", [Reply("x")])


def test_journals_that_nobody_went_on_with_are_removed(tmp_path: Path) -> None:
    old, new, other = (tmp_path / name for name in (f"a{SUFFIX}", f"b{SUFFIX}", "c.txt"))
    for path in (old, new, other):
        path.write_text("")
    for path in (old, other):
        os.utime(path, (time.time() - 2 * OLD_S,) * 2)
    remove_old(tmp_path)
    assert [path.exists() for path in (old, new, other)] == [False, True, True]
