"""A service whose model works in steps: a kill in the middle of one pays for no other twice."""

import json
import signal
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from tests.agent.scripted import BOX, turn, verdict
from tests.backends.openai_server import Body, OpenAIServer, hang
from tests.service.conftest import Starter, part, photo, settings_in
from tests.service.test_kills import Process
from tests.waiting import LONGEST_S, until
from vlm_inspect.store import CaseStore

SCRIPT = (turn("observe", "zoom", BOX), turn("judge"), verdict())
BOOK = "class_name: plate\nrules: [{id: whole, text: The plate is whole.}]\n"


def steps_of(body: Body) -> int:
    return sum(message["role"] == "assistant" for message in body["messages"])


def test_every_step_comes_as_an_event_while_it_is_taken(start: Starter, tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    (settings.rules / "plate.yaml").write_text(BOOK)
    went_on = threading.Event()

    def judged(body: Body) -> object:
        assert went_on.wait(LONGEST_S), "the first step was not told before the last one was answered"
        return verdict()(body)

    script = (SCRIPT[0], turn("judge"), judged)
    with OpenAIServer([lambda body: script[steps_of(body)](body)], refuses=("tools",)) as server:  # type: ignore[list-item]
        model = {"name": "openai:tiny", "base_url": server.base_url}
        config = settings.config.with_changes(model=model, agent={"enabled": True})
        client = start(settings=replace(settings, config=config))
        job = client.post("/v1/inspections", files=part(), params={"wait": 0}).json()["id"]
        told = []
        with client.stream("GET", f"/v1/inspections/{job}/events") as stream:
            for line in stream.iter_lines():
                if line.startswith("event: "):
                    told.append(line[7:])
                elif told and told[-1] == "step" and line:
                    told[-1] = json.loads(line[6:])
                    went_on.set()
    steps = [one for one in told if isinstance(one, dict)]
    assert [(one["n"], one["phase"], one["tool"]) for one in steps] == [
        (1, "observe", None),
        (2, "observe", "zoom"),
        (3, "judge", None),
    ]
    assert steps[1]["saw"] == [{"view": 0, "box_xyxyn": [0.1, 0.1, 0.4, 0.4]}]
    assert told[-1] == "state"
    assert steps == client.get(f"/v1/inspections/{job}").json()["steps"]


@pytest.mark.slow(6)
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
