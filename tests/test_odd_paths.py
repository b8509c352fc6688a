"""Paths that lead nowhere, at the command line: one clear line."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.fuzz.kinds import run_command
from tests.waiting import LONGEST_S


@pytest.fixture
def loop(tmp_path: Path) -> Path:
    path = tmp_path / "loop.png"
    path.symlink_to(path)
    return path


@pytest.mark.parametrize("where", ["source", "reference", "rules"])
def test_a_link_to_itself(tmp_path: Path, loop: Path, where: str) -> None:
    curve = tmp_path / "a.csv"
    curve.write_text("t [s],F [N]\n0.5,1\n0.7,2\n")
    source = loop if where == "source" else curve
    more = [] if where == "source" else [f"--{where}", loop]
    command = [
        sys.executable,
        "-c",
        "from vlm_inspect.cli import main; main()",
        "ask",
        source,
        "--localizer",
        "none",
        *more,
    ]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    said = ran.stderr.strip()
    assert ran.returncode == 2
    assert said.startswith("vlm-inspect: error: ")
    assert "loop.png" in said
    assert "internal" not in said
    assert "\n" not in said


@pytest.mark.parametrize(
    "command",
    [
        ("batch", "loop.png", "parts", "--localizer", "none", "--csv", "t.csv"),
        ("batch", "parts", "--localizer", "none", "--csv", "t.csv", "--html", "loop.png"),
        ("demo", "loop.png"),
        ("calibrate", "parts", "--out", "c.json", "--localizer", "none", "--overkill", "0.5"),
        ("chat", "loop.png", "--store", "c.db"),
        ("cases", "--store", "loop.png"),
        ("ask", "a.csv", "--config", "loop.png"),
        ("ask", "a.csv", "--json", "loop.png/a.json"),
    ],
    ids=" ".join,
)
def test_a_link_to_itself_in_every_command(
    tmp_path: Path, loop: Path, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("t [s],F [N]\n0.5,1\n0.7,2\n")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "sub.png").symlink_to("sub.png")
    ran = run_command(command)
    assert ran.code == 2
    assert "internal error" not in ran.err
    assert "Traceback" not in ran.err
    assert loop.is_symlink()


def test_no_module_follows_links_in_a_way_that_raises_on_a_link_to_itself() -> None:
    root = Path(__file__).resolve().parents[1]
    sources = [path for folder in ("vlm_inspect", "evaluation") for path in (root / folder).rglob("*.py")]
    found = [str(path) for path in sources if ".resolve()" in path.read_text(encoding="utf-8")]
    assert [Path(path).name for path in found] == ["prompt_files.py"]  # its own place, which is no link to itself
