"""`vlm-inspect cache`: shows and clears what is kept, and nothing else."""

import json
from pathlib import Path

import numpy as np
import pytest

from vlm_inspect.array_cache import ENVIRONMENT, ArrayCache
from vlm_inspect.cli import main


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["cache", *arguments])
    told = capsys.readouterr()
    return int(ended.value.code or 0), told.out, told.err


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "cache"))
    for kind, rows in (("memories", 200_000), ("descriptions", 3)):
        ArrayCache(tmp_path / "cache").array(kind, "k", (rows,), lambda rows=rows: np.zeros(rows))  # type: ignore[misc]
    return tmp_path / "cache"


def test_it_is_shown_and_cleared(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys)
    assert code == 0
    assert f"{home}: 1.5 MiB in 2 entries" in out
    assert "memories" in out
    told = json.loads(run(capsys, "--json")[1])
    assert [one["kind"] for one in told["kinds"]] == ["memories", "descriptions"]
    assert told["folder"] == str(home)
    assert run(capsys, "clear")[1] == "removed 1 entries, 1.5 MiB\n"
    assert run(capsys, "clear", "--kind", "descriptions")[1].startswith("removed 1 entries")
    assert "0.0 KiB in 0 entries" in run(capsys)[1]


def test_a_kind_that_is_not_there_is_said(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "clear", "--kind", "memory")
    assert (code, out) == (2, "")
    assert "no kind 'memory' in the cache; there is memories, descriptions" in err


def test_off_or_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv(ENVIRONMENT, "off")
    assert run(capsys)[:2] == (0, "VLM_INSPECT_CACHE is off: nothing is kept on disk\n")
    assert run(capsys, "clear")[:2] == (0, "removed 0 entries, 0.0 KiB\n")
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "none"))
    assert "0.0 KiB in 0 entries" in run(capsys)[1]
