"""The service over real HTTP: parts in, the JSON of `ask` out, and what belongs to a case."""

import base64
import json
from pathlib import Path

import httpx
import pytest

from tests.service.conftest import Starter, part, photo, settings_in
from vlm_inspect.inspection import Inspection
from vlm_inspect.service.settings import Limits


def without_paths(answer: httpx.Response, folder: Path) -> None:
    assert str(folder) not in answer.text
    assert str(Path.home()) not in answer.text.replace('"/root"', "")


def test_a_part_becomes_the_json_of_ask_and_a_case(start: Starter, tmp_path: Path) -> None:
    client = start()
    answer = client.post("/v1/inspections", files=part(), data={"rules": "plate", "serial": "A 17", "question": "Ok?"})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert answer.headers["location"] == f"/v1/inspections/{told['id']}"
    own = {name: value for name, value in told.items() if name in Inspection.model_fields}
    assert Inspection.model_validate(own).outcome == "OK"
    assert (told["state"], told["serial"], told["rule_book"], told["name"]) == ("done", "A 17", "plate", "plate.png")
    again = client.get(f"/v1/inspections/{told['id']}")
    assert again.json() == told
    without_paths(again, tmp_path)


def test_json_with_base64_is_the_same_part(start: Starter) -> None:
    client = start()
    body = {"file": base64.b64encode(photo(250)).decode(), "name": "bright.png"}
    told = client.post("/v1/inspections", json=body).json()
    assert (told["outcome"], told["name"]) == ("NG", "bright.png")
    assert [rule["status"] for rule in told["rules"]] == ["fail"]


def test_the_list_is_filtered_and_paged(start: Starter) -> None:
    client = start()
    for level, serial in ((100, "a"), (250, "b"), (250, "c")):
        assert client.post("/v1/inspections", files=part(level), data={"serial": serial}).status_code == 200
    bad = client.get("/v1/inspections", params={"outcome": "NG", "per_page": 1, "page": 2}).json()
    assert (bad["total"], bad["pages"], [one["serial"] for one in bad["items"]]) == (2, 2, ["b"])
    assert client.get("/v1/inspections", params={"serial": "a"}).json()["items"][0]["outcome"] == "OK"
    assert client.get("/v1/inspections", params={"class": "gear"}).json()["total"] == 0
    assert client.get("/v1/inspections", params={"since": "tomorrow"}).status_code == 422
    case = bad["items"][0]["id"]
    assert client.post(f"/v1/inspections/{case}/judgement", json={"outcome": "OK"}).status_code == 201
    judged = client.get("/v1/inspections", params={"judgement": "OK"}).json()["items"]
    assert [(one["id"], one["judged"]) for one in judged] == [(case, "OK")]


def test_pictures_report_and_what_is_not_there(start: Starter, tmp_path: Path) -> None:
    client = start()
    case = client.post("/v1/inspections", files=part()).json()["id"]
    base = f"/v1/inspections/{case}"
    for name in ("overlay.png", "views/0.png"):
        answer = client.get(f"{base}/{name}")
        assert answer.headers["content-type"] == "image/png"
        assert answer.content.startswith(b"\x89PNG")
    report = client.get(f"{base}/report.html")
    assert report.headers["content-security-policy"].startswith("default-src 'none'")
    without_paths(report, tmp_path)
    for name in ("views/7.png", "views/0/heat.png", "views/0/reference.png", "scan.ply", "pictures/x"):
        answer = client.get(f"{base}/{name}")
        assert answer.status_code == 404, name
        assert list(answer.json()) == ["error"]
    assert client.get("/v1/inspections/20260101").status_code == 404
    assert client.get("/v1/inspections/..%2f..%2fetc%2fpasswd").status_code == 404


def test_a_part_that_cannot_be_judged_is_kept_apart_with_the_reason(start: Starter, tmp_path: Path) -> None:
    client = start()
    answer = client.post("/v1/inspections", files={"file": ("part.png", b"\x89PNG\r\n\x1a\nbroken", "image/png")})
    assert answer.status_code == 422
    told = answer.json()
    assert told["state"] == "failed"
    without_paths(answer, tmp_path)
    assert client.get(f"/v1/inspections/{told['id']}").json()["error"] == told["error"]
    assert client.get("/v1/inspections").json()["total"] == 0
    assert client.post(f"/v1/inspections/{told['id']}/retry").status_code == 202
    assert 'failures_total{rules="plate"}' in client.get("/metrics").text


@pytest.mark.parametrize(
    ("request_of", "status"),
    [
        ({"files": part(), "data": {"rules": "gear"}}, 404),
        ({"files": part(), "data": {"colour": "red"}}, 422),
        ({"files": {"file": ("empty.png", b"", "image/png")}}, 422),
        ({"data": {"rules": "plate"}}, 415),
        ({"json": {"file": "no base64!"}}, 422),
        ({"json": {"file": "QUJD", "path": "/etc/passwd"}}, 422),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 422),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 400),
        ({"files": part(), "data": {"serial": "9" * 201}}, 422),
        ({"files": part(), "params": {"wait": "nan"}}, 422),
    ],
)
def test_wrong_requests_are_refused_in_one_line(start: Starter, request_of: dict, status: int) -> None:
    answer = start().post("/v1/inspections", **request_of)
    assert answer.status_code == status, answer.text
    assert "\n" not in answer.json()["error"]


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "..\\..\\boot.ini", ".hidden", "a\0b.png", "ü" * 300 + ".png", "/"]
)
def test_a_file_name_leads_nowhere(start: Starter, tmp_path: Path, name: str) -> None:
    client = start()
    body = {"file": base64.b64encode(photo()).decode(), "name": name}
    told = client.post("/v1/inspections", json=body).json()
    assert told["outcome"] == "OK", told
    assert "/" not in told["name"]
    assert "\\" not in told["name"]
    assert not (tmp_path / "etc").exists()


def test_a_part_that_is_too_large_is_refused_before_it_is_read(start: Starter, tmp_path: Path) -> None:
    client = start(settings=settings_in(tmp_path, limits=Limits(upload_bytes=10_000)))
    assert client.post("/v1/inspections", files={"file": b"x" * 200_000}).status_code == 413

    def endless() -> "object":
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
        for _ in range(100):
            yield b"x" * 10_000

    headers = {"content-type": "multipart/form-data; boundary=b"}
    assert client.post("/v1/inspections", content=endless(), headers=headers).status_code == 413
    assert list((tmp_path / "data" / "parts" / "drafts").iterdir()) == []


def test_a_calibration_and_a_rule_book_are_changed_by_name_and_the_audit_says_so(
    start: Starter, tmp_path: Path
) -> None:
    client = start()
    old = client.get("/v1/rules/plate").json()
    text = old["text"].replace("max: 140", "max: 90")
    assert client.put("/v1/rules/plate", json={"text": text, "replaces": "0" * 64}).status_code == 409
    assert client.put("/v1/rules/plate", json={"text": "class_name: [", "replaces": old["sha256"]}).status_code == 422
    assert client.put("/v1/rules/plate", json={"text": text, "replaces": old["sha256"]}).status_code == 200
    assert client.post("/v1/inspections", files=part()).json()["outcome"] == "NG"
    outside = "class_name: x\nreferences: [../cases.db]\n"
    assert "outside" in client.put("/v1/rules/other", json={"text": outside}).json()["error"]
    assert client.put("/v1/rules/..%2fother", json={"text": text}).status_code in (404, 422)
    assert client.put("/v1/calibrations/plate", json={"text": "{}"}).status_code == 422
    audit = client.get("/v1/audit").json()
    assert audit["intact"]
    assert [(one["what"], one["who"], one["subject"]) for one in audit["entries"]] == [("rules", "local", "plate")]
    assert (audit["entries"][0]["before"], audit["entries"][0]["after"]) == (old["text"], text)


def test_talk_is_streamed_and_kept_and_a_correction_shows_what_it_turns(start: Starter) -> None:
    client = start()
    case = client.post("/v1/inspections", files=part(250)).json()["id"]
    base = f"/v1/inspections/{case}"
    with client.stream("POST", f"{base}/messages", json={"text": "Why is it NG?"}) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        events = [block.split("\ndata: ") for block in "".join(stream.iter_text()).strip().split("\n\n")]
    names = [name.removeprefix("event: ") for name, _ in events]
    assert "words" in names
    assert names[-1] == "done"
    assert json.loads(events[-1][1])["role"] == "assistant"
    assert [turn["role"] for turn in client.get(f"{base}/messages").json()] == ["user", "assistant"]

    wanted = {"kind": "rule", "rule_id": "exposure", "maximum": 255.0}
    proposal = client.post(f"{base}/corrections", json=wanted).json()
    assert "+" in proposal["diff"]
    assert [(one["before"], one["now"]) for one in proposal["flips"]] == [("NG", "OK")]
    decided = f"{base}/corrections/{proposal['number']}"
    assert client.post(decided, json={"accepted": True}).json() == {"changed": True}
    assert client.post(decided, json={"accepted": True}).status_code == 404
    assert client.post("/v1/inspections", files=part(250)).json()["outcome"] == "OK"
    assert client.post(f"{base}/corrections", json={"kind": "ignore"}).status_code == 422


def test_progress_is_followed_as_events(start: Starter) -> None:
    client = start()
    accepted = client.post("/v1/inspections", files=part(), params={"wait": 0})
    assert accepted.status_code == 202
    with client.stream("GET", accepted.headers["location"] + "/events") as stream:
        text = "".join(stream.iter_text())
    assert text.rstrip().endswith('"state": "done"}')
    assert client.get(accepted.headers["location"]).json()["outcome"] == "OK"


def test_health_metrics_and_description(start: Starter) -> None:
    client = start()
    client.post("/v1/inspections", files=part())
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").status_code == 200
    assert 'vlm_inspect_inspections_total{outcome="OK",rules="plate"} 1.0' in client.get("/metrics").text
    description = client.get("/openapi.json").json()
    assert {"/v1/inspections", "/v1/inspections/{case_id}/messages", "/v1/rules/{name}"} <= set(description["paths"])
    assert client.get("/docs").status_code == 404
