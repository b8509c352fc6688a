"""A few damaged files of every kind; `python -m benchmarks.fuzz` takes thousands."""

from pathlib import Path

import pytest

from benchmarks.fuzz.__main__ import fuzz
from benchmarks.fuzz.kinds import Ran, make_kinds


def test_damage_of_every_kind_of_file_is_one_line_or_a_right_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLM_INSPECT_CACHE", str(tmp_path / "cache"))
    kinds = make_kinds(tmp_path)
    names = {kind.name for kind in kinds}
    assert {"rules", "config", "calibration", "results.json", "items.jsonl", "store, cells"} <= names
    assert [fault for kind in kinds for fault in fuzz(kind, 3, seed=7)] == []


@pytest.mark.parametrize(
    ("ran", "fault"),
    [
        (Ran(0, "", ""), ""),
        (Ran(2, "", "vlm-inspect: warning: old\nvlm-inspect: error: a.yaml, line 1: no\n"), ""),
        (Ran(2, "", "vlm-inspect: error: internal error, please report it\n"), "internal"),
        (Ran(2, "", "vlm-inspect: error: one\nvlm-inspect: error: two\n"), "2 lines"),
        (Ran(1, "", "Traceback (most recent call last)\n"), "Traceback"),
        (Ran(139, "", ""), "139"),
    ],
)
def test_what_counts_as_a_fault(ran: Ran, fault: str) -> None:
    assert fault in ran.fault
    assert bool(ran.fault) == bool(fault)
