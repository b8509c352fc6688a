"""Pieces of generated parts: what a sensor on one side sees, and what is said of it."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import scan_pieces
from benchmarks.scan_classes import learned
from benchmarks.scan_pieces import print_pieces, seen_of
from vlm_inspect.demo.generated_scans import Scanner
from vlm_inspect.demo.solids import SOLIDS


@pytest.mark.parametrize("name", ["plate", "tube"])
def test_a_piece_shows_40_to_70_percent_and_its_edge_less(name: str) -> None:
    points = SOLIDS[name](np.random.default_rng(0)).sample(6_000, np.random.default_rng(1))
    for seed in range(3):
        assert 0.4 <= seen_of(points, np.random.default_rng(seed), edge_on=False).mean() <= 0.7
        assert 0.02 < seen_of(points, np.random.default_rng(seed), edge_on=True).mean() < 0.5


def test_one_direction_shows_one_face_of_a_plate_and_nothing_behind_it() -> None:
    points = SOLIDS["plate"](np.random.default_rng(0)).sample(6_000, np.random.default_rng(1))
    kept = seen_of(points, np.random.default_rng(0), edge_on=True)
    upper, lower = (np.abs(points[:, 2] - height) < 1e-9 for height in (points[:, 2].max(), 0.0))
    shown = sorted([kept[upper].mean(), kept[lower].mean()])
    assert shown[0] < 0.05


def test_a_sound_piece_is_told_as_one_and_never_as_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = Scanner(points=(3_000, 3_001), noise_mm=(0.01,), partial=0.0)
    monkeypatch.setattr(scan_pieces, "SCANNER", small)
    monkeypatch.setattr(scan_pieces, "learned", lambda name, count, seed: learned(name, count, seed, small))
    journal = tmp_path / "pieces.jsonl"
    print_pieces(["tube"], 1, 0, 2, 1, journal)
    printed = capsys.readouterr().out
    assert "| 1 of 1 | 1, 0 |" in printed
    monkeypatch.setattr(scan_pieces, "learned", None)  # nothing is measured again
    print_pieces(["tube"], 1, 0, 2, 1, journal)
    assert capsys.readouterr().out == printed
