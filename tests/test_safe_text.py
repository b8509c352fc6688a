"""What a file's name, a rule or a model's reply may do to a terminal, a reader's eye or a spreadsheet: nothing."""

import ast
import json
from pathlib import Path

import pytest

from vlm_inspect.safe_text import escape_invisible, plain, plain_line, printable, table_cell, write_line

ROOT = Path(__file__).resolve().parents[1]
DRIVING = [
    "\x1b[31m", "\x1b]0;title\x07", "\x9b2J", "\x9d", "\x07", "\x00", "\x7f", "\x85", "\u061c", "\u200b", "\u200e",
    "\u202e", "\u2066", "\u206a", "\u206f", "\ufeff", "\ud800",
]  # fmt: skip
DOCUMENTS = {"vlm_inspect/commands/cases.py": 2, "vlm_inspect/commands/replay.py": 1, "vlm_inspect/cli.py": 3}
"""Calls of `click.echo` besides `write_line`: whole documents that are safe already, and errors, cleaned before."""


@pytest.mark.parametrize("driving", DRIVING, ids=ascii)
def test_nothing_that_drives_comes_through(driving: str) -> None:
    assert plain(f"part{driving}.png") == "part.png"
    assert printable(f"  part{driving}.png\n") == "  part.png\n"


def test_letters_of_every_script_stay() -> None:
    for text in ("Größe", "傷がある", "می\u200cخواهم", "👩\u200d🔧"):
        assert plain_line(text) == text


@pytest.mark.parametrize("driving", DRIVING[2:-1], ids=ascii)
def test_json_loses_nothing(driving: str) -> None:
    text = json.dumps({"name": f"part{driving}"}, ensure_ascii=False)
    assert printable(escape_invisible(text)) == escape_invisible(text)
    assert json.loads(escape_invisible(text)) == {"name": f"part{driving}"}


@pytest.mark.parametrize("first", [*"=+-@＝＋－＠", "\x1b[0m=", " =", "\t="])
def test_no_cell_is_a_formula(first: str) -> None:
    assert table_cell(f"{first}1+1").startswith("'")


def test_a_cell_keeps_its_lines() -> None:
    assert table_cell("scratched\nat the tip") == "scratched\nat the tip"


def test_a_line_is_clean_on_either_stream(capsys: pytest.CaptureFixture[str]) -> None:
    write_line("part\x1b]0;x\x07\u202e.png")
    write_line("  and\u061c this", err=True)
    assert tuple(capsys.readouterr()) == ("part.png\n", "  and this\n")


def test_commands_print_through_one_way() -> None:
    found: dict[str, int] = {}
    for folder in ("vlm_inspect", "evaluation"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            calls = [
                node
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                if isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in {"echo", "secho"}
            ]
            if calls and path.name != "safe_text.py":
                found[str(path.relative_to(ROOT))] = len(calls)
    assert found == DOCUMENTS
