"""What third-party readers raise on bad input, so that it becomes one line and not a traceback."""

import os
import struct
import sys
import tokenize
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path

FAULTS: tuple[type[Exception], ...] = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    tokenize.TokenError,  # of a corrupt .npy header
    zipfile.BadZipFile,
    zlib.error,
)
"""Wide on purpose: parsers of binary formats stumble over broken files with any of these. A fault is always chained
(`raise ... from fault`), so that `--debug` shows where it came from."""


def reader_faults() -> tuple[type[Exception], ...]:
    """`FAULTS` and the error classes of the readers loaded so far that derive from none of them.

    An `except` clause is evaluated when something was raised; by then the library that raised it is loaded.
    """
    found = (
        getattr(sys.modules.get(module), name, None)
        for module, name in (
            ("cv2", "error"),
            ("PIL.Image", "DecompressionBombError"),
            ("lzma", "LZMAError"),
        )
    )
    return FAULTS + tuple(kind for kind in found if isinstance(kind, type) and issubclass(kind, Exception))


def why_missing(path: Path) -> str:
    """Say that a path leads nowhere, and of a link where it leads."""
    if str(path) == "-":
        return "-: parts are read from files, not from stdin; save it to a file first"
    with suppress(OSError, ValueError):
        if path.is_symlink():
            return f"{path}: a link to {os.readlink(path)}, and there is nothing; check where it should lead"
    return f"{path}: no such file or folder; check the path"


def in_one_line(fault: Exception, limit: int = 160) -> str:
    """What a fault says, as one short line; its class's name where it says nothing."""
    text = " ".join(str(fault).split())
    if not text:
        return type(fault).__name__
    return text if len(text) <= limit else text[: limit - 1] + "…"
