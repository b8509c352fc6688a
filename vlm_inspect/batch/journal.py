"""`Journal`: the rows of a batch, on the disk after every part, so that a kill costs the parts in flight alone.

A JSON line that says what the batch judges by, then one line a part, then `{"finished": true}`. Where parts go to
sinks, `{"promised": ...}` stands before the line of each: a part with that alone may have reached some of them. A line
that a kill tore is dropped.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from vlm_inspect.errors import OutputError
from vlm_inspect.sinks.row import Row

_VERSION = 1


class Journal:
    """The journal beside a table. Use as a context manager."""

    def __init__(self, path: Path, judged_by: str, *, resume: bool, by_content: bool = False) -> None:
        """Open a journal, or go on with one.

        Args:
            path: the file.
            judged_by: digest of all that the judgements depend on but the parts.
            resume: go on; otherwise one that is not finished is refused, because it holds work that would be lost.
            by_content: a part is told by its digest, not by its path: two files of the same content are one.

        Raises:
            OutputError: it cannot be read or written, is damaged, is unfinished, or belongs to other settings.
        """
        self.path = path
        self._by_content = by_content
        self.rows: dict[str, Row] = {}
        """By path, or by content; in the order in which they came."""
        self._promises: dict[str, Row] = {}
        try:
            content = path.read_bytes() if path.exists() else b""
            kept = content[: content.rfind(b"\n") + 1]
            lines = kept.splitlines()
            begun = len(lines) > 0
            if begun and not resume and not _is_finished(lines):
                done = _done_words(lines)
                raise OutputError(
                    f"{path} is of a batch that was interrupted, {done}; continue with --resume, or delete it"
                )
            if begun and resume:
                self._read(lines, judged_by)
            self._file = path.open("r+b" if begun and resume else "wb")
            self._file.truncate(len(kept) if begun and resume else 0)
            self._file.seek(0, os.SEEK_END)
            if not (begun and resume):
                self._append({"version": _VERSION, "judged_by": judged_by})
        except OSError as error:
            raise OutputError(f"{path} cannot be used: {error.strerror or error}; write the table elsewhere") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, row: Row) -> None:
        """Keep a row; it is on the disk when this returns."""
        self._keep(row)
        self._append(row.model_dump(mode="json"))

    def promise(self, row: Row) -> None:
        """Keep a row that goes to the sinks now; it counts when it is added."""
        self._promises[self._key(row)] = row
        self._append({"promised": row.model_dump(mode="json")})

    def promised(self, row: Row) -> Row | None:
        """Return the row of the same part that was promised and not added; None: there is none."""
        return self._promises.get(self._key(row))

    @property
    def promises(self) -> Sequence[Row]:
        """The rows that were promised and not added."""
        return tuple(self._promises.values())

    def _key(self, row: Row) -> str:
        return row.sha256 or row.source if self._by_content else row.source

    def _keep(self, row: Row) -> None:
        self.rows[self._key(row)] = row
        self._promises.pop(self._key(row), None)

    def finish(self) -> None:
        """Say that nothing is left to do."""
        self._append({"finished": True})

    def _append(self, record: object) -> None:
        try:
            self._file.write(json.dumps(record).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise OutputError(
                f"{self.path} cannot be written: {error.strerror or error}; free some space, then use --resume"
            ) from error

    def _read(self, lines: list[bytes], judged_by: str) -> None:
        number = 0
        try:
            for number, line in enumerate(lines, 1):
                record = json.loads(line)
                if number == 1:
                    self._check(record, judged_by)
                elif isinstance(record, dict) and "promised" in record:
                    row = Row.model_validate(record["promised"])
                    self._promises[self._key(row)] = row
                elif record != {"finished": True}:
                    self._keep(Row.model_validate(record))
        except (ValueError, ValidationError, RecursionError) as error:
            raise OutputError(f"{self.path}, line {number}: not a row of a batch; delete it to start over") from error

    def _check(self, record: object, judged_by: str) -> None:
        if not isinstance(record, dict) or record.get("version") != _VERSION:
            raise OutputError(f"{self.path}, line 1: not the journal of a batch; delete it to start over")
        if record.get("judged_by") != judged_by:
            raise OutputError(
                f"{self.path} belongs to a batch with other rules, references or settings, or of another version of "
                "this program; give the same, or delete it"
            )


def _done_words(lines: list[bytes]) -> str:
    count = sum(line.startswith(b'{"source": ') for line in lines)
    return f"{count} part{' is' if count == 1 else 's are'} done"


def _is_finished(lines: list[bytes]) -> bool:
    return lines[-1] == b'{"finished": true}'
