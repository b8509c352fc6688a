"""`ask CLIP --normal-until --curve` from the outside: files, exit codes, and what cannot work in one line."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.localization.clip_events.belts import FPS, SIZE_HW, belt
from vlm_inspect import cli


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A belt as a video file; a disc lies on the wall from frame 120 to 139."""
    path = tmp_path_factory.mktemp("clips") / "belt.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, SIZE_HW[::-1])
    for frame in belt(8, 180, mark_at=range(120, 140)).frames():
        writer.write(np.ascontiguousarray(frame.image[..., ::-1]))
    writer.release()
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first frames of a normal belt, as pictures."""
    folder = tmp_path_factory.mktemp("frames")
    for frame in belt(9, 90).frames():
        Image.fromarray(frame.image).save(folder / f"{frame.index:03d}.png")
    return folder


def ask(*arguments: object) -> int:
    with pytest.raises(SystemExit) as left:
        cli.main(["ask", "--quiet", *map(str, arguments)])
    assert isinstance(left.value.code, int)
    return left.value.code


@pytest.mark.parametrize("until", ["80", "3.2s"])
def test_the_beginning_is_normal_and_every_frame_has_a_score(clip: Path, tmp_path: Path, until: str) -> None:
    out = tmp_path / "curve.csv"
    page = tmp_path / "page.html"
    code = ask(clip, "--normal-until", until, "--curve", out, "--json", tmp_path / "found.json", "--html", page)
    text = out.read_text(encoding="ascii")
    assert code == 1
    assert text.startswith("frame,time_s,score\n0,0,")
    rows = list(csv.DictReader(text.splitlines()))
    assert [int(row["frame"]) for row in rows] == list(range(180))
    assert float(rows[50]["time_s"]) == pytest.approx(2.0)
    scores = np.array([float(row["score"]) for row in rows])
    assert ((scores >= 0) & (scores <= 1)).all()
    assert scores[120:140].min() > scores[:110].max()
    with Image.open(tmp_path / "curve.png") as plot:
        assert plot.size == (1000, 320)
    found = json.loads((tmp_path / "found.json").read_text())
    assert any(4.7 <= defect["time_s"] <= 5.7 for defect in found["defects"])
    assert found["localizer"] == "events"
    (event,) = found["events"]
    assert event["kind"] in ("motion", "appearance")
    assert 110 < event["start_frame"] <= 120 <= event["peak_frame"] < 140 <= event["end_frame"] < 150
    assert event["peak_s"] == pytest.approx(event["peak_frame"] / FPS, abs=0.001)
    x0, y0, x1, y1 = event["box_xyxyn"]
    assert x0 < 120 / 160 < x1
    assert y0 < 20 / 96 < y1
    text = page.read_text(encoding="utf-8")
    assert text.count('<li id="event-') == text.count('class="clip-event"') == 1
    assert f"{event['start_s']:.2f} s to {event['end_s']:.2f} s" in text
    assert "no frame of it" not in text


def test_a_folder_of_frames_has_no_time(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "curve.csv"
    ask(folder, "--as", "video", "--normal-until", "60", "--curve", out)
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert len(rows) == 90
    assert {row["time_s"] for row in rows} == {""}
    assert all(row["score"] for row in rows)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--normal-until", "5"], "too few"),
        (["--normal-until", "180"], "nothing is left to judge"),
        (["--normal-until", "six"], "60"),
        (["--normal-until", "0"], "60"),
        (
            ["--normal-until", "80", "--curve", "here.png"],
            "--curve writes a table, not .png; name a file",
        ),
        (["--normal-until", "80", "--language", "XYZ"], "--language XYZ: without a model it is one of English, German"),
    ],
)
def test_what_cannot_work_is_one_line(
    clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert ask(clip, *arguments) == 2
    told = capfd.readouterr()
    assert told.out == ""
    assert said in told.err
    assert "Traceback" not in told.err
    assert list(tmp_path.iterdir()) == []


def test_seconds_need_a_clock_and_a_beginning_a_clip(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert ask(folder, "--as", "video", "--normal-until", "2s") == 2
    assert "keeps no time" in capfd.readouterr().err
    photo = folder / "000.png"
    assert ask(photo, "--normal-until", "60") == 2
    assert "is for clips" in capfd.readouterr().err
    assert ask(photo, "--curve", tmp_path / "curve.csv", "--localizer", "none") == 2
    assert "--curve needs a clip or a curve, and the part is a picture" in capfd.readouterr().err
    assert ask(folder, "--as", "video", "--ply", tmp_path / "scan.ply") == 2
    assert "--ply needs a scan, and the part is a clip" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_compares_the_outcome_counts_and_the_curve_says_why(tmp_path: Path) -> None:
    for name, channel in (("a", "force"), ("b", "force"), ("part", "torque")):
        rows = (f"{k / 10},{k % 7}" for k in range(60))
        (tmp_path / f"{name}.csv").write_text("\n".join([f"time_s,{channel}", *rows]))
    references = ("--reference", tmp_path / "a.csv", "--reference", tmp_path / "b.csv")
    assert ask(tmp_path / "part.csv", *references, "--curve", tmp_path / "out.csv") == 3
    header, *said = (tmp_path / "out.csv").read_text().splitlines()
    assert (header, said[0][:22]) == ("sample,time_s,score", "# There is no score: t")
    assert "# The curve lacks force of its references; it has torque, which they have not: not compared." in said
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
    assert ask(tmp_path / "part.csv", *references, "--curve", tmp_path / "out.csv") == 3  # its own plot is replaced
    (tmp_path / "out.png").write_bytes(b"mine")
    assert ask(tmp_path / "part.csv", *references, "--curve", tmp_path / "out.csv") == 2
    assert (tmp_path / "out.png").read_bytes() == b"mine"


def test_a_beginning_alone_earns_no_ok(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "found.json"
    assert ask(folder, "--as", "video", "--normal-until", "60", "--json", out) == 3
    assert "one reference" in " ".join(json.loads(out.read_text())["review_reasons"])


def test_batch_takes_every_clip_by_its_own_beginning(clip: Path, tmp_path: Path) -> None:
    table = tmp_path / "out.csv"
    with pytest.raises(SystemExit) as left:
        cli.main(["batch", str(clip), "--normal-until", "80", "--csv", str(table), "--quiet"])
    assert left.value.code == 1
    assert [row["outcome"] for row in csv.DictReader(table.read_text(encoding="utf-8").splitlines())] == ["NG"]


@pytest.mark.parametrize("count", [1, 2, 3, 11, 12, 13])
def test_a_clip_of_a_few_frames_is_inspected_and_says_that_motion_was_not_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], count: int
) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    for index in range(count):
        pixels = np.random.default_rng(index).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(frames / f"{index:03d}.png")
    out = tmp_path / "result.json"
    assert ask(frames, "--as", "video", "--localizer", "none", "--json", out) == 3
    notes = " ".join(json.loads(out.read_text("utf-8"))["notes"])
    assert ("Motion was not compared" in notes) == (count < 12)
    assert "internal error" not in capsys.readouterr().err
