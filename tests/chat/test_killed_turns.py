"""Kill -9 in the middle of a chat turn, 20 times: every earlier turn is there, whole, and the store goes on."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

from tests.chat.conftest import Desk, Heard
from tests.waiting import LONGEST_S
from vlm_inspect.chat.dialogue import Dialogue
from vlm_inspect.store import CaseStore

KILLS = 20
DRIVER = """
import os, random, signal, sys, time
from pathlib import Path
from tests.chat.conftest import Heard
from vlm_inspect.chat import evidence_talk, flips
from vlm_inspect.chat.dialogue import Dialogue
from vlm_inspect.store import CaseStore
import vlm_inspect.tools.looking, vlm_inspect.prompting.marks, PIL.PngImagePlugin, cv2

path, case_id, kills, log = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]

def talk(turns=10_000):
    with CaseStore(path) as store, open(log, "a", buffering=1) as done:
        dialogue = Dialogue(store.load(case_id), store)
        for number in range(turns):
            asked = "where is it?" if number % 3 else "show me region 1"
            question = f"{asked} ({os.getpid()}-{number})"
            answer = dialogue.ask(question, Heard())
            done.write(f"{question}\\n")
            os.fsync(done.fileno())

talk(2)  # what is loaded once need not be loaded by every child
chance = random.Random(7)
for kill in range(kills):
    child = os.fork()
    if child == 0:
        talk()
        os._exit(1)
    known = os.path.getsize(log)
    while os.path.getsize(log) == known and os.waitpid(child, os.WNOHANG) == (0, 0):
        time.sleep(0.002)
    time.sleep(chance.uniform(0.0, 0.08))
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), status
print("killed", kills)
"""


def test_every_earlier_turn_survives(desk: Desk, tmp_path: Path) -> None:
    case_id = desk.case().id
    log = tmp_path / "done.log"
    log.touch()
    desk.store.close()
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(desk.folder / "cases.db"), case_id, str(KILLS), str(log)],
        capture_output=True, text=True, timeout=LONGEST_S, check=False,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )  # fmt: skip
    assert done.stdout == f"killed {KILLS}\n", done.stderr
    finished = log.read_text().splitlines()
    assert len(finished) >= KILLS
    with CaseStore(desk.folder / "cases.db") as store:
        turns = store.turns(case_id)
        assert [turn.number for turn in turns] == list(range(1, len(turns) + 1))
        answered = {
            question.text
            for question, answer in itertools.pairwise(turns)
            if question.role == "user" and answer.role == "assistant"
        }
        assert set(finished) <= answered
        for turn in turns:
            assert json.dumps(list(turn.tool_calls))
            for picture in turn.pictures:
                assert store.picture(picture).ndim == 3
        unanswered = sum(turn.role == "user" for turn in turns) - sum(turn.role == "assistant" for turn in turns)
        assert 0 <= unanswered <= KILLS
        assert "Region 1" in Dialogue(store.load(case_id), store).ask("where?", Heard()).text
