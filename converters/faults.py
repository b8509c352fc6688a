"""What third-party readers raise on bad input, so that it becomes one line and not a traceback."""

import struct
import sys
import tokenize
import zipfile
import zlib

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


def in_one_line(fault: Exception, limit: int = 160) -> str:
    """What a fault says, as one short line; its class's name where it says nothing."""
    text = " ".join(str(fault).split())
    if not text:
        return type(fault).__name__
    return text if len(text) <= limit else text[: limit - 1] + "…"
