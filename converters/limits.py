"""How much memory and time one file may take to read, and what its reader has to say about it.

A few bytes can announce terabytes, or ask for hours. So readers `claim` what they are about to decode, from what the
file announces and before memory is taken, and `check_time` between its pieces. `reading` is opened once a file, by
`registry.read`; what readers `note` on the way (bytes ignored, rows left out) is kept there for the sample.
"""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from converters.errors import ConversionError

MEMORY_VARIABLE = "VLM_INSPECT_READ_MEMORY"
"""Environment variable: most memory that one file may take decoded, such as 500M, 2G (the default) or 16G."""
SECONDS_VARIABLE = "VLM_INSPECT_READ_SECONDS"
"""Environment variable: most seconds that a file of normal size may take; 20 by default."""

NORMAL_BYTES = 16 * 2**20
"""A file of normal size; one that is larger may take as many times longer."""

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


@dataclass(frozen=True)
class ReadLimits:
    """The bounds of reading one file."""

    memory_bytes: int = 2 * 10**9
    """Most bytes that a reader may hold at once."""
    seconds: float = 20.0
    """Most seconds for a file of up to `NORMAL_BYTES`; in proportion for a larger one."""

    @classmethod
    def from_environment(cls) -> "ReadLimits":
        """Return the limits that the environment sets, else the default ones.

        Raises:
            ConversionError: a variable is no size, or no number of seconds.
        """
        memory, seconds = os.environ.get(MEMORY_VARIABLE, "2G"), os.environ.get(SECONDS_VARIABLE, "20")
        size = _SIZE.fullmatch(memory.strip())
        if not size or not float(size[1]):
            raise ConversionError(f"{MEMORY_VARIABLE}={memory!r} is not a size; write 500M, 2G or 16G")
        try:
            found = cls(int(float(size[1]) * _UNITS[size[2].upper()]), float(seconds))
        except (ValueError, OverflowError):
            found = cls(seconds=0.0)
        if not found.seconds > 0:
            raise ConversionError(
                f"{SECONDS_VARIABLE}={seconds!r} is not a time; write a number of seconds, such as 20"
            )
        return found


@dataclass
class Reading:
    """One file that is being read."""

    limits: ReadLimits
    seconds: float
    """What this file may take, by its size."""
    deadline: float
    notes: list[str] = field(default_factory=list)


_CURRENT: ContextVar[Reading | None] = ContextVar("reading", default=None)


@contextmanager
def reading(path: Path, limits: ReadLimits | None = None) -> Iterator[Reading]:
    """Start the clock of one file; inside another reading (a frame of a folder) the outer one goes on.

    Raises:
        ConversionError: an environment variable cannot be understood.
    """
    outer = _CURRENT.get()
    if outer is not None:
        yield outer
        return
    limits = limits or ReadLimits.from_environment()
    seconds = limits.seconds * max(1.0, _size_of(path) / NORMAL_BYTES)
    token = _CURRENT.set(Reading(limits, seconds, time.monotonic() + seconds))
    try:
        yield _CURRENT.get()  # type: ignore[misc]  # it was set in the line above
    finally:
        _CURRENT.reset(token)


def _size_of(path: Path) -> int:
    try:
        if path.is_dir():
            return sum(entry.stat().st_size for entry in os.scandir(path) if entry.is_file())
        return path.stat().st_size
    except OSError:  # the reader says what is wrong with it
        return 0


def claim(path: Path, decoded_bytes: float) -> None:
    """Refuse what would take more memory than a file may.

    Args:
        path: the file.
        decoded_bytes: what is about to be held at once, working copies included.

    Raises:
        ConversionError: more than the limit; the message says both, and how to raise it.
    """
    current = _CURRENT.get()
    most = (current.limits if current else ReadLimits.from_environment()).memory_bytes
    if decoded_bytes > most:
        raise ConversionError(
            f"{path}: takes about {_in_words(decoded_bytes)} of memory to read, over the limit of {_in_words(most)} a "
            f"file; make it smaller, or raise {MEMORY_VARIABLE} (16G)"
        )


def allow_time(seconds: float) -> None:
    """Allow a file so many seconds more: a long clip is decoded frame by frame, and its frames were counted."""
    current = _CURRENT.get()
    if current is not None:
        current.seconds += seconds
        current.deadline += seconds


def check_time(path: Path) -> None:
    """Refuse to go on with a file that took too long; cheap enough to be called for every piece of it.

    Raises:
        ConversionError: over the limit; the message says how to raise it.
    """
    current = _CURRENT.get()
    if current is not None and time.monotonic() > current.deadline:
        raise ConversionError(
            f"{path}: not read within {current.seconds:.3g} s, the limit for a file of its size; make it smaller, or "
            f"raise {SECONDS_VARIABLE}"
        )


def note(text: str) -> None:
    """Keep a remark on the file that is being read: what was ignored, left out or assumed. Each is kept once."""
    current = _CURRENT.get()
    if current is not None and text not in current.notes:
        current.notes.append(text)


def _in_words(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.3g} MB"
