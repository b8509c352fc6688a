"""Pictures inline, where the terminal says that it can."""

import base64
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vlm_inspect.chat.screen import PipeScreen, inline_picture


@pytest.fixture
def picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("KITTY_WINDOW_ID", "TERM", "TERM_PROGRAM"):
        monkeypatch.delenv(name, raising=False)
    pixels = np.random.default_rng(0).integers(0, 255, (60, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "p.png")
    return tmp_path / "p.png"


def test_a_plain_terminal_gets_the_path_alone(picture: Path) -> None:
    assert list(inline_picture(picture)) == []


def test_kitty_gets_all_of_it_in_pieces(picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-kitty")
    told = "".join(inline_picture(picture))
    pieces = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", told)
    assert len(pieces) > 1
    assert [head.rpartition("m=")[2] for head, _ in pieces] == ["1"] * (len(pieces) - 1) + ["0"]
    assert base64.b64decode("".join(data for _, data in pieces)) == picture.read_bytes()


def test_iterm_gets_it_with_its_size(picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM_PROGRAM", "iTerm.app")
    (told,) = inline_picture(picture)
    head, _, data = told.partition(":")
    assert head == f"\x1b]1337;File=inline=1;size={picture.stat().st_size}"
    assert base64.b64decode(data.removesuffix("\x07\n")) == picture.read_bytes()


def test_what_is_shown_cannot_drive_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    PipeScreen().say("  a\x1b]0;title\x07b\x1b[2J")
    assert capsys.readouterr().out == "  ab\n"
