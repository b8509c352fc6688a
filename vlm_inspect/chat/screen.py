"""Where the dialogue is read from and shown: a terminal with line editing, or a pipe."""

import base64
import os
import sys
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from vlm_inspect.safe_text import plain, printable

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession

PROMPT = "> "
_CHUNK = 4096
"""Most characters of one piece of a picture in the kitty protocol."""


class Screen(Protocol):
    """Reads lines of a person or of a script, and shows what is said."""

    @property
    def interactive(self) -> bool:
        """Whether a person sits before it."""
        ...

    def read(self, prompt: str = PROMPT) -> str | None:
        """Return the next line without its end; None: there is none."""
        ...

    def stream(self, text: str) -> None:
        """Show words that belong to one answer, as they come."""
        ...

    def say(self, text: str = "") -> None:
        """Show one or more whole lines."""
        ...

    def aside(self, text: str) -> None:
        """Show one line of what goes on; it is no result."""
        ...

    def picture(self, path: Path) -> None:
        """Show that a picture was written."""
        ...


class PipeScreen:
    """Lines from stdin, answers to stdout, asides to stderr."""

    interactive = False

    def __init__(self, *, quiet: bool = False) -> None:
        """Read stdin; `quiet` leaves the asides out."""
        self._quiet = quiet

    def read(self, prompt: str = PROMPT) -> str | None:
        """Return the next line."""
        del prompt
        line = sys.stdin.readline()
        return line.rstrip("\r\n") if line else None

    def stream(self, text: str) -> None:
        """Write words at once."""
        sys.stdout.write(printable(text))
        sys.stdout.flush()

    def say(self, text: str = "") -> None:
        """Write whole lines; their indentation stays."""
        indent = text[: len(text) - len(text.lstrip(" "))]
        self.stream(f"{indent}{plain(text)}\n")

    def aside(self, text: str) -> None:
        """Write one line to stderr."""
        if not self._quiet:
            sys.stderr.write(f"{plain(text)}\n")
            sys.stderr.flush()

    def picture(self, path: Path) -> None:
        """Write the path."""
        self.say(f"picture: {path}")


class TerminalScreen(PipeScreen):
    """A terminal: lines are edited, remembered from session to session, and found again with the arrow keys."""

    interactive = True

    def __init__(self, history: Path | None, *, quiet: bool = False) -> None:
        """Use the terminal; `history` is the file of earlier lines, None: they are not kept."""
        super().__init__(quiet=quiet)
        self._history = history

    @cached_property
    def _session(self) -> "PromptSession[str]":
        from prompt_toolkit import PromptSession
        from prompt_toolkit.history import FileHistory, InMemoryHistory

        return PromptSession(history=InMemoryHistory() if self._history is None else FileHistory(str(self._history)))

    def read(self, prompt: str = PROMPT) -> str | None:
        """Return the next line; None at its end (Ctrl-D). Ctrl-C gives the line up."""
        while True:
            try:
                return self._session.prompt(prompt)
            except EOFError:
                return None
            except KeyboardInterrupt:
                continue

    def aside(self, text: str) -> None:
        """Write one line between the others."""
        if not self._quiet:
            self.stream(f"{plain(text)}\n")

    def picture(self, path: Path) -> None:
        """Write the path, and the picture itself where the terminal shows pictures."""
        super().picture(path)
        for piece in inline_picture(path):  # the one escape that reaches the terminal, and it is ours
            sys.stdout.write(piece)
        sys.stdout.flush()


def open_screen(history: Path | None, *, quiet: bool = False) -> Screen:
    """Return the screen of this process: a terminal where a person sits at both ends, else pipes."""
    if sys.stdin.isatty() and sys.stdout.isatty():
        return TerminalScreen(history, quiet=quiet)
    return PipeScreen(quiet=quiet)


def inline_picture(path: Path) -> Iterator[str]:
    """Yield what draws a PNG in a terminal that can (kitty's and iTerm2's protocols); nothing for any other."""
    if os.environ.get("KITTY_WINDOW_ID") or os.environ.get("TERM") in {"xterm-kitty", "xterm-ghostty"}:
        data = base64.b64encode(path.read_bytes()).decode("ascii")
        pieces = [data[i : i + _CHUNK] for i in range(0, len(data), _CHUNK)]
        for i, piece in enumerate(pieces):
            more = int(i < len(pieces) - 1)
            head = f"f=100,a=T,q=2,m={more}" if i == 0 else f"m={more}"
            yield f"\x1b_G{head};{piece}\x1b\\"
        yield "\n"
    elif os.environ.get("TERM_PROGRAM") in {"iTerm.app", "WezTerm"}:
        raw = path.read_bytes()
        data = base64.b64encode(raw).decode("ascii")
        yield f"\x1b]1337;File=inline=1;size={len(raw)}:{data}\x07\n"
