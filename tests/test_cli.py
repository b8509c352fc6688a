"""The command line from the outside: what it prints, where, and with which exit code."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from tests.backends.openai_server import OpenAIServer, answer, status
from tests.waiting import LONGEST_S
from vlm_inspect import cli

NORMAL = {"reasoning": "Nothing differs from the rules.", "anomalous": False, "probability": 0.03}
ANOMALOUS = {
    "reasoning": "There is a dark spot in the middle.",
    "anomalous": True,
    "probability": 0.97,
    "answer": "In the middle of the plate.",
    "rules": [{"id": "clean", "status": "fail", "reason": "a dark spot", "view": 0}],
    "defects": [{"type": "spot", "view": 0, "box": [400, 400, 600, 600], "severity": "major", "description": "dark"}],
}


class Ran(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    for name in ("VLM_INSPECT_MODEL", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)

    def call(*arguments: object) -> Ran:
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main([str(a) for a in arguments])
        out, err = capfd.readouterr()
        assert isinstance(left.value.code, int)
        return Ran(left.value.code, out, err)

    return call


def plate(path: Path, *, seed: int = 0, spot: bool = False) -> Path:
    """A grey plate with grain; `spot`: a dark disc in its middle."""
    rng = np.random.default_rng(seed)
    grey = 150 + 6 * rng.standard_normal((160, 160))
    if spot:
        y, x = np.mgrid[:160, :160]
        grey[(y - 80) ** 2 + (x - 80) ** 2 < 14**2] = 30
    Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8)).convert("RGB").save(path)
    return path


@pytest.fixture
def plates(tmp_path: Path) -> Path:
    """A folder with a rule book, four references, a plate that is as usual as they are and one with a spot."""
    (tmp_path / "normal").mkdir()
    for i in range(4):
        plate(tmp_path / "normal" / f"{i}.png", seed=i)
    plate(tmp_path / "clean.png", seed=14)
    plate(tmp_path / "spot.png", seed=11, spot=True)
    (tmp_path / "plate.yaml").write_text(
        "class_name: plate\n"
        "rules:\n"
        "  - {id: clean, text: The plate carries no spot.}\n"
        "defects: [spot]\n"
        "references: [normal/*.png]\n"
    )
    return tmp_path


@pytest.mark.slow(8)
def test_offline_a_normal_part_is_ok_and_an_anomalous_one_ng(run: Run, plates: Path) -> None:
    rules = ("--rules", plates / "plate.yaml")
    clean = run("ask", plates / "clean.png", *rules)
    assert clean.code == 0, clean
    assert "OK" in clean.out
    spot = run("ask", plates / "spot.png", *rules, "--json", "-")
    assert spot.code == 1, spot
    inspection = json.loads(spot.out)
    assert inspection["outcome"] == "NG"
    assert inspection["model"] == "evidence"
    assert inspection["localizer"] == "memory"
    x0, y0, x1, y1 = inspection["defects"][0]["box_xyxyn"]
    assert x0 < 0.5 < x1
    assert y0 < 0.5 < y1


def test_without_references_doubt_is_review(run: Run, plates: Path) -> None:
    done = run("ask", plates / "clean.png", "--json", "-")
    assert done.code == 3
    assert json.loads(done.out)["review_reasons"]


@pytest.mark.slow(4)
def test_a_reference_is_not_judged_by_itself(run: Run, plates: Path) -> None:
    done = run("ask", plates / "normal" / "0.png", "--rules", plates / "plate.yaml", "--json", "-")
    assert len(json.loads(done.out)["provenance"]["references_sha256"]) == 3


def test_a_remote_model_is_asked_and_its_words_come_back(
    run: Run, plates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-sentinel")
    with OpenAIServer([answer(ANOMALOUS)]) as server:
        done = run(
            "ask", plates / "spot.png", "--rules", plates / "plate.yaml", "--question", "Where is it?", "--json", "-",
            "--model", "openai:tiny", "--base-url", server.base_url,
        )  # fmt: skip
        assert len(server.requests) == 1
    assert done.code == 1, done
    inspection = json.loads(done.out)
    assert inspection["answer"] == "In the middle of the plate."
    assert inspection["defects"][0]["source"] == "both"
    assert inspection["model"] == "openai:tiny"
    assert "sk-sentinel" not in done.out + done.err


def test_a_model_that_contradicts_the_heatmap_is_review(run: Run, plates: Path) -> None:
    with OpenAIServer([answer(NORMAL | {"probability": 0.0})]) as server:
        done = run(
            "ask", plates / "spot.png", "--rules", plates / "plate.yaml",
            "--model", "openai:tiny", "--base-url", server.base_url,
        )  # fmt: skip
    assert done.code == 3, done


def test_samples_are_asked_for_and_shared_out(run: Run, plates: Path) -> None:
    with OpenAIServer([answer(ANOMALOUS)]) as server:
        done = run(
            "ask", plates / "spot.png", "--rules", plates / "plate.yaml", "--samples", "3", "--json", "-",
            "--model", "openai:tiny", "--base-url", server.base_url,
        )  # fmt: skip
        asked = sum(request.body.get("n") or 1 for request in server.requests)
    assert asked == 3
    assert json.loads(done.out)["outcome"] == "NG"


@pytest.mark.parametrize(
    ("behaviour", "hint"), [(status(401), "OPENAI_API_KEY"), (status(404), "tiny")], ids=["401", "404"]
)
def test_a_rejected_request_is_an_error_not_a_verdict(run: Run, plates: Path, behaviour: object, hint: str) -> None:
    with OpenAIServer([behaviour]) as server:  # type: ignore[list-item]  # parametrize loses the type
        done = run("ask", plates / "clean.png", "--model", "openai:tiny", "--base-url", server.base_url)
    assert_one_line_error(done, hint)


def test_an_unreachable_server_is_an_error(run: Run, plates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vlm_inspect.backends import openai_compatible

    monkeypatch.setattr(openai_compatible.time, "sleep", lambda s: None)
    done = run("ask", plates / "clean.png", "--model", "openai:tiny", "--base-url", "http://127.0.0.1:9/v1")
    assert_one_line_error(done, "127.0.0.1:9")


def test_outputs_are_written_beside_the_terminal_result(run: Run, plates: Path) -> None:
    files = [plates / name for name in ("r.json", "r.html", "r.png")]
    done = run(
        "ask", plates / "spot.png", "--rules", plates / "plate.yaml",
        "--json", files[0], "--html", files[1], "--overlay", files[2],
    )  # fmt: skip
    assert done.code == 1, done
    assert "NG" in done.out
    assert json.loads(files[0].read_text())["outcome"] == "NG"
    assert files[1].read_text().startswith("<!doctype html>")
    with Image.open(files[2]) as picture:
        picture.load()
        assert picture.format == "PNG"


def assert_one_line_error(done: Ran, *hints: str) -> None:
    assert done.code == 2, done
    assert done.out == ""
    assert done.err.count("\n") == 1, done.err
    assert done.err.startswith("vlm-inspect: error: ")
    for hint in hints:
        assert hint in done.err


def bad_inputs(folder: Path) -> dict[str, tuple[list[object], str]]:
    """What is wrong -> the command, and a word that its one line must hold."""
    photo, other, pipe = plate(folder / "photo.png"), plate(folder / "other.png", seed=1), folder / "pipe.csv"
    os.mkfifo(pipe)

    def file(name: str, data: bytes) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    def rules(name: str, text: str) -> list[object]:
        return [photo, "--rules", file(name, text.encode())]

    png = photo.read_bytes()
    (folder / "no_frames").mkdir()
    (folder / "no_frames" / "notes.txt").write_text("nothing here")
    head = "class_name: plate\nrules:\n"
    return {
        "missing file": ([folder / "nowhere.png"], "nowhere.png"),
        "empty file": ([file("empty.png", b"")], "empty"),
        "truncated image": ([file("cut.png", png[: len(png) // 2])], "cut.png"),
        "text as image": ([file("text.png", b"hello, this is no picture\n" * 5)], "text.png"),
        "csv of words": ([file("words.csv", b"some,words\nand,more\nwords,here\n")], "words.csv"),
        "one point": ([file("one.xyz", b"1 2 3\n"), "--as", "point_cloud"], "one.xyz"),
        "no finite point": ([file("nan.xyz", b"nan nan nan\n" * 9), "--as", "point_cloud"], "nan.xyz"),
        "folder without frames": ([folder / "no_frames"], "no_frames"),
        "video without frame": ([file("v.mp4", b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom")], "v.mp4"),
        "unknown key": (rules("key.yaml", "class_name: plate\nrulez: []\n"), "rulez"),
        "duplicate id": (rules("twice.yaml", head + "  - {id: a, text: x}\n  - {id: a, text: y}\n"), "twice.yaml"),
        "wrong type": (rules("type.yaml", head + "  - {id: a, text: x, severity: awful}\n"), "severity"),
        "python tag": (rules("tag.yaml", "class_name: !!python/object/apply:os.getcwd []\n"), "tag.yaml"),
        "alias bomb": (rules("bomb.yaml", alias_bomb()), "bomb.yaml"),
        "unknown measure": (
            rules("m.yaml", head + "  - {id: a, text: x, check: {measure: lenght, min: 1}}\n"),
            "length",
        ),
        "missing reference": ([photo, "--reference", folder / "gone" / "*.png"], "gone"),
        "reference of another kind": ([photo, "--reference", file("curve.csv", b"1,2\n2,3\n3,4\n")], "curve.csv"),
        "rules missing": ([photo, "--rules", folder / "gone.yaml"], "gone.yaml"),
        "unknown model": ([photo, "--model", "magic:9"], "magic"),
        "unknown localizer": ([photo, "--localizer", "magic"], "magic"),
        "output folder missing": ([photo, "--html", folder / "gone" / "r.html"], "gone"),
        "output is a folder": ([photo, "--json", folder / "no_frames"], "no_frames"),
        "unknown option": ([photo, "--bogus"], "--bogus"),
        "empty source": ([""], "SOURCE"),
        "empty output": ([photo, "--json", ""], "--json"),
        "empty reference": ([photo, "--reference", ""], "--reference"),
        "folder as reference": ([photo, "--reference", folder / "no_frames"], "no_frames"),
        "endless timeout": ([photo, "--timeout", "inf"], "--timeout"),
        "word for a number": ([photo, "--localizer-batch", "x"], "'x' is not a whole number; give one from 1 to 1024"),
        "timeout that is no number": ([photo, "--timeout", "nan"], "--timeout"),
        "rules from a pipe": ([photo, "--rules", pipe], "pipe"),
        "calibration from a pipe": ([photo, "--calibration", pipe], "pipe"),
        "series from a pipe": ([pipe, "--as", "series"], "pipe"),
        "video from a pipe": ([pipe, "--as", "video"], "pipe"),
        "reference from a pipe": ([photo, "--reference", pipe], "pipe"),
        "folder as a curve": ([folder / "no_frames", "--as", "series"], "folder"),
        "points on a line": ([file("line.xyz", b"".join(b"%d 2 3\n" % i for i in range(50)))], "one line"),
        "output over the source": ([photo, "--overlay", folder / "no_frames" / ".." / "photo.png"], "photo.png"),
        "output over the rules": ([*rules("own.yaml", "class_name: a\n"), "--html", folder / "own.yaml"], "own.yaml"),
        "output over a reference": ([photo, "--reference", other, "--overlay", other], "other.png"),
    }


def alias_bomb() -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    return "\n".join([*lines, "class_name: *a11", ""])


WRONG = (
    "missing file", "empty file", "truncated image", "text as image", "csv of words", "one point", "no finite point",
    "folder without frames", "video without frame", "unknown key", "duplicate id", "wrong type", "python tag",
    "alias bomb", "unknown measure", "missing reference", "reference of another kind", "rules missing",
    "unknown model", "unknown localizer", "output folder missing", "output is a folder", "unknown option",
    "empty source", "empty output", "empty reference", "folder as reference", "endless timeout",
    "word for a number", "timeout that is no number", "rules from a pipe", "calibration from a pipe",
    "series from a pipe", "video from a pipe", "reference from a pipe", "folder as a curve", "points on a line",
    "output over the source",
    "output over the rules", "output over a reference",
)  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_bad_input_is_one_line_and_leaves_nothing(run: Run, tmp_path: Path, wrong: str) -> None:
    arguments, hint = bad_inputs(tmp_path)[wrong]
    before = sorted(tmp_path.rglob("*"))
    overlay = [] if {"--html", "--overlay"} & {*map(str, arguments)} else ["--overlay", tmp_path / "r.png"]
    done = (run_fresh if wrong == "video without frame" else run)("ask", *arguments, *overlay)
    assert_one_line_error(done, hint)
    assert sorted(tmp_path.rglob("*")) == before, "something was left behind"


def run_fresh(*arguments: object) -> Ran:
    """Run in a process of its own: FFmpeg reads how much it may print once, when the first video is opened."""
    command = [sys.executable, "-m", "vlm_inspect.cli", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    return Ran(done.returncode, done.stdout, done.stderr)


def test_every_wrong_input_is_tried(tmp_path: Path) -> None:
    assert set(WRONG) == set(bad_inputs(tmp_path))


@pytest.mark.slow(4)
def test_what_is_ignored_does_not_decide(run: Run, plates: Path) -> None:
    rules = plates / "plate.yaml"
    rules.write_text(rules.read_text() + "ignore: [[0.15, 0.15, 0.85, 0.85]]\n")
    done = run("ask", plates / "spot.png", "--rules", rules, "--json", "-")
    assert done.code == 0, done
    assert json.loads(done.out)["defects"] == []


def test_copies_of_a_reference_count_once(run: Run, plates: Path) -> None:
    copy = plates / "copy.png"
    copy.write_bytes((plates / "normal" / "0.png").read_bytes())
    references = ("--reference", plates / "normal" / "0.png", "--reference", copy)
    done = run("ask", plates / "clean.png", *references, "--localizer", "none", "--json", "-")
    assert len(json.loads(done.out)["provenance"]["references_sha256"]) == 1


def ask_from_outside(arguments: Sequence[object], **popen: Any) -> subprocess.Popen[bytes]:
    """Start the command in a process of its own, where stdout is a real pipe."""
    command = [sys.executable, "-m", "vlm_inspect.cli", "ask", *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, **popen)


def test_a_reader_that_leaves_is_an_error_and_never_ng(plates: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        asked = ask_from_outside([plates / "clean.png", "--localizer", "none"], stdout=writing)
    finally:
        os.close(writing)
    _, err = asked.communicate(timeout=LONGEST_S)
    assert asked.returncode == 2
    assert err.count(b"\n") == 1, err
    assert b"stdout" in err


def test_a_terminal_that_knows_only_ascii_gets_the_result(plates: Path) -> None:
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    asked = ask_from_outside([plates / "clean.png", "--localizer", "none"], stdout=subprocess.PIPE, env=environment)
    out, err = asked.communicate(timeout=LONGEST_S)
    assert (asked.returncode, err) == (3, b"")
    assert b"REVIEW" in out


def test_names_of_files_cannot_drive_the_terminal(run: Run, plates: Path) -> None:
    name = "no\x1b]0;title\x07such.png"
    assert "\x1b" not in run("ask", plates / name).err
    done = run("ask", plates / "clean.png", "--localizer", "none", "--overlay", plates / name)
    assert (plates / name).exists()
    assert "\x1b" not in done.out


@pytest.mark.parametrize("group", [(), ("references",)])
def test_a_command_that_wants_another_shows_its_help(run: Run, group: tuple[str, ...]) -> None:
    done = run(*group)
    assert (done.code, done.err) == (0, "")
    assert "\nCommands:\n" in done.out


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_output_is_found_before_the_part_is_read(run: Run, plates: Path) -> None:
    locked = plates / "locked"
    locked.mkdir()
    locked.chmod(stat.S_IRUSR | stat.S_IXUSR)
    assert_one_line_error(run("ask", plates / "nowhere.png", "--json", locked / "r.json"), "locked")


def test_a_bug_exits_with_2_and_debug_shows_where(run: Run, plates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vlm_inspect import inspector

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(inspector, "gather", broken)
    assert_one_line_error(run("ask", plates / "clean.png"), "a bug")
    assert "Traceback" in run("ask", plates / "clean.png", "--debug").err


def test_debug_shows_what_is_sent(run: Run, plates: Path) -> None:
    done = run("ask", plates / "clean.png", "--rules", plates / "plate.yaml", "--debug")
    assert "The plate carries no spot." in done.err
    assert "[image: " in done.err


@pytest.mark.parametrize("command", [(), ("ask",), ("demo",)])
def test_help_has_a_runnable_example(run: Run, command: tuple[str, ...]) -> None:
    done = run(*command, "--help")
    assert done.code == 0
    assert "Example:" in done.out


@pytest.mark.parametrize("size_wh", [(1, 1), (2, 2), (3000, 20)])
def test_tiny_and_thin_images_are_looked_at(run: Run, tmp_path: Path, size_wh: tuple[int, int]) -> None:
    Image.new("RGB", size_wh, (90, 120, 40)).save(tmp_path / "tiny.png")
    assert run("ask", tmp_path / "tiny.png").code == 3


def curve(path: Path, channels: int, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    time_s = np.arange(800) / 100
    columns = [np.sin(9 * time_s) + 0.05 * rng.standard_normal(800) for _ in range(channels)]
    names = ",".join(["time (s)", *(f"accel{k} (g)" for k in range(channels))])
    np.savetxt(path, np.column_stack([time_s, *columns]), delimiter=",", header=names, comments="")
    return path


@pytest.mark.slow(3)
def test_a_channel_that_no_reference_has_is_doubt(run: Run, tmp_path: Path) -> None:
    references = [argument for i in range(4) for argument in ("--reference", curve(tmp_path / f"{i}.csv", 1, i))]
    assert run("ask", curve(tmp_path / "same.csv", 1, 8), *references).code == 0
    done = run("ask", curve(tmp_path / "more.csv", 2, 9), *references)
    assert done.code == 3, done
    reasons = done.out.partition("Why a person must look")[2].partition("\n\n")[0]
    assert "The references have no channel accel1" in reasons
