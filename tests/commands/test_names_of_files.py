"""Files whose names mislead: a part that reads like an option, stdin, and results named as files of another type."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vlm_inspect import cli

NONE = ("--localizer", "none", "--quiet")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)).save(tmp_path / "-dash.png")
    return tmp_path


def refused(*arguments: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("sys.argv", ["vlm-inspect", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    told = capfd.readouterr().err
    assert (ended.value.code, told.count("\n")) == (2, 1)
    return told


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("command", ["ask", "batch"])
def test_a_part_that_reads_like_an_option(
    command: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = refused(command, "-dash.png", *NONE, capfd=capfd, monkeypatch=monkeypatch)
    assert "if -dash.png is a file, write ./-dash.png" in told
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "./-dash.png", *NONE])
    assert ended.value.code == 3


def test_a_part_is_no_stdin(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert "not from stdin" in refused("ask", "-", *NONE, capfd=capfd, monkeypatch=monkeypatch)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("ask", "./-dash.png", "--overlay", "x.JPG"),
            "--overlay writes a PNG, not .jpg; name a file that ends in .png",
        ),
        (("ask", "./-dash.png", "--html", "x.pdf"), "--html writes a page, not .pdf"),
        (("ask", "./-dash.png", "--json", "x.csv"), "--json writes JSON, not .csv"),
        (("ask", "./-dash.png", "--ply", "x.stl"), "--ply writes a PLY, not .stl"),
        (("batch", "./-dash.png", "--csv", "x.xlsx"), "--csv writes CSV, not .xlsx"),
        (("batch", "./-dash.png", "--csv", "/dev/null"), "is a device, and a journal goes beside the table"),
        (("ask", "./-dash.png", "./-dash.png"), "ask takes one part; give several to vlm-inspect batch"),
        (("init", "./-dash.png"), "is a file; name a folder of normal parts"),
        (("sensitivity", "--reference", "./-dash.png", "--html", "x.png"), "--html writes a page, not .png"),
    ],
)
def test_a_result_is_not_named_as_a_file_of_another_type(
    arguments: tuple[str, ...],
    said: str,
    folder: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = NONE if arguments[0] != "init" else ("--quiet",)
    assert said in refused(*arguments, *options, capfd=capfd, monkeypatch=monkeypatch)
    assert [path.name for path in folder.iterdir()] == ["-dash.png"]


def test_other_endings_are_fine(folder: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["ask", "./-dash.png", "--overlay", "over.view1", "--json", "told", "--html", "x.HTM", *NONE])
    assert ended.value.code == 3
    assert (folder / "over.view1").read_bytes().startswith(b"\x89PNG")
