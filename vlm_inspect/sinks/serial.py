"""The serial number or lot of a part: from its file's name, or from a Data Matrix, QR or bar code on it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlm_inspect.errors import ConfigError
from vlm_inspect.part_queue import Judged
from vlm_inspect.safe_text import path_text, plain_line

if TYPE_CHECKING:
    from pathlib import Path

    from converters.view import View


@dataclass(frozen=True)
class SerialFinder:
    """How the serial number of a part is found.

    Attributes:
        pattern: searched in the text; its group named serial, else its first one, else the whole match counts.
        from_code: whether codes on the part are read first; the name is searched where none gives a number.
    """

    pattern: re.Pattern[str] | None = None
    from_code: bool = False

    def check(self) -> None:
        """Raise ConfigError where the reader of codes is not installed."""
        if not self.from_code:
            return
        try:
            import zxingcpp  # noqa: F401
        except ImportError as error:
            raise ConfigError("--serial-code needs zxing-cpp: pip install 'vlm-inspect[codes]'") from error

    def find(self, judged: "Judged[Path]") -> str:
        """Return the serial number; empty where there is none."""
        if self.from_code and judged.examination is not None:
            for text in read_codes(judged.examination.views):
                if number := text if self.pattern is None else find_serial(text, self.pattern):
                    return number
        return find_serial(path_text(judged.source.name), self.pattern)

    @property
    def record(self) -> str:
        """What it is, for a digest of settings."""
        return f"{self.from_code}:{self.pattern.pattern if self.pattern else ''}"


def find_serial(text: str, pattern: re.Pattern[str] | None) -> str:
    """Return the serial number in a text; empty where the pattern finds none."""
    found = None if pattern is None else pattern.search(text)
    if found is None or pattern is None:
        return ""
    group: str | int = "serial" if "serial" in pattern.groupindex else min(pattern.groups, 1)
    return found.group(group) or ""


def read_codes(views: "Sequence[View]") -> Iterator[str]:
    """Yield the text of each code on the pictures of a part, the whole picture before its tiles, each text once."""
    import zxingcpp

    seen: set[str] = set()
    for view in views:
        if view.kind != "image":
            continue
        for code in zxingcpp.read_barcodes(view.image):
            text = plain_line(code.text)
            if text and text not in seen:
                seen.add(text)
                yield text
