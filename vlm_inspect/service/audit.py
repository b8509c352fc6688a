"""`AuditTrail`: who changed what and when, in a file of JSON lines that form a chain of digests.

Every line holds the digest of the line before, and its own: SHA-256 of that and of its content. A line that is changed,
moved or taken out breaks the chain. Lines cut off at the end leave a chain that is whole: compare the last digest with
one noted elsewhere (the service prints it when it starts, and `GET /v1/audit` gives it).

A change is written here before it is made, so that none goes unrecorded; one that then fails is followed by a line that
says so.
"""

import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vlm_inspect.errors import InspectError, StoreError
from vlm_inspect.store.files import PRIVATE_FILE

START = "0" * 64
"""What the first line gives as the digest of the line before."""
_FIELDS = ("n", "at", "who", "what", "subject", "before", "after", "previous")


class AuditTrail:
    """The trail of one service. Any thread may write."""

    def __init__(self, path: Path) -> None:
        """Go on with a file, or begin it.

        Raises:
            StoreError: it cannot be read or written.
        """
        self.path = path
        self._lock = threading.Lock()
        try:
            if not path.exists():
                path.touch(mode=PRIVATE_FILE)
            self._drop_torn_line()
            entry = self._last_entry()
        except OSError as error:
            raise StoreError(f"the audit trail cannot be used: {error.strerror or error}") from error
        self._count = int(entry.get("n", 0))
        self.head = str(entry.get("digest", START))

    def note(self, who: str, what: str, subject: str, *, before: Any = None, after: Any = None) -> Mapping[str, Any]:
        """Add one line, and return it.

        Args:
            who: the person.
            what: what was done, such as "judgement".
            subject: to what: the id of a case, the name of a rule book.
            before: JSON value of what was.
            after: JSON value of what is.

        Raises:
            StoreError: it cannot be written.
        """
        with self._lock:
            entry = {
                "n": self._count + 1,
                "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "who": who,
                "what": what,
                "subject": subject,
                "before": before,
                "after": after,
                "previous": self.head,
            }
            entry["digest"] = digest_of_entry(entry)
            try:
                with self.path.open("ab") as file:
                    file.write(json.dumps(entry, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
                    file.flush()
                    os.fsync(file.fileno())
            except OSError as error:
                raise StoreError(f"the audit trail cannot be written: {error.strerror or error}") from error
            self._count, self.head = self._count + 1, str(entry["digest"])
            return entry

    @contextmanager
    def noted(self, who: str, what: str, subject: str, *, before: Any = None, after: Any = None) -> Iterator[None]:
        """Note a change, make it inside, and note it where it fails."""
        self.note(who, what, subject, before=before, after=after)
        try:
            yield
        except Exception as error:
            told = str(error) if isinstance(error, InspectError) else type(error).__name__
            self.note(who, f"{what} failed", subject, after=told)
            raise

    def entries(self) -> list[dict[str, Any]]:
        """Return every line, in order; one that is no JSON is an empty entry."""
        return [_parsed(line) for line in self._lines()]

    def first_break(self) -> int | None:
        """Return the line, from 1, at which the chain breaks; None: it is whole."""
        previous, number = START, 0
        for number, line in enumerate(self._lines(), start=1):
            entry = _parsed(line)
            if entry.get("n") != number or entry.get("previous") != previous:
                return number
            if set(entry) != {*_FIELDS, "digest"} or entry["digest"] != digest_of_entry(entry):
                return number
            previous = str(entry["digest"])
        return None if (number, previous) == (self._count, self.head) else number + 1

    def _last_entry(self) -> dict[str, Any]:
        last = b"{}"
        for line in self._lines():
            last = line
        return _parsed(last)

    def _lines(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            yield from file

    def _drop_torn_line(self) -> None:
        """Cut off a last line that a power cut left without its end: its change was not made."""
        with self.path.open("rb+") as file:
            content = file.read()
            if content and not content.endswith(b"\n"):
                file.truncate(content.rfind(b"\n") + 1)


def digest_of_entry(entry: Mapping[str, Any]) -> str:
    """Return the digest of a line: SHA-256 of its other fields, as JSON with sorted keys."""
    told = {name: entry.get(name) for name in _FIELDS}
    return hashlib.sha256(json.dumps(told, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return entry if isinstance(entry, dict) else {}
