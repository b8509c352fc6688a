"""Webhook and MQTT with real receivers: signed, retried, at least once with an id that makes it once."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sinks.hook import Hook, listening
from tests.waiting import until
from vlm_inspect import cli
from vlm_inspect.errors import ConfigError
from vlm_inspect.sinks.sender import Sender
from vlm_inspect.sinks.webhook import NotDeliveredError, Webhook, key_of, signed_headers
from vlm_inspect.store import CaseStore, Message, outbox


@pytest.fixture
def hook() -> Iterator[Hook]:
    with listening() as server:
        yield server


def batch(*arguments: object) -> int:
    with pytest.raises(SystemExit) as left:
        cli.main(["batch", *map(str, arguments), "--localizer", "none", "--quiet"])
    assert isinstance(left.value.code, int)
    return left.value.code


def test_every_part_is_posted_signed_and_kept(
    hook: Hook, book: Path, parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLM_INSPECT_WEBHOOK_SECRET", "whsec_" + base64.b64encode(b"key").decode())
    store = tmp_path / "cases.db"
    given = ("--rules", book, "--csv", tmp_path / "o.csv", "--store", store, "--save", "--webhook", hook.url)
    assert batch(parts, *given, "--serial", r"SN(\d+)") == 1
    told = [json.loads(body) for _, body in hook.got]
    assert sorted((one["serial"], one["outcome"], one["inspection"]["outcome"]) for one in told) == [
        ("001", "OK", "OK"),
        ("002", "NG", "NG"),
        ("003", "OK", "OK"),
    ]
    with CaseStore(store) as cases:
        assert {one.id for one in cases.list()} == {one["id"] for one in told}
        assert {one.serial for one in cases.list()} == {"001", "002", "003"}
        assert cases.outbox.count_waiting([hook.url]) == 0
    for headers, body in hook.got:
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        code = base64.b64encode(hmac.new(b"key", signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{code}"
        assert headers["content-type"] == "application/json"
    assert batch(parts, *given, "--serial", r"SN(\d+)", "--resume") == 1
    assert len(hook.got) == 3


def test_what_did_not_arrive_is_sent_by_the_next_run_under_its_id(
    hook: Hook, book: Path, parts: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    hook.failing = 3
    store = tmp_path / "cases.db"
    given = ("--rules", book, "--csv", tmp_path / "o.csv", "--store", store, "--webhook", hook.url)
    assert batch(parts, *given) == 1
    assert "3 messages could not be delivered yet" in capfd.readouterr().err
    with CaseStore(store) as cases:
        assert cases.list() == []  # without --save the store has the messages alone
        assert cases.outbox.take([hook.url]) == ()  # their time comes later
        with Sender(cases.outbox, [Webhook(hook.url)]) as sender:
            until(lambda: not sender.left())
    ids = [headers["webhook-id"] for headers, _ in hook.got]
    assert len(ids) == 6
    assert len(set(ids)) == 3


def test_the_outbox_gives_a_message_to_one_process_and_keeps_it_once(tmp_path: Path) -> None:
    with CaseStore(tmp_path / "a.db") as one, CaseStore(tmp_path / "a.db") as other:
        for _ in range(2):
            one.outbox.add(Message("m1", "http://x/", "{}"))
        one.outbox.add(Message("m2", "http://elsewhere/", "{}"))
        assert [message.id for message in one.outbox.take(["http://x/"])] == ["m1"]
        assert other.outbox.take(["http://x/"]) == ()
        one.outbox.mark_delivered(Message("m1", "http://x/", "{}"))
        one.outbox.add(Message("m1", "http://x/", "{}"))  # the part came again after a kill
        assert other.outbox.count_waiting(["http://x/"]) == 0
        assert other.outbox.count_waiting(["http://x/", "http://elsewhere/"]) == 1


class Moody:
    """A receiver that takes nothing while it is down, and one message never."""

    target = "http://x/"

    def __init__(self) -> None:
        self.is_down, self.taken, self.refusals = False, set[str](), 0

    def send(self, message: Message) -> None:
        if self.is_down or message.id == "never":
            self.refusals += message.id == "never"
            raise NotDeliveredError("503")
        self.taken.add(message.id)


def test_an_outage_is_told_once_and_so_is_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "_FIRST_WAIT_S", 0.05)
    told: list[str] = []
    moody = Moody()

    with (
        CaseStore(tmp_path / "a.db") as store,
        Sender(
            store.outbox,
            [moody],
            last_s=0.0,
            trouble=lambda target, why: told.append(f"{target} {why}"),
            recovered=lambda target: told.append(f"{target} again"),
        ) as sender,
    ):

        def add(*names: str) -> None:
            for name in names:
                store.outbox.add(Message(name, moody.target, "{}"))
                sender.wake()

        moody.is_down = True
        add("a", "b", "c")
        until(lambda: not store.outbox.count_waiting([moody.target], untried=True))
        assert told == ["http://x/ 503"]
        moody.is_down = False
        until(lambda: moody.taken == {"a", "b", "c"})
        assert told == ["http://x/ 503", "http://x/ again"]
        add("never")
        until(lambda: len(told) == 3)
        for name in ("d", "e", "f"):  # others arrive while one is refused again and again
            add(name)
            until(lambda name=name: name in moody.taken)  # type: ignore[misc]
        until(lambda: moody.refusals >= 3)
        assert told[2:] == ["http://x/ 503", "http://x/ again"]


def test_secrets_and_answers() -> None:
    assert "webhook-signature" not in signed_headers("a", b"", "")
    assert key_of("plain") == b"plain"
    with pytest.raises(ConfigError, match="base64"):
        key_of("whsec_###")
    with pytest.raises(NotDeliveredError):
        Webhook("http://127.0.0.1:9/").send(Message("a", "http://127.0.0.1:9/", "{}"))


@pytest.mark.slow(3)
def test_every_part_is_published_to_a_broker(book: Path, parts: Path, tmp_path: Path) -> None:
    pytest.importorskip("amqtt")
    pytest.importorskip("aiomqtt")
    from tests.sinks.broker import Broker

    with Broker() as broker:
        url = f"mqtt://127.0.0.1:{broker.port}/line/1"
        given = ("--rules", book, "--csv", tmp_path / "o.csv", "--store", tmp_path / "c.db", "--mqtt", url)
        assert batch(parts, *given) == 1
        told = [json.loads(body) for body in broker.wait_for(3)]
    assert sorted(Path(one["source"]).name for one in told) == ["SN001_a.png", "SN002_a.png", "SN003_a.png"]
