"""What goes out of a service: webhooks, MQTT, folders; a part that fails is told; a kill in between costs nothing."""

import dataclasses
import io
import json
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from tests.service.conftest import Starter, part, settings_in
from tests.sinks.hook import Hook, listening
from tests.waiting import until
from vlm_inspect.cli import cli
from vlm_inspect.commands import serve as serve_command
from vlm_inspect.errors import StoreError
from vlm_inspect.service import judging
from vlm_inspect.service.settings import ServiceSettings
from vlm_inspect.sinks.folders import OutcomeFolders
from vlm_inspect.sinks.mqtt import MqttTopic
from vlm_inspect.sinks.serial import SerialFinder
from vlm_inspect.sinks.webhook import Webhook
from vlm_inspect.store import CaseStore, Message, Outbox


def telling(folder: Path, *urls: str, secret: str = "") -> ServiceSettings:
    """Settings of a service that posts to addresses and moves files."""
    moved = OutcomeFolders(folder / "judged")
    moved.check()
    return dataclasses.replace(
        settings_in(folder), receivers=tuple(Webhook(url, secret) for url in urls), folders=moved
    )


def told(hook: Hook) -> list[dict[str, Any]]:
    return [json.loads(body) for _, body in hook.got]


def test_every_part_is_told_and_its_file_moved(start: Starter, tmp_path: Path) -> None:
    with listening() as hook, listening(failing=1) as other:
        client = start(settings=telling(tmp_path, hook.url, other.url, secret="a secret"))
        good = client.post("/v1/inspections", files=part(100, name="a.png"), data={"serial": "SN1"}).json()
        bad = client.post("/v1/inspections", files=part(200, seed=1, name="b.png")).json()
        refused = client.post("/v1/inspections", files={"file": ("c.png", b"no picture")})
        assert refused.status_code == 422
        until(lambda: len(hook.got) == 3)
        until(lambda: len(other.got) == 4)  # the first answer was 503
        messages = {one["id"]: one for one in told(hook)}
        assert set(messages) == {good["id"], bad["id"], refused.json()["id"]}
        first, last = messages[good["id"]], messages[refused.json()["id"]]
        assert (first["outcome"], first["serial"], first["source"]) == ("OK", "SN1", "a.png")
        assert (last["outcome"], last["inspection"], last["source"]) == ("ERROR", None, "c.png")
        assert last["review_reasons"] == refused.json()["error"]
        assert first["inspection"] == {name: good[name] for name in first["inspection"]}
        moved = {one["id"]: one.pop("moved_to") for one in messages.values()}
        assert str(tmp_path) not in json.dumps(messages)
        assert Path(moved[good["id"]]) == tmp_path / "judged" / "OK" / "a.png"
        assert Path(moved[good["id"]]).read_bytes() == part(100)["file"][1]
        assert Path(moved[bad["id"]]).parent.name == bad["outcome"] == "NG"
        assert all("webhook-signature" in headers for headers, _ in hook.got)
        until(lambda: "vlm_inspect_messages_waiting 0.0" in client.get("/metrics").text)
        # A failure is told once for one reason, however often the part is tried.
        assert client.post(refused.headers["location"] + "/retry").status_code == 202
        until(lambda: client.get(refused.headers["location"]).json()["state"] == "failed")
        assert client.post("/v1/inspections", files=part(100, seed=2)).status_code == 200
        until(lambda: len(hook.got) == 4)
        assert told(hook)[-1]["outcome"] == "OK"


def test_a_kill_between_case_and_message_costs_no_message(
    start: Starter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = Outbox.add
    with listening() as hook:
        settings = telling(tmp_path, hook.url)
        monkeypatch.setattr(Outbox, "add", _killed)
        client = start(settings=settings, prepare=_without_patience)
        answer = client.post("/v1/inspections", files=part())
        assert answer.status_code == 422
        assert "kept as a case, but what goes out could not be delivered" in answer.json()["error"]
        case = answer.json()["id"]
        assert hook.got == []
        monkeypatch.setattr(Outbox, "add", add)
        assert client.post(f"/v1/inspections/{case}/retry").status_code == 202  # as the next start would take it up
        until(lambda: len(hook.got) == 1)
        assert (told(hook)[0]["id"], told(hook)[0]["outcome"]) == (case, "OK")
        until(lambda: client.get(f"/v1/inspections/{case}").json()["state"] == "done")
        assert client.get("/v1/inspections").json()["total"] == 1
        assert [path.name for path in (tmp_path / "judged" / "OK").iterdir()] == ["plate.png"]
        with sqlite3.connect(tmp_path / "cases.db") as database:
            until(lambda: database.execute("SELECT body FROM outbox").fetchall() == [("",)])  # the id alone stays
        database.close()


def _killed(*_: object) -> None:
    raise StoreError("the store cannot be written: killed")


def _without_patience(app: Any) -> None:
    app.state.station.judges._patiently = lambda ask: ask()


def test_what_waits_is_sent_by_the_next_start(start: Starter, tmp_path: Path) -> None:
    with listening() as hook:
        settings = telling(tmp_path, hook.url)
        with CaseStore(settings.store, create=True) as store:
            store.outbox.add(Message("left", hook.url, "{}"))
        start(settings=settings)
        until(lambda: [headers["webhook-id"] for headers, _ in hook.got] == ["left"])


@pytest.mark.slow(2)
def test_a_topic_has_every_part(start: Starter, tmp_path: Path) -> None:
    pytest.importorskip("amqtt")
    pytest.importorskip("aiomqtt")
    from tests.sinks.broker import Broker

    with Broker() as broker:
        topic = MqttTopic(f"mqtt://127.0.0.1:{broker.port}/line/1")
        client = start(settings=dataclasses.replace(settings_in(tmp_path), receivers=(topic,)))
        case = client.post("/v1/inspections", files=part()).json()
        (message,) = broker.wait_for(1)
    assert (json.loads(message)["id"], json.loads(message)["outcome"]) == (case["id"], "OK")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--webhook", "ftp://host/"], "a webhook is an http:// or https:// address"),
        (["--webhook", "http://me:secret@host/"], "sign with VLM_INSPECT_WEBHOOK_SECRET"),
        (["--mqtt", "mqtt://host/#"], "write mqtt://HOST[:PORT]/TOPIC"),
        (["--move-to", "{rules}/plate.yaml"], "is a file; name a folder"),
    ],
)
def test_what_cannot_be_told_is_said_before_it_listens(
    words: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = settings_in(tmp_path).rules
    listened: list[Callable[..., int]] = []
    monkeypatch.setattr(serve_command, "_listen", lambda *given: listened.append(given) or 0)
    words = [word.format(rules=rules) for word in words]
    given = ["serve", "--rules", str(rules), "--data", str(tmp_path / "data"), "--store", str(tmp_path / "c.db")]
    done = CliRunner().invoke(cli, [*given, *words])
    assert says in done.output + str(done.exception)
    assert not listened
    assert not (tmp_path / "data").exists()


def test_a_store_that_is_down_for_a_moment_fails_no_part(
    start: Starter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "_STORE_WAIT_S", 0.01)
    down = {"holds": 2, "save": 3}

    def failing(name: str) -> Callable[..., Any]:
        asked = getattr(CaseStore, name)

        def ask(*given: Any, **named: Any) -> Any:
            if down[name]:
                down[name] -= 1
                raise StoreError("the database cannot be reached")
            return asked(*given, **named)

        return ask

    for name in down:
        monkeypatch.setattr(CaseStore, name, failing(name))
    answer = start().post("/v1/inspections", files=part())
    assert (answer.status_code, answer.json()["outcome"]) == (200, "OK")
    assert down == {"holds": 0, "save": 0}


def test_a_serial_number_that_was_not_sent_is_found_in_the_name(start: Starter, tmp_path: Path) -> None:
    with listening() as hook:
        settings = dataclasses.replace(telling(tmp_path, hook.url), serial=SerialFinder(re.compile(r"SN(\d+)")))
        client = start(settings=settings)
        for number, data in (("1", {}), ("2", {"serial": "lot 7"})):
            client.post("/v1/inspections", files=part(seed=int(number), name=f"SN00{number}.png"), data=data)
        client.post("/v1/inspections", files={"file": ("SN003.png", b"no picture")})
        assert {one["serial"] for one in client.get("/v1/inspections").json()["items"]} == {"001", "lot 7"}
        until(lambda: len(hook.got) == 3)
        assert sorted(one["serial"] for one in told(hook)) == ["001", "003", "lot 7"]


@pytest.mark.slow(2)
def test_a_serial_number_is_read_from_a_code_on_the_part(start: Starter, tmp_path: Path) -> None:
    zxingcpp = pytest.importorskip("zxingcpp")
    code = np.asarray(zxingcpp.create_barcode("SN-42", zxingcpp.BarcodeFormat.QRCode).to_image(scale=6))
    content = io.BytesIO()
    Image.fromarray(code).convert("RGB").save(content, "PNG")
    client = start(settings=dataclasses.replace(settings_in(tmp_path), serial=SerialFinder(from_code=True)))
    answer = client.post("/v1/inspections", files={"file": ("a.png", content.getvalue())})
    assert answer.json()["serial"] == "SN-42"
