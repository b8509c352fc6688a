"""Judged parts teach: one becomes a reference, all of them set the thresholds; both say before what would turn."""

import io
import json
import re
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.service.conftest import Starter, part, settings_in
from tests.waiting import LONGEST_S, until
from vlm_inspect.config import InspectorConfig
from vlm_inspect.page import router
from vlm_inspect.qualification.trial import PLANTED
from vlm_inspect.service import judging
from vlm_inspect.service.rule_books import RuleBooks
from vlm_inspect.service.settings import ServiceSettings
from vlm_inspect.service.staged_references import StagedReferences
from vlm_inspect.service.tokens import Tokens, entry_line

OPERATOR, ENGINEER = "the token of otto", "the token of anna"


def photo(seed: int, *, spot: bool = False) -> bytes:
    pixels = np.random.default_rng(seed).normal(120, 6, (64, 64, 3))
    if spot:
        pixels[20:36, 20:36] = (250, 20, 20)
    buffer = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def learning(start: Starter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> httpx.Client:
    """A service with three references, an engineer's client of it."""
    monkeypatch.setitem(PLANTED, "image", 4)
    settings = settings_in(tmp_path)
    (settings.rules / "normal").mkdir()
    for seed in range(3):
        (settings.rules / "normal" / f"{seed}.png").write_bytes(photo(seed))
    (settings.rules / "plate.yaml").write_text("class_name: plate\nreferences: ['normal/*.png']\n")
    tokens = tmp_path / "tokens.txt"
    tokens.write_text(f"{entry_line('otto', 'operator', OPERATOR)}\n{entry_line('anna', 'engineer', ENGINEER)}\n")
    config = InspectorConfig().with_changes(localizer={"name": "memory"})
    return start(
        settings=ServiceSettings(settings.rules, settings.data, config, store=settings.store, tokens=tokens),
        tokens=Tokens(tokens),
        further=[router],
        headers={"Authorization": f"Bearer {ENGINEER}"},
    )


def inspected(client: httpx.Client, seed: int, **how: bool) -> str:
    files = {"file": (f"plate {seed}.png", photo(seed, **how), "image/png")}
    answer = client.post("/v1/inspections", files=files, params={"wait": 200}, timeout=LONGEST_S)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def events_of(client: httpx.Client, path: str, **json_values: Any) -> list[tuple[str, Any]]:
    answer = client.post(path, json=json_values, timeout=LONGEST_S)
    assert answer.status_code == 200, answer.text
    blocks = [block.split("\n") for block in answer.text.strip().split("\n\n")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


@pytest.mark.slow(3)
def test_judged_parts_calibrate_and_become_references(learning: httpx.Client, tmp_path: Path) -> None:
    client = learning
    operator = {"headers": {"Authorization": f"Bearer {OPERATOR}"}}
    proposals = "/v1/calibrations/plate/proposals"
    assert client.post(proposals, json={}, **operator).status_code == 403
    name, told = events_of(client, proposals)[-1]
    assert (name, "nobody judged a part" in told["error"]) == ("error", True)
    cases = [inspected(client, seed) for seed in range(100, 103)]
    for case in cases:
        client.post(f"/v1/inspections/{case}/judgement", json={"outcome": "OK"})

    told = events_of(client, proposals, overkill=0.3)
    assert [name for name, _ in told][-1] == "proposal", told
    assert ("progress", {"step": "1 of 3 judged parts"}) in told
    proposal = told[-1][1]
    assert (proposal["normal"], proposal["anomalous"], proposal["compared"]) == (3, 0, 3)
    assert 0 <= proposal["ok_below"] <= proposal["ng_above"] <= 1
    assert client.get("/v1/calibrations").json() == [], "nothing is changed before a yes"
    assert client.post(f"{proposals}/{proposal['number']}", json={"accepted": True}).json() == {"changed": True}
    assert client.post(f"{proposals}/{proposal['number']}", json={"accepted": True}).status_code == 404
    assert client.get("/v1/calibrations/plate").json()["n"] == 3
    assert "Calibrated with 3 normal parts" in client.get("/trust").text

    reference = f"/v1/inspections/{cases[0]}/reference"
    assert client.post(reference, **operator).status_code == 403
    book = tmp_path / "rules" / "plate.yaml"
    before = book.read_text()
    proposal = _proposed(client, reference)
    assert proposal["calibration_lost"]
    assert proposal["compared"] == 3
    assert book.read_text() == before
    refused = client.post(f"/v1/inspections/{cases[0]}/corrections/{proposal['number']}", json={"accepted": False})
    assert refused.json() == {"changed": False}
    assert list((tmp_path / "rules").glob("plate-references/*")) == []
    number = _proposed(client, reference)["number"]
    client.post(f"/v1/inspections/{cases[0]}/corrections/{number}", json={"accepted": True})
    assert f"plate-references/{cases[0]}.png" in book.read_text()
    assert (tmp_path / "rules" / "plate-references" / f"{cases[0]}.png").read_bytes() == photo(100)
    (summary,) = client.get("/v1/rules").json()
    assert not summary["calibrated"], "a calibration for other references is put aside"
    assert client.get(f"/v1/inspections/{inspected(client, 200)}").json()["provenance"]["references_sha256"]
    assert "made for earlier rules or references" in client.get("/trust").text
    trail = client.get("/v1/audit").json()
    assert [one["what"] for one in trail["entries"]] == ["judgement"] * 3 + ["calibration", "rules"]
    assert trail["intact"]


def _proposed(client: httpx.Client, path: str) -> dict[str, Any]:
    name, told = events_of(client, path)[-1]
    assert name == "proposal", told
    return dict(told)


def test_a_kill_during_a_proposal_leaves_no_reference_behind(learning: httpx.Client, tmp_path: Path) -> None:
    case = inspected(learning, 100)
    learning.post(f"/v1/inspections/{case}/judgement", json={"outcome": "OK"})
    number = _proposed(learning, f"/v1/inspections/{case}/reference")["number"]
    staged = tmp_path / "rules" / "plate-references" / f"{case}.png"
    assert staged.is_file()
    own = staged.with_name("own.png")
    own.write_bytes(photo(5))
    draft = staged.with_name(f".{staged.name[:40]}-x1y2")  # a kill while the file was being written
    draft.write_bytes(b"half")

    def start_again() -> None:
        StagedReferences(RuleBooks(tmp_path / "rules", InspectorConfig()), tmp_path / "data" / "staged").clear()

    start_again()
    assert list(staged.parent.iterdir()) == [own]
    assert list((tmp_path / "data" / "staged").iterdir()) == []
    answer = learning.post(f"/v1/inspections/{case}/corrections/{number}", json={"accepted": True})
    assert answer.json() == {"changed": True}
    assert staged.read_bytes() == photo(100), "what is agreed to is put there again"
    start_again()
    assert sorted(staged.parent.iterdir()) == sorted([own, staged])


def test_a_book_that_names_the_whole_folder_gets_no_reference_before_a_yes(
    learning: httpx.Client, tmp_path: Path
) -> None:
    case = inspected(learning, 100)
    learning.post(f"/v1/inspections/{case}/judgement", json={"outcome": "OK"})
    folder = tmp_path / "rules" / "plate-references"
    folder.mkdir()
    (folder / "own.png").write_bytes(photo(5))
    book = tmp_path / "rules" / "plate.yaml"
    book.write_text("class_name: plate\nreferences: ['normal/*.png', 'plate-references/*.png']\n")
    name, told = events_of(learning, f"/v1/inspections/{case}/reference")[-1]
    assert (name, "names every file" in told["error"]) == ("error", True)
    assert [path.name for path in folder.iterdir()] == ["own.png"]


def test_who_asks_while_references_are_learned_is_told_how_far(
    start: Starter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(PLANTED, "image", 8)
    monkeypatch.setattr(judging, "_LOGGED_EVERY_S", 0.0)
    caplog.set_level("INFO", logger="vlm_inspect.service")
    settings = settings_in(tmp_path)
    for seed in range(3):
        (settings.rules / f"{seed}.png").write_bytes(photo(seed + 30))
    (settings.rules / "disc.yaml").write_text("class_name: disc\nreferences: ['?.png']\n")
    config = InspectorConfig().with_changes(localizer={"name": "memory"})
    client = start(settings=ServiceSettings(settings.rules, settings.data, config, store=settings.store))
    told: set[str] = set()

    def is_ready() -> bool:
        answer = client.get("/readyz")
        told.add(answer.json().get("rules", ""))
        return answer.status_code == 200

    until(is_ready)
    assert any(one.startswith(("disc: reading", "disc: learning")) for one in told), told
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == "rule book disc (1 of 2): reading its references"
    assert "rule book disc (1 of 2): reading reference 2 of 3" in lines
    assert "rule book disc (1 of 2): learning from 3 references" in lines
    assert "rule book disc (1 of 2): learning what would be found: 8 of 8 planted defects" in lines
    assert re.fullmatch(r"rule book disc \(1 of 2\): ready after \d+ s", lines[-3])
    assert lines[-1].startswith("rule book plate (2 of 2): ready after")


def test_only_what_was_judged_ok_becomes_a_reference(start: Starter, tmp_path: Path) -> None:
    client = start(settings=settings_in(tmp_path))
    case = client.post("/v1/inspections", files=part(100)).json()["id"]
    address = f"/v1/inspections/{case}/reference"
    assert "judge this part OK first" in client.post(address).json()["error"]
    client.post(f"/v1/inspections/{case}/judgement", json={"outcome": "OK"})
    client.post(f"/v1/inspections/{case}/judgement", json={"outcome": "NG"})
    assert client.post(address).status_code == 409
    assert client.post("/v1/inspections/20200101-000000-0000/reference").status_code == 404
    assert client.post("/v1/calibrations/nothing/proposals", json={}).status_code == 404
    assert client.post("/v1/calibrations/plate/proposals/1", json={"accepted": True}).status_code == 404
