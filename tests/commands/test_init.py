"""`vlm-inspect init`: a rule book of a folder of normal parts, which can be read, used and changed."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vlm_inspect import cli
from vlm_inspect.rule_proposal.proposal import name_of_class, propose_rules
from vlm_inspect.rule_proposal.ranges import propose_range, tolerance_factor
from vlm_inspect.rules import load_rules, resolve_references


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as left:
        cli.main([*map(str, arguments)])
    assert isinstance(left.value.code, int)
    return left.value.code


def photo(path: Path, grey: float, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).standard_normal((64, 64, 3))
    Image.fromarray(np.clip(grey + 6 * noise, 0, 255).astype(np.uint8)).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(5):
        photo(tmp_path / "M4 bracket_v2" / "good" / f"{number}.png", 150 + number, number)
    return tmp_path / "M4 bracket_v2" / "good"


def test_the_factors_are_those_of_the_tables() -> None:
    # 99 % of the parts, 95 % confidence: Natrella, Experimental Statistics (1963), table A-6
    assert tolerance_factor(10) == pytest.approx(4.433, rel=0.01)
    assert tolerance_factor(30) == pytest.approx(3.350, rel=0.01)
    assert tolerance_factor(100) == pytest.approx(2.934, rel=0.01)


def test_ranges() -> None:
    values = [19.97, 20.01, 20.03, 19.99, 20.0]
    low, high = propose_range(values)
    assert low is not None
    assert high is not None
    assert low < min(values) < max(values) < high
    assert propose_range(values, sides="max") == (None, high)
    assert propose_range([0.1, 0.2, 0.9], floor=0.0, ceiling=1.0) == (0.0, 1.0)
    assert propose_range([4.0, 4.0, 4.0]) == (4.0, 4.0)
    assert propose_range([0.7, 0.7, 0.7]) == (None, None)
    assert propose_range(values[:2]) == (None, None)


def test_the_book_can_be_used_and_its_proposals_taken(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("init", folder, "--no-sensitivity", "--quiet") == 0
    place = folder.parent / "M4_bracket_v2.yaml"
    assert f"written: {place}" in capfd.readouterr().out
    book = load_rules(place)
    assert book.class_name == "M4 bracket v2"
    assert [rule.id for rule in book.rules] == ["like-the-references"]
    assert [path.name for path in resolve_references(book)] == [f"{number}.png" for number in range(5)]
    text = place.read_text()
    taken = re.sub(r"^  # (- id|  text|  check)", r"  \1", text, flags=re.MULTILINE)
    place.write_text(taken)
    checks = {rule.id: rule.check for rule in load_rules(place).rules if rule.check is not None}
    assert {"brightness", "mean-color-l", "sharpness"} <= set(checks)
    brightness = checks["brightness"]
    assert brightness is not None
    assert brightness.min is not None
    assert brightness.max is not None
    assert 100 < brightness.min < 150 < 154 < brightness.max < 200
    assert run("ask", photo(folder.parent / "dark.png", 60, 9), "--rules", place, "--localizer", "none", "--quiet") == 1


def test_an_older_file_is_not_replaced_and_wrong_folders_are_one_line(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mixed").mkdir()
    photo(tmp_path / "mixed" / "a.png", 150, 1)
    (tmp_path / "mixed" / "b.csv").write_text("t,v\n0,1\n1,2\n")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    (tmp_path / "empty").mkdir()
    out = tmp_path / "book.yaml"
    out.write_text("mine")
    for wrong, told in (
        ((folder, "--out", out), "is there already"),
        ((tmp_path / "mixed", "--out", tmp_path / "x.yaml"), "holds photos (a.png) and curves (b.csv)"),
        ((tmp_path / "broken", "--out", tmp_path / "x.yaml"), "take it out of the folder"),
        ((tmp_path / "empty", "--out", tmp_path / "x.yaml"), "no part in it"),
        ((tmp_path / "none", "--out", tmp_path / "x.yaml"), "no such folder"),
        ((folder, "--out", tmp_path / "no" / "x.yaml"), "no such folder"),
    ):
        assert run("init", *wrong, "--no-sensitivity") == 2
        error = capfd.readouterr().err
        assert told in error
        assert error.count("\n") == 1
    assert out.read_text() == "mine"
    assert not (tmp_path / "x.yaml").exists()


@pytest.fixture
def curves(tmp_path: Path) -> Path:
    folder = tmp_path / "press" / "ok"
    folder.mkdir(parents=True)
    for number in range(4):
        time_s = np.arange(200) / 100
        wave = (1 + 0.01 * number) * np.sin(2 * np.pi * 5 * time_s)
        rows = "\n".join(f"{t:.2f},{v:.5f},{2 * v:.5f}" for t, v in zip(time_s, wave, strict=True))
        (folder / f"{number}.csv").write_text(f"time [s],force [N],current [A]\n{rows}\n")
    return folder


def test_curves_are_measured_by_channel(curves: Path) -> None:
    found = propose_rules(curves)
    assert found.kind == "series"
    assert {(one.measure, one.channel, one.unit) for one in found.ranges} >= {
        ("max", "force", "N"),
        ("rms", "current", "A"),
    }


def test_the_class_is_named_by_the_folder_that_says_what_it_is(tmp_path: Path) -> None:
    assert name_of_class(tmp_path / "screw" / "train" / "good") == "screw"
    assert name_of_class(tmp_path / "red_caps") == "red caps"


@pytest.mark.slow(4)
def test_the_book_says_what_the_references_would_catch(curves: Path) -> None:
    assert run("init", curves, "--quiet") == 0
    text = (curves.parent / "press.yaml").read_text()
    assert "# Sensitivity: an OK from these 4 references would have held up" in text
    assert "by the number of references: 2: " in text
    assert load_rules(curves.parent / "press.yaml").class_name == "press"
