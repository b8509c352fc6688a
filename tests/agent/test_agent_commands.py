"""`batch --agent` and `chat --agent`, and the steps on a page and on a terminal."""

import contextlib
import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner
from pydantic import JsonValue

from tests.agent.scripted import BOX, ask, call, turn, verdict, write_plate
from tests.backends.openai_server import Behaviour, Body, OpenAIServer, answer
from tests.waiting import LONGEST_S
from vlm_inspect import cli
from vlm_inspect.inspection import StepRecord, Usage
from vlm_inspect.report.timeline import step_line

ZOOM = {"phase": "observe", "said": "Let me look.", "rules": ["whole"], "view": 0, "box": [100, 100, 400, 400]}


def fixed(photo: Path, server: OpenAIServer) -> list[str]:
    rules = str(photo.with_name("plate.yaml"))
    return ["--rules", rules, "--model", "openai:tiny", "--base-url", server.base_url, "--localizer", "none", "--agent"]


def test_batch_works_in_steps(tmp_path: Path) -> None:
    photo = write_plate(tmp_path)
    steps = [turn("observe", "zoom", BOX), turn("judge"), verdict()]
    with OpenAIServer(steps * 2, refuses=("tools",)) as server:
        (tmp_path / "second.png").write_bytes(photo.read_bytes())
        table, pages = tmp_path / "t.csv", tmp_path / "pages"
        given = ["batch", str(photo), str(tmp_path / "second.png"), "--csv", str(table), "--html", str(pages)]
        done = CliRunner().invoke(cli.cli, [*given, *fixed(photo, server)])
    assert done.exit_code == 0, done.output
    rows = csv.DictReader(table.read_text(encoding="utf-8").splitlines())
    assert [row["outcome"] for row in rows] == ["OK", "OK"]
    assert any("<h2>Steps</h2>" in page.read_text(encoding="utf-8") for page in pages.rglob("*.html"))


def test_the_dialogue_begins_from_the_steps(tmp_path: Path) -> None:
    photo = write_plate(tmp_path)

    def respond(body: Body) -> Behaviour:
        told = json.dumps(body["messages"])
        if "What did you look at?" in told:
            return answer("At the upper left corner.")
        if "final verdict" in told:
            return verdict()
        return turn("judge") if "tool_calls" in told else call("zoom", ZOOM)

    with OpenAIServer([lambda body: respond(body)(body)]) as server:
        given = ["chat", str(photo), *fixed(photo, server), "--store", str(tmp_path / "cases")]
        done = CliRunner().invoke(cli.cli, given, input="What did you look at?\n")
    assert done.exit_code == 0, done.output
    assert "At the upper left corner." in done.stdout
    asked = server.requests[-1].body
    assert any(one.get("tool_calls", [{}])[0].get("function", {}).get("name") == "zoom" for one in asked["messages"])
    assert "zoom" in [one["function"]["name"] for one in asked["tools"]]


def test_the_dialogue_of_a_model_without_functions_gets_the_steps_in_words(tmp_path: Path) -> None:
    from vlm_inspect.chat.context import open_messages
    from vlm_inspect.store import CaseStore, Filters

    store = str(tmp_path / "cases")
    script = (call("zoom", ZOOM), turn("judge"), verdict())
    ask(write_plate(tmp_path), *script, refuses=(), options=("--save", "--store", store))
    with CaseStore(store) as cases:
        case = cases.load(cases.list(Filters())[0].id)
        with_tools, without = (open_messages(case, tools=kind) for kind in (True, False))
    assert any(one["role"] == "tool" for one in with_tools)
    assert not any(one["role"] == "tool" or "tool_calls" in one for one in without)
    assert '"tool": "zoom"' in json.dumps(without).replace('\\"', '"')


def test_the_page_shows_each_picture_at_its_step(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    script = (turn("observe", "zoom", BOX), turn("judge", said="<b>even</b>"), verdict())
    ask(write_plate(tmp_path), *script, options=("--html", str(page)))
    told = page.read_text(encoding="utf-8")
    section = told[told.index("<h2>Steps</h2>") :]
    assert re.search(r'zoom view 0, box \[100, 100, 400, 400\].*?<img src="data:image/', section, re.S)
    assert section.count("what step 2 showed") == 1
    assert "<b>even</b>" not in told


def test_a_step_is_one_line_of_a_terminal() -> None:
    usage = Usage(prompt_tokens=90, completion_tokens=10, cost_usd=0.00125)
    arguments: dict[str, JsonValue] = {"view": 0, "note": "\x1b[31m"}
    step = StepRecord(n=2, phase="refute", tool="zoom", arguments=arguments, saw=(), said="a\nb\x1b[0m", usage=usage)
    line = step_line(step)
    assert line.startswith("step 2 refute, zoom view 0")
    assert line.endswith("(100 tokens, $0.0013)")
    assert "\x1b" not in line


def test_what_a_new_rule_would_change_is_read_with_the_steps(tmp_path: Path) -> None:
    from vlm_inspect.chat.flips import fuse_again
    from vlm_inspect.store import CaseStore, Filters

    store = str(tmp_path / "cases")
    script = (turn("observe", "zoom", BOX, rules=[]), turn("judge"), verdict())
    found, _ = ask(write_plate(tmp_path), *script, options=("--save", "--store", store))
    with CaseStore(store) as cases:
        case = cases.load(cases.list(Filters())[0].id)
        again = fuse_again(case, case.rules)
    assert found["rules"][0]["status"] == again.rules[0].status == "not_checked"
    assert found["outcome"] == again.outcome == "REVIEW"


def test_steps_are_shown_live_above_the_spinner(tmp_path: Path) -> None:
    photo = write_plate(tmp_path)
    with OpenAIServer([turn("observe", "zoom", BOX), turn("judge"), verdict()], refuses=("tools",)) as server:
        command = [sys.executable, "-m", "vlm_inspect", "ask", str(photo), *fixed(photo, server), "--json", "-"]
        reader, terminal = os.openpty()
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=terminal, env={**os.environ, "TERM": "xterm"}
        )
        os.close(terminal)
        shown = b""
        with contextlib.suppress(OSError):  # of a terminal that nobody writes to any more
            while piece := os.read(reader, 4096):
                shown += piece
        os.close(reader)
        assert process.wait(LONGEST_S) == 0
    told = shown.decode(errors="replace")
    assert re.search(r"\x1b\[2Kstep 1 observe: I observe\. \(1007 tokens\)\r\n", told), "its line is wiped first"
    assert told.index("step 1 observe:") < told.index("step 2 observe, zoom view 0") < told.index("step 3 judge:")
