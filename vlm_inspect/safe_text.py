"""Foreign text made safe to show: nothing in a name, a rule or a reply drives a terminal, a reader's eye or a table.

`write_line` is the one way of a command to the terminal; `table_cell` that into a table.
"""

import re
from pathlib import Path

_ESCAPES = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC: window titles, links
    r"|\x1b[PX^_][^\x1b]*(?:\x1b\\)?"  # DCS, SOS, PM, APC
    r"|[\x1b\x9b][\[(]?[0-?]*[ -/]*[@-~]"  # CSI and two-character sequences
)
_BIDI_AND_BREAKS = "\u061c\u200b\u200e\u200f\u202a-\u202e\u2066-\u206f\ufeff"
"""What turns the reading order or is not seen at all; joiners (U+200C, U+200D) are letters' own."""
_INVISIBLE = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_BIDI_AND_BREAKS}\ud800-\udfff]")
_UNDECODED = re.compile("[\udc80-\udcff]")
"""Bytes of a file name that are no UTF-8, as Python holds them (PEP 383)."""
_LONE = re.compile("[\ud800-\udfff]")
_DRIVING = re.compile(f"[\x7f-\x9f{_BIDI_AND_BREAKS}]")
_FORMULA = tuple("=+-@＝＋－＠")
"""What spreadsheets take for the beginning of a formula."""


def printable(text: str) -> str:
    r"""Return text without escapes, controls and bidi marks; line breaks and white space stay, a tab becomes a space.

    A byte of a file name that is no UTF-8 is written as in `\xe9`.
    """
    text = _UNDECODED.sub(_as_escape, text)
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
    return _INVISIBLE.sub("", _ESCAPES.sub("", text))


def plain(text: str) -> str:
    """Return `printable` text without white space around it."""
    return printable(text).strip()


def plain_line(text: str) -> str:
    """Return `plain` text on one line."""
    return " ".join(plain(text).split())


def path_text(path: str | Path) -> str:
    r"""Return a path as text that every file takes: bytes of it that are no UTF-8 are written as in `\xe9`."""
    return _LONE.sub(_as_escape, str(path))


def _as_escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else "\N{REPLACEMENT CHARACTER}"  # PEP 383


def table_cell(text: str) -> str:
    """Return `plain` text as a table may hold it: with a quote before what a spreadsheet would compute."""
    shown = plain(text)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown


def escape_invisible(json_text: str) -> str:
    r"""Return JSON that says the same with `\uXXXX` for what could drive a terminal or turn the reading order.

    JSON itself asks for that below U+0020 only, and its indentation stays.
    """
    return _DRIVING.sub(lambda found: f"\\u{ord(found[0]):04x}", json_text)


def write_line(text: str, *, err: bool = False) -> None:
    """Print `printable` text and a line break to stdout, or to stderr."""
    import click

    click.echo(printable(text), err=err)
