"""Names of files that are no UTF-8, as old cameras and archives write them: every command takes them and names them."""

import contextlib
import csv
import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vlm_inspect import cli
from vlm_inspect.safe_text import path_text, printable

Run = Callable[..., tuple[int, str, str]]
NAME = os.fsdecode(b"caf\xe9.png")
SHOWN = r"caf\xe9.png"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / os.fsdecode(b"lot\xff")
    place.mkdir()
    picture = np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8)
    Image.fromarray(picture).save(place / NAME)
    (place / os.fsdecode(b"r\xe8.yaml")).write_text("class_name: plate\n")
    monkeypatch.setenv("VLM_INSPECT_STORE", str(tmp_path / "cases.db"))
    monkeypatch.delenv("VLM_INSPECT_MODEL", raising=False)
    return place


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main([*map(str, arguments)])
        out, err = capfd.readouterr()
        return int(str(left.value.code)), out, err

    return call


def test_one_part_is_inspected_kept_shown_and_replayed(run: Run, folder: Path) -> None:
    page, told = folder / os.fsdecode(b"p\xe9.html"), folder / os.fsdecode(b"j\xe9.json")
    code, out, err = run(
        *("ask", folder / NAME, "--rules", folder / os.fsdecode(b"r\xe8.yaml"), "--localizer", "none"),
        *("--html", page, "--json", told, "--overlay", folder / os.fsdecode(b"o\xe9.png"), "--save", "--keep-input"),
    )
    assert code == 3, err
    assert SHOWN in out.replace("\n", "")
    assert json.loads(told.read_text())["source"].endswith(SHOWN)
    assert SHOWN in page.read_text()
    assert run("cases")[1].split()[-1] == SHOWN
    (line,) = map(json.loads, run("cases", "export")[1].splitlines())
    assert line["input"] == [SHOWN]
    (row,) = csv.DictReader(io.StringIO(run("cases", "export", "--format", "csv")[1]))
    assert row["source"].endswith(SHOWN)
    assert run("cases", "show", line["id"], "--input", folder / "back")[0] == 0
    assert (folder / "back" / SHOWN).read_bytes() == (folder / NAME).read_bytes()
    code, out, err = run("replay", line["id"])
    assert (code, "the same prompt, byte for byte" in out) == (0, True), err


def test_many_parts_and_a_benchmark(run: Run, folder: Path) -> None:
    code, _, err = run("batch", folder / NAME, "--localizer", "none", "--csv", folder / "t.csv", "--html", folder / "g")
    assert code == 3, err
    (row,) = csv.DictReader(io.StringIO((folder / "t.csv").read_text()))
    assert row["source"].endswith(SHOWN)
    for label in ("good", "bad"):
        (folder / "set" / label).mkdir(parents=True)
        Image.fromarray(np.full((40, 50, 3), len(label) * 40, np.uint8)).save(folder / "set" / label / NAME)
    out = folder / os.fsdecode(b"run\xe9")
    code, _, err = run(
        *("bench", folder / "set", "--format", "folder", "--shots", 0, "--localizer", "none", "--out", out, "--quiet")
    )
    assert code == 0, err
    items = [json.loads(line)["id"] for line in (out / "items.jsonl").read_text().splitlines()]
    assert sorted(items) == [f"set/bad/{SHOWN}", f"set/good/{SHOWN}"]


def test_a_path_is_text_and_stays_what_it_is() -> None:
    assert path_text("é/ü.png") == "é/ü.png"
    assert path_text(NAME) == SHOWN
    assert path_text("a\ud800") == "a\N{REPLACEMENT CHARACTER}"
    assert printable(f"{NAME}: no such file") == f"{SHOWN}: no such file"
    with contextlib.suppress(UnicodeEncodeError):
        NAME.encode()
        raise AssertionError("the name of this test is text after all")
