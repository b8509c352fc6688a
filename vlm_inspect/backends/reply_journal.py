"""`ReplyJournal`: what was paid for, on disk before it is used, so that a killed examination pays for no step twice.

    journal = ReplyJournal(path)
    model = journalled(model, journal)        # asks what the journal does not hold, and keeps each answer first
    ...
    journal.discard()                         # the result is written: nothing is left to go on with

One line a request: its key and the replies. What this process asked itself is not looked up again. A line that a kill
cut off does not count; the request is asked again.
"""

import json
import os
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlm_inspect.backends.backend import Backend, Reply, Request
from vlm_inspect.backends.kept_replies import key_of_request, reply_from_json, reply_to_json
from vlm_inspect.backends.two_models import TwoModels
from vlm_inspect.errors import InspectWarning, OutputError

SUFFIX = ".replies"
OLD_S = 14 * 86_400.0
"""Age in seconds from which a journal that nobody went on with is removed."""


class ReplyJournal:
    """The replies of examinations that are not finished, in one file; safe for threads."""

    def __init__(self, path: Path) -> None:
        """Read what is there; nothing is written yet.

        Raises:
            OutputError: the file is there and cannot be read.
        """
        self._path = path
        self._lock = threading.Lock()
        self._known: dict[str, tuple[Reply, ...]] = {}
        try:
            lines = path.read_bytes().splitlines() if path.exists() else []
        except OSError as error:
            raise OutputError(f"{path} cannot be read: {error.strerror or error}; remove it to begin anew") from error
        for line in lines:
            with suppress(ValueError, KeyError, TypeError, RecursionError):
                told = json.loads(line)
                self._known[str(told["key"])] = tuple(reply_from_json(one) for one in told["replies"])

    def __len__(self) -> int:
        """Number of requests that were answered."""
        return len(self._known)

    def get(self, key: str) -> tuple[Reply, ...] | None:
        """Return the replies of a request; None: it was not answered."""
        return self._known.get(key)

    def add(self, key: str, replies: Sequence[Reply]) -> None:
        """Keep replies; they are on the disk when this returns, or it is warned that a kill would lose them."""
        line = json.dumps({"key": key, "replies": [reply_to_json(reply) for reply in replies]}) + "\n"
        with self._lock:
            try:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
                with open(os.open(self._path, flags, 0o600), "ab") as file:
                    if file.tell() and not self._ends_whole():
                        file.write(b"\n")
                    file.write(line.encode())
                    file.flush()
                    os.fsync(file.fileno())
            except OSError as error:  # what was paid for is used all the same
                told = (
                    f"{self._path} cannot be written ({error.strerror or error}): a kill would lose what was paid for"
                )
                warnings.warn(told, InspectWarning, stacklevel=2)

    def discard(self) -> None:
        """Remove the file, and the folder where nothing else is in it."""
        with self._lock, suppress(OSError):
            self._known.clear()
            self._path.unlink(missing_ok=True)
            if self._path.parent.name.endswith(SUFFIX):
                self._path.parent.rmdir()

    def _ends_whole(self) -> bool:
        with self._path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"


class JournalOfThread:
    """A journal for each thread, where several examinations share one model."""

    def __init__(self) -> None:
        """Keep nothing, until a thread says where."""
        self._local = threading.local()

    @contextmanager
    def using(self, journal: ReplyJournal) -> Iterator[None]:
        """Keep in a journal what this thread asks."""
        self._local.journal = journal
        try:
            yield
        finally:
            self._local.journal = None

    def get(self, key: str) -> tuple[Reply, ...] | None:
        """Return the replies of a request; None: it was not answered, or nothing is kept."""
        journal: ReplyJournal | None = getattr(self._local, "journal", None)
        return None if journal is None else journal.get(key)

    def add(self, key: str, replies: Sequence[Reply]) -> None:
        """Keep replies; see `ReplyJournal.add`."""
        journal: ReplyJournal | None = getattr(self._local, "journal", None)
        if journal is not None:
            journal.add(key, replies)


def remove_old(folder: Path) -> None:
    """Remove the journals of a folder that nobody went on with for `OLD_S` seconds."""
    with suppress(OSError):
        for path in folder.iterdir():
            if path.suffix == SUFFIX and time.time() - path.stat().st_mtime > OLD_S:
                path.unlink(missing_ok=True)


def journalled(backend: Backend, journal: ReplyJournal | JournalOfThread) -> Backend:
    """Return a model whose answers are kept in a journal before they are used; of two models, both."""
    if isinstance(backend, TwoModels):
        return TwoModels(_Journalled(backend.judge, journal), _Journalled(backend.refuter, journal))
    return _Journalled(backend, journal)


@dataclass(frozen=True, eq=False)
class _Journalled:
    backend: Backend
    journal: ReplyJournal | JournalOfThread

    @property
    def name(self) -> str:
        return self.backend.name

    @property
    def takes_functions(self) -> bool:
        return bool(getattr(self.backend, "takes_functions", False))

    @property
    def boxes(self) -> Any:
        return getattr(self.backend, "boxes", None)

    @property
    def most_pictures(self) -> int | None:
        return getattr(self.backend, "most_pictures", None)

    @property
    def longest_side(self) -> int | None:
        return getattr(self.backend, "longest_side", None)

    @property
    def endpoint(self) -> Any:
        return getattr(self.backend, "endpoint", None)

    def generate(self, request: Request, *, samples: int = 1) -> Sequence[Reply]:
        key = key_of_request(self.backend, request, samples)
        known = self.journal.get(key)
        if known is not None:
            return known
        replies = self.backend.generate(request, samples=samples)
        self.journal.add(key, replies)
        return replies
