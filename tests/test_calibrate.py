"""`calibrate` on real pictures: its thresholds hold for `ask`, and it never guesses from too little."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vlm_inspect import cli
from vlm_inspect.inspector import Inspector
from vlm_inspect.qualification.trial import PLANTED
from vlm_inspect.store import CaseStore

Run = Callable[..., tuple[int, str, str]]
PARTS = 9


def plate(path: Path, seed: int, *, spot: bool = False) -> None:
    picture = np.random.default_rng(seed).normal(120, 6, (64, 64, 3))
    if spot:
        picture[20:36, 20:36] = (250, 20, 20)
    Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def plates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plates")
    for name in ("reference", "normal", "anomalous", "empty"):
        (folder / name).mkdir()
    for i in range(4):
        plate(folder / "reference" / f"{i}.png", i)
    for i in range(PARTS):
        plate(folder / "normal" / f"{i}.png", 100 + i)
    plate(folder / "odd.png", 300, spot=True)
    (folder / "rules.yaml").write_text("class_name: plate\nreferences: [reference/*.png]\n")
    return folder


@pytest.fixture
def run(plates: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(plates)
    monkeypatch.setenv("VLM_INSPECT_CACHE", str(plates / "cache"))
    monkeypatch.setitem(PLANTED, "image", 80)  # with fewer the bound of OK lies below most normal plates

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            cli.main([str(a) for a in arguments])
        out, err = capfd.readouterr()
        return int(str(left.value.code)), out, err

    return call


@pytest.mark.slow(6)
def test_thresholds_hold_for_ask_and_say_how_sure_they_are(run: Run, plates: Path, tmp_path: Path) -> None:
    out = tmp_path / "plate.json"
    code, told, err = run("calibrate", "normal", "--rules", "rules.yaml", "--out", out, "--overkill", 0.2)
    assert code == 0, err
    assert f"of the {PARTS} normal parts" in told
    assert "this one lies between" in told
    assert re.search(r"under these bounds \d+ references would have held up", told)
    made = json.loads(out.read_text())
    assert made["n"] == PARTS
    assert made["localizer"] == "memory"
    assert 0 <= made["ok_below"] <= made["ng_above"] <= 1
    held_up = set(re.findall(r"^  (?:REVIEW|NG) \S+ (\S+\.png)", told, re.MULTILINE))
    assert made["overkill"] == pytest.approx(len(held_up) / PARTS)
    assert len(held_up) <= 4  # places and surface as a whole have bounds of their own
    assert len(made["whole"]) == 2
    options = ("--rules", "rules.yaml", "--calibration", out, "--json", "-")
    code, told, _ = run("ask", "odd.png", *options)
    assert code == 1
    assert not any("uncalibrated" in note for note in json.loads(told)["notes"])
    assert json.loads(told)["sensitivity"] == made["sensitivity"]
    for path in sorted((plates / "normal").iterdir())[:4]:
        assert run("ask", path, *options)[0] == (3 if path.name in held_up else 0)


def test_thresholds_made_with_a_folder_hold_for_its_files(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "plate.json"
    code, _, err = run("calibrate", "normal", "--reference", "reference", "--out", out, "--overkill", 0.2)
    assert code == 0, err
    given = ("--reference", "reference/*.png", "--calibration", out, "--json", "-")
    _, told, err = run("ask", "reference/0.png", *given)
    assert told, err
    assert any("one of its own references" in note for note in json.loads(told)["notes"])
    _, told, _ = run("ask", "odd.png", *given)
    assert not any("one of its own references" in note for note in json.loads(told)["notes"])


def test_the_rate_is_stated_at_the_score_that_has_it(run: Run, tmp_path: Path) -> None:
    """Where planted defects pull the bound of OK below that score, more is held up, and that is said."""
    out = tmp_path / "plate.json"
    asked = ("--rules", "rules.yaml", "--out", out, "--overkill", 0.2, "--missed", 0.01)
    code, told, err = run("calibrate", "normal", *asked)
    assert code == 0, err
    stated = re.search(r"at most 20.0% of new normal parts score above ([\d.]+)", told)
    assert stated is not None
    assert json.loads(out.read_text())["ok_below"] < float(stated[1])
    assert "OK ends below that" in told
    assert "warning" not in told


def test_a_file_that_leaves_no_part_ok_is_warned_of(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PLANTED, "image", 8)  # so few tell next to nothing
    asked = ("--rules", "rules.yaml", "--out", tmp_path / "plate.json", "--overkill", 0.2, "--missed", 0.001)
    code, told, err = run("calibrate", "normal", *asked)
    assert code == 0, err
    assert f"of the {PARTS} normal parts: 0 OK" in told
    assert "warning: no part will be OK with this file" in told


def test_parts_that_people_judged_calibrate_once_each_by_the_last_word(run: Run, plates: Path, tmp_path: Path) -> None:
    """The same thresholds as the same files give; a part that is gone is taken from the store, or told."""
    store, own = tmp_path / "cases.db", tmp_path / "own"
    shutil.copytree(plates / "normal", own)
    inspector = Inspector.from_rules(plates / "rules.yaml")
    with CaseStore(store) as opened:
        for path in sorted(own.iterdir()):
            examination = inspector.examine(path)
            kept = [opened.save(examination, path, keep_input=path.name < "3.png") for _ in range(2)]
            opened.judge(kept[1], "OK" if path.name != "8.png" else "NG", by="anna")
        opened.save(inspector.examine(plates / "odd.png"), plates / "odd.png")  # nobody judged it
        opened.judge(kept[1], "OK", by="bob")
    for name in ("0.png", "8.png"):  # one is in the store, one is lost
        (own / name).unlink()
    given = ("--rules", "rules.yaml", "--overkill", 0.25)
    code, _, err = run("calibrate", "--judged", "--store", store, *given, "--out", tmp_path / "judged.json")
    assert code == 0, err
    assert "judged by people: 8 normal and 0 anomalous parts" in err
    assert f"left out: 1 judged parts that are gone or have changed ({kept[1]})" in err
    same = tmp_path / "same"
    shutil.copytree(plates / "normal", same)
    (same / "8.png").unlink()
    assert run("calibrate", same, *given, "--out", tmp_path / "files.json")[0] == 0
    assert json.loads((tmp_path / "judged.json").read_text()) == json.loads((tmp_path / "files.json").read_text())
    with CaseStore(store) as opened:
        for case in opened.judged_cases():
            opened.judge(case.line.id, "NG", by="bob")
    code, out, err = run("calibrate", "--judged", "--store", store, *given, "--out", tmp_path / "none.json")
    assert (code, out) == (2, "")
    assert "there are 0" in err


def test_references_and_copies_do_not_count(run: Run, plates: Path, tmp_path: Path) -> None:
    code, _, err = run("calibrate", "reference", "--rules", "rules.yaml", "--out", tmp_path / "c.json")
    assert code == 2
    assert "there are 0" in err
    assert "4 that were given are references or copies and do not count" in err
    assert not (tmp_path / "c.json").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("normal",), "needs at least 19 normal parts beside the references, there are 9: give 10 more"),
        (("empty",), "empty"),
        (("nowhere",), "no such folder"),
        (("odd.png",), "is a file"),
        (("normal", "--overkill", "0"), "overkill"),
        (("normal", "--overkill", "0.2", "--anomalous", "empty"), "empty"),
        (("normal", "--calibration", "x.json"), "takes none"),
        ((), "or take those that people judged: --judged"),
        (("--judged", "--store", "nowhere.db"), "no such store"),
    ],
)
def test_what_cannot_work_is_one_line(run: Run, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    code, out, err = run("calibrate", *arguments, "--rules", "rules.yaml", "--out", tmp_path / "c.json")
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1
    assert not (tmp_path / "c.json").exists()
