"""`folder_arrivals`: the parts that arrive in a folder, each when it is complete.

A file is complete when nothing of it has changed for a while; an empty one is given longer. The system tells of changes
(watchfiles); the folder is looked through now and then all the same, because such news can be lost, and network drives
send none.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from converters.digest import sha256_of
from converters.errors import ConversionError
from converters.system_files import is_system_file
from vlm_inspect.errors import InspectError
from vlm_inspect.real_path import real_path
from vlm_inspect.source_state import State, state_of

LOOK_MS = 200
"""Longest wait for news of the system, in milliseconds: how soon a complete part and the end are seen."""
LOOK_THROUGH_S = 20.0
_EMPTY_TIMES = 10
"""How many times longer than another an empty file may stay as it is before it is taken for a part."""
_MOST_DOUBLINGS = 6
"""A part that keeps failing is tried again every 64 times the first wait in the end."""
_AT_WORK = (".part", ".partial", ".tmp", ".temp", ".crdownload", ".filepart", ".download", ".swp")
"""Endings of files that another program is writing."""


@dataclass
class FolderArrivals:
    """The parts of a folder and its subfolders; an iterator that ends when `stop` is set.

    It yields the path of each part, and None where there is nothing new.

    Attributes:
        folder: that is watched.
        stop: ends it.
        is_known: whether a part of this digest was judged before.
        apart: files and folders in it that are no parts.
        settle_s: how long a file must stay as it is, in seconds.
        has_failed: whether a part of this digest could not be judged when it was given out last.
        again_s: after how long a part that failed is given out again; each time after twice as long as before.
    """

    folder: Path
    stop: threading.Event
    is_known: Callable[[str], bool] = lambda digest: False
    apart: Sequence[Path] = ()
    settle_s: float = 1.0
    has_failed: Callable[[str], bool] = lambda digest: False
    again_s: float = 60.0
    _seen: dict[Path, State] = field(default_factory=dict)
    """What was given out or known, as it was then."""
    _waiting: dict[Path, tuple[State, float]] = field(default_factory=dict)
    """What is not complete yet: as it was, and since when, in seconds of the monotonic clock."""
    _looked_again: float = 0.0
    _given: dict[str, "_Given"] = field(default_factory=dict)
    """What was given out, by digest; what could not be read, by path."""

    def __iter__(self) -> Iterator[Path | None]:
        """Yield the parts; raises InspectError where the folder cannot be watched any more."""
        from watchfiles import watch

        apart = [real_path(path) for path in self.apart]
        last = -LOOK_THROUGH_S
        news = watch(
            self.folder,
            watch_filter=None,
            stop_event=self.stop,
            step=LOOK_MS // 4,
            debounce=LOOK_MS,
            rust_timeout=LOOK_MS,
            yield_on_timeout=True,
            raise_interrupt=True,
        )
        try:
            for changes in news:
                if time.monotonic() - last >= LOOK_THROUGH_S:
                    last = time.monotonic()
                    found = list(_files(self.folder))
                else:
                    found = [path for _, name in changes for path in _with_inside(Path(name))]
                for path in found:
                    self._notice(path, apart)
                yield from self._complete()
                yield from self._again()
                yield None
        except (OSError, RuntimeError) as error:
            raise InspectError(f"{self.folder} cannot be watched: {error}; check that it is there") from error

    def _notice(self, path: Path, apart: Sequence[Path]) -> None:
        if path in self._waiting or not self._may_be_part(path, apart):
            return
        state = state_of(path)
        if state and state != self._seen.get(path):
            self._waiting[path] = state, time.monotonic()

    def _may_be_part(self, path: Path, apart: Sequence[Path]) -> bool:
        try:
            inside = path.relative_to(self.folder).parts
        except ValueError:
            inside = path.parts[-1:]
        if path.name.lower().endswith(_AT_WORK) or any(is_system_file(Path(name)) for name in inside):
            return False
        place = real_path(path)
        return path.is_file() and not any(one == place or one in place.parents for one in apart)

    def _complete(self) -> Iterator[Path]:
        """Yield what is complete; what changed meanwhile waits anew, what is gone is forgotten."""
        for path, (before, since) in list(self._waiting.items()):
            state = state_of(path)
            if not state:
                del self._waiting[path]
            elif state != before:
                self._waiting[path] = state, time.monotonic()
            elif time.monotonic() - since >= self.settle_s * (_EMPTY_TIMES if state[0][2] == 0 else 1):
                del self._waiting[path]
                self._seen[path] = state
                if self._is_new(path):
                    yield path

    def _is_new(self, path: Path) -> bool:
        try:
            digest = sha256_of(path)
        except ConversionError:
            if path.exists():  # it cannot be read, which its row says
                self._given[str(path)] = _Given(path, time.monotonic(), is_read=False)
            return path.exists()
        before = self._given.get(digest)
        if self.is_known(digest) or (before is not None and not self.has_failed(digest)):
            return False  # one that failed and whose file was written anew is given out at once
        self._given[digest] = _Given(path, time.monotonic())
        return True

    def _again(self) -> Iterator[Path]:
        """Yield the parts that failed and have waited long enough: a full disk or a lost model may be mended."""
        now = time.monotonic()
        if now - self._looked_again < min(1.0, self.again_s):
            return
        self._looked_again = now
        for key, one in list(self._given.items()):
            if now - one.since < self.again_s * 2.0 ** min(one.tries, _MOST_DOUBLINGS):
                continue
            if one.is_read and not self.has_failed(key):
                continue
            if not one.path.exists():
                del self._given[key]
                continue
            self._given[key] = replace(one, since=now, tries=one.tries + 1)
            yield one.path


@dataclass(frozen=True)
class _Given:
    """A part that was given out: as which file, when (monotonic clock), and how often again."""

    path: Path
    since: float
    tries: int = 0
    is_read: bool = True


def _with_inside(path: Path) -> Iterator[Path]:
    """Yield a changed path; of a folder what is in it: of a new one the system may not tell the first files."""
    yield path
    if path.is_dir():
        yield from _files(path)


def _files(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_system_file(Path(name)))
        yield from (Path(place, name) for name in sorted(names))
