"""Paths that lead nowhere, at the command line: one clear line."""

import subprocess
import sys
from pathlib import Path

import pytest


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
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    said = ran.stderr.strip()
    assert ran.returncode == 2
    assert said.startswith("vlm-inspect: error: ")
    assert "loop.png" in said
    assert "internal" not in said
    assert "\n" not in said
