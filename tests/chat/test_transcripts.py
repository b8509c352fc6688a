"""Whole dialogues through a real pseudo-terminal, held against transcripts: commands in, screen out.

A transcript under tests/golden/chat holds both. Lines that begin with "> " or end an "Apply?" are what is typed. After
a wording change, UPDATE_GOLDEN=1 writes them anew; read the diff.
"""

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.backends.openai_server import OpenAIServer, status
from tests.chat.conftest import Desk
from tests.chat.scripted_model import calls, says
from tests.waiting import LONGEST_S

pexpect = pytest.importorskip("pexpect")
GOLDEN = Path(__file__).parents[1] / "golden" / "chat"
PROMPTS = [r"(?:\n|\x1b\[\?25h)> ", r"Apply\? yes or no: "]
BOX = [520, 300, 600, 380]

EVIDENCE = [
    "what is wrong?",
    "where, and how big?",
    "show me region 1",
    "compared with what, and how sure?",
    "what colour is it?",
    "/rule bright critical min=180",
    "maybe",
    "no",
    "/ignore 1",
    "yes",
    "/ng a long scratch",
    "no",
    "/rule nothing",
    "/paint",
    "/quit",
]
MODEL = ["is that a spot?", "that reflection is fine", "yes", "and now?", "are you there?", "/quit"]
SCRIPT = [
    calls(("zoom", {"view": 0, "box": BOX}), ("paint", {}), text="Let me look closer."),
    says("It is a dark spot, sharp at its edge. [view 0: 520, 300, 600, 380] [view 4: 0, 0, 10, 10]"),
    calls(
        ("propose_change", {"kind": "ignore", "reason": "It is a reflection.", "view": 0, "box": [360, 150, 740, 530]})
    ),
    says("I put that to you as a change."),
    says("The place does not count any more. [view 0: 520, 300, 600, 380]"),
    status(401, "who are you"),
]


def talk(desk: Desk, typed: Sequence[str], *options: str) -> str:
    """Type the lines into the command at a terminal, each when it is asked for; returns what the screen showed."""
    environment = {
        **os.environ,
        "TERM": "dumb",
        "HOME": str(desk.folder),
        "XDG_DATA_HOME": str(desk.folder),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(Path.cwd()), os.environ.get("PYTHONPATH")])),
    }
    arguments = ["-m", "vlm_inspect.cli", "chat", desk.case().id, "--store", "cases.db", "--rules", "plate.yaml"]
    child = pexpect.spawn(
        sys.executable, [*arguments, "--pictures", "pictures", *options], cwd=desk.folder, env=environment,
        encoding="utf-8", timeout=LONGEST_S, dimensions=(50, 200), echo=False,
    )  # fmt: skip
    shown = ""
    for line in typed:
        child.expect(PROMPTS)
        shown += child.before + child.after
        child.sendline(line)
    child.expect(pexpect.EOF)
    shown += child.before
    child.wait()
    child.close()
    assert child.exitstatus == 0, shown
    shown = re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", shown)
    shown = re.sub(r"(P\(anomalous\) )0\.\d\d", r"\g<1>0.NN", shown)  # what bounds are learnt to be is tested elsewhere
    return re.sub(r"\d{8}-\d{6}-[0-9a-f]{4}", "CASE-ID", shown.replace("\r\n", "\n").replace("\r", ""))


def assert_golden(name: str, shown: str) -> None:
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        path.write_text(shown)
    assert shown == path.read_text()


def test_a_dialogue_with_the_record(desk: Desk) -> None:
    assert_golden("evidence", talk(desk, EVIDENCE))
    assert len(list((desk.folder / "pictures").glob("*.png"))) == 2
    assert "ignore: [[" in desk.rules_path.read_text()


def test_a_dialogue_with_a_model(desk: Desk) -> None:
    with OpenAIServer(SCRIPT) as server:
        shown = talk(desk, MODEL, "--model", "openai:tiny", "--base-url", server.base_url)
        shown = shown.replace(server.base_url, "http://SERVER/v1")
    assert_golden("scripted_model", shown)
    assert "ignore: [[" in desk.rules_path.read_text()
    assert [turn.role for turn in desk.store.turns(desk.case().id)] == ["user", "assistant"] * 3 + ["user"]
