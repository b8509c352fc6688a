"""The queue: bounded, durable, and free of those who left."""

import os
import socket
import sys
import threading
from pathlib import Path

import httpx
import pytest

from tests.service.conftest import Held, Starter, part, settings_in
from tests.waiting import LONGEST_S, until
from vlm_inspect.errors import StoreError
from vlm_inspect.service import judging
from vlm_inspect.service.app import make_app
from vlm_inspect.service.priority import LOWER
from vlm_inspect.service.settings import Limits
from vlm_inspect.service.spool import MOST_TRIES, Job, QueueFullError, Spool
from vlm_inspect.service.tokens import Tokens


def draft_in(spool: Spool, content: bytes = b"part") -> Path:
    draft = spool.draft()
    (draft / "part" / "a.png").write_bytes(content)
    return draft


def job_of(job_id: str) -> Job:
    return Job(id=job_id, name="a.png", rules="plate")


def test_a_full_queue_is_told_at_once_and_when_to_come_again(start: Starter, tmp_path: Path, held: Held) -> None:
    client = start(settings=settings_in(tmp_path, limits=Limits(waiting=2)), prepare=held)
    accepted = [client.post("/v1/inspections", files=part(), params={"wait": 0}).json()["id"]]
    until(lambda: held.station.spool.state(accepted[0]) == "judging")
    accepted += [client.post("/v1/inspections", files=part(), params={"wait": 0}).json()["id"] for _ in range(2)]
    assert client.get(f"/v1/inspections/{accepted[2]}").json()["position"] == 1
    refused = client.post("/v1/inspections", files=part())
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
    assert "queue is full" in refused.json()["error"]
    assert 'refused_total{why="queue"} 1.0' in client.get("/metrics").text
    held.let_go()
    until(lambda: client.get("/v1/inspections").json()["total"] == 3)
    assert client.post("/v1/inspections", files=part()).status_code == 200


def test_a_client_that_leaves_frees_its_place(start: Starter, tmp_path: Path, held: Held) -> None:
    client = start(settings=settings_in(tmp_path, limits=Limits(waiting=1)), prepare=held)
    first = client.post("/v1/inspections", files=part(), params={"wait": 0}).json()["id"]
    until(lambda: held.station.spool.state(first) == "judging")
    with pytest.raises(httpx.ReadTimeout):
        client.post("/v1/inspections", files=part(), timeout=httpx.Timeout(LONGEST_S, read=0.3))
    until(lambda: not held.station.spool.is_full)
    second = client.post("/v1/inspections", files=part(), params={"wait": 0})
    assert second.status_code == 202
    held.let_go()
    until(lambda: client.get("/v1/inspections").json()["total"] == 2)
    assert {one["id"] for one in client.get("/v1/inspections").json()["items"]} == {first, second.json()["id"]}


def test_a_wait_that_ends_first_promises_the_part(start: Starter, held: Held) -> None:
    client = start(prepare=held)
    answer = client.post("/v1/inspections", files=part(), params={"wait": 0.2})
    assert answer.status_code == 202
    assert answer.json()["state"] in ("waiting", "judging")
    held.let_go()
    until(lambda: client.get(answer.headers["location"]).json()["state"] == "done")


def test_a_slow_upload_takes_no_place_and_ends(start: Starter, tmp_path: Path) -> None:
    client = start(settings=settings_in(tmp_path, limits=Limits(waiting=1, upload_s=2.0)))
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=LONGEST_S) as slow:
        slow.sendall(
            b"POST /v1/inspections HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n"
            b"Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
        )
        assert client.post("/v1/inspections", files=part()).status_code == 200
        assert slow.recv(100).startswith(b"HTTP/1.1 408")
    assert list((tmp_path / "data" / "parts" / "drafts").iterdir()) == []


def test_an_accepted_part_outlives_the_process_and_is_one_case(tmp_path: Path) -> None:
    spool = Spool(tmp_path, most_waiting=2)
    ids = [spool.accept(draft_in(spool), job_of).id for _ in range(2)]
    spool.draft()
    with pytest.raises(QueueFullError, match="2 parts wait"):
        spool.accept(draft_in(spool), job_of)
    assert spool.take() == job_of(ids[0])  # begun, then the process ends

    again = Spool(tmp_path, most_waiting=2)
    assert list((tmp_path / "drafts").iterdir()) == []
    job = again.take()
    assert job is not None
    assert job.id == ids[1]  # what was begun before goes last
    assert again.part(job).read_bytes() == b"part"
    again.finish(job.id)
    assert (again.state(ids[1]), again.state(ids[0])) == (None, "waiting")


def test_a_part_that_ends_the_process_every_time_is_given_up(tmp_path: Path) -> None:
    job_id = Spool(tmp_path, most_waiting=2).accept(draft_in(Spool(tmp_path, most_waiting=2)), job_of).id
    for _ in range(MOST_TRIES):
        assert Spool(tmp_path, most_waiting=2).take() is not None
    spool = Spool(tmp_path, most_waiting=2)
    spool.accept(draft_in(spool), job_of)
    taken = spool.take()
    assert taken is not None
    assert taken.id != job_id
    spool.close()
    assert spool.take() is None or spool.state(job_id) == "failed"


def test_a_damaged_record_is_a_failure_not_the_end(tmp_path: Path) -> None:
    spool = Spool(tmp_path, most_waiting=4)
    broken, whole = (spool.accept(draft_in(spool), job_of).id for _ in range(2))
    (tmp_path / "waiting" / broken / "job.json").write_bytes(b"{")
    taken = spool.take()
    assert taken is not None
    assert taken.id == whole
    assert "cannot be read" in spool.failure(broken)
    with pytest.raises(StoreError, match="is no id"):
        spool.state("../secret")


@pytest.mark.skipif(sys.platform != "linux", reason="threads have priorities of their own on Linux alone")
def test_threads_that_judge_give_way_to_the_one_that_answers(start: Starter, held: Held) -> None:
    client = start(prepare=held)
    held.let_go()
    assert client.post("/v1/inspections", files=part()).status_code == 200
    (judge,) = held.station.judges._threads
    lower = min(19, os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) + LOWER)
    assert os.getpriority(os.PRIO_PROCESS, judge.native_id) == lower


def test_one_data_folder_serves_one_service(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    app = make_app(settings, Tokens())
    with pytest.raises(StoreError, match="in use by another service"):
        make_app(settings, Tokens())
    app.state.station.store.close()


def test_a_part_whose_client_leaves_at_the_last_moment_ends_no_judge(start: Starter, held: Held) -> None:
    client = start(prepare=held)
    case = client.post("/v1/inspections", files=part(), params={"wait": 0}).json()["id"]
    until(lambda: held.station.spool.state(case) == "judging")
    held.station.judges.watch(case).cancel()
    held.let_go()
    until(lambda: client.get("/v1/inspections").json()["total"] == 1)
    assert client.post("/v1/inspections", files=part()).status_code == 200
    assert held.station.judges.is_alive


def test_a_store_that_cannot_be_written_is_told_and_the_part_can_be_tried_again(
    start: Starter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "_STORE_WAIT_S", 0.01)
    client = start()
    files = tmp_path / "cases.db.files"
    files.mkdir(exist_ok=True)
    blocked = [files / f"{number:02x}" for number in range(256)]
    for path in blocked:
        path.write_bytes(b"a file where a folder should be")
    answer = client.post("/v1/inspections", files=part())
    assert answer.status_code == 422
    assert "cannot be written" in answer.json()["error"]
    assert str(tmp_path) not in answer.text
    for path in blocked:
        path.unlink()
    assert client.post(answer.headers["location"] + "/retry").status_code == 202
    until(lambda: client.get("/v1/inspections").json()["total"] == 1)
