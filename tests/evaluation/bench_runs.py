"""Runs of `vlm-inspect bench` as tests make them, and what they wrote."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from vlm_inspect import cli


class Ran(NamedTuple):
    code: int
    out: str
    err: str


Bench = Callable[..., Ran]


@pytest.fixture
def bench(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    monkeypatch.setenv("VLM_INSPECT_CACHE", str(tmp_path / "cache"))
    for name in ("VLM_INSPECT_MODEL", "OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)

    def call(*arguments: object) -> Ran:
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main(["bench", *map(str, arguments)])
        out, err = capfd.readouterr()
        assert isinstance(left.value.code, int)
        return Ran(left.value.code, out, err)

    return call


def results_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "results.json").read_text()))


def items_of(folder: Path) -> dict[str, dict[str, Any]]:
    """Items by id, without how long they took."""
    lines = [json.loads(line) for line in (folder / "items.jsonl").read_text().splitlines()]
    return {line.pop("id"): {k: v for k, v in line.items() if k != "latency_s"} for line in lines}
