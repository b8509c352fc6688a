"""A service whose model works in steps: a kill in the middle of one pays for no other twice."""

import signal
import time
from pathlib import Path

import pytest

from tests.agent.scripted import BOX, turn, verdict
from tests.backends.openai_server import Body, OpenAIServer, hang
from tests.service.conftest import photo
from tests.service.test_kills import Process
from vlm_inspect.store import CaseStore

SCRIPT = (turn("observe", "zoom", BOX), turn("judge"), verdict())
BOOK = "class_name: plate\nrules: [{id: whole, text: The plate is whole.}]\n"


def steps_of(body: Body) -> int:
    return sum(message["role"] == "assistant" for message in body["messages"])


def until(met: "object", what: str) -> None:
    end = time.monotonic() + 120
    while not met():  # type: ignore[operator]
        assert time.monotonic() < end, what
        time.sleep(0.05)


@pytest.mark.slow
def test_a_restart_goes_on_from_the_last_answer(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "plate.yaml").write_text(BOOK)
    hangs = [1]

    def respond(body: Body) -> object:
        step = steps_of(body)
        if step in hangs:
            hangs.remove(step)
            return hang(60)(body)
        return SCRIPT[step](body)

    with OpenAIServer([respond], refuses=("tools",)) as server:  # type: ignore[list-item]
        model = ("--model", "openai:tiny", "--base-url", server.base_url, "--agent")
        service = Process(tmp_path, str(tmp_path / "cases.db"), *model)
        service.start()
        files = {"file": ("plate.png", photo(), "image/png")}
        case_id = service.client.post("/v1/inspections", files=files, params={"wait": 0}).json()["id"]

        def asked() -> list[int]:
            return [steps_of(one.body) for one in server.requests if "tools" not in one.body]

        until(lambda: 1 in asked(), "it never came to its second step")
        service.end(signal.SIGKILL)
        service.start()
        until(lambda: service.client.get("/v1/inspections").json()["total"] == 1, "it was never judged")
        until(lambda: not list((tmp_path / "data").rglob("*.replies/*")), "paid answers stay although the case is kept")
        service.end(signal.SIGTERM)
        service.client.close()
    assert asked() == [0, 1, 1, 2], "only the step without an answer is asked again"
    with CaseStore(tmp_path / "cases.db") as store:
        assert len(store.load(case_id).looks) == 3
