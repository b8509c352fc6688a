"""The service on PostgreSQL: list and filters, judgements and their trail, messages."""

import dataclasses
import json
from pathlib import Path

from tests.service.conftest import Starter, part, settings_in
from tests.sinks.hook import listening
from tests.waiting import until
from vlm_inspect.sinks.webhook import Webhook


def test_it_lists_judges_and_tells_as_on_a_file(start: Starter, postgres_url: str, tmp_path: Path) -> None:
    with listening() as hook:
        settings = dataclasses.replace(settings_in(tmp_path), store=postgres_url, receivers=(Webhook(hook.url),))
        client = start(settings=settings)
        assert client.get("/readyz").status_code == 200
        ids = {}
        for number, level in enumerate((100, 200, 101)):
            answer = client.post("/v1/inspections", files=part(level), data={"serial": f"SN{number}"})
            ids[f"SN{number}"] = answer.json()["id"]

        def found(**wanted: object) -> list[str]:
            told = client.get("/v1/inspections", params={name: str(value) for name, value in wanted.items()}).json()
            return sorted(one["serial"] for one in told["items"])

        assert found(outcome="NG") == ["SN1"]
        assert found(serial="SN2") == ["SN2"]
        assert found(**{"class": "plate"}) == ["SN0", "SN1", "SN2"]
        assert found(since="2000-01-01", until="2001-01-01") == []
        assert found(page=2, per_page=2) == ["SN0"]  # the newest first
        judged = client.post(f"/v1/inspections/{ids['SN1']}/judgement", json={"outcome": "NG", "reason": "burr"})
        assert judged.status_code in (200, 201)
        assert found(judgement="NG") == ["SN1"]
        assert found(judgement="none") == ["SN0", "SN2"]
        trail = client.get("/v1/audit").json()
        assert [entry["what"] for entry in trail["entries"]] == ["judgement"]
        until(lambda: len(hook.got) == 3)
        assert {json.loads(body)["id"] for _, body in hook.got} == set(ids.values())
        until(lambda: "vlm_inspect_messages_waiting 0.0" in client.get("/metrics").text)
