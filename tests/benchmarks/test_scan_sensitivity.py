"""The table of the smallest dents: deep ones are found, and what a journal holds is not measured again."""

from pathlib import Path

import pytest

from benchmarks import scan_sensitivity
from benchmarks.scan_sensitivity import print_sensitivity, smallest


def test_a_table_is_measured_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = {"POINTS": 3_000, "SOUND": 2, "DENTS": 2, "DEPTHS_MM": (0.001, 1.0), "NOISES_UM": (10,)}
    for name, value in small.items():
        monkeypatch.setattr(scan_sensitivity, name, value)
    journal = tmp_path / "cells.jsonl"
    print_sensitivity(["plate"], 2, 1, journal)
    first = capsys.readouterr().out
    assert "| plate | 1 |" in first
    kept = journal.read_text()
    monkeypatch.setattr(scan_sensitivity, "draw", None)  # nothing is drawn again
    print_sensitivity(["plate"], 2, 1, journal)
    assert capsys.readouterr().out == first
    assert journal.read_text() == kept


def test_a_depth_counts_only_where_deeper_ones_are_found_too() -> None:
    depths = scan_sensitivity.DEPTHS_MM
    counts = {str(depth): 10 for depth in depths} | {str(depths[0]): 3, str(depths[2]): 8}
    assert smallest(counts) == f"{depths[3]:g}"
    assert smallest(dict.fromkeys(counts, 0)) == "above 0.8"
