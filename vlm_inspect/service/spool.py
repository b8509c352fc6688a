"""`Spool`: accepted parts, on the disk before anybody is told that they are accepted.

    waiting/ID/job.json    what is asked of the part
    waiting/ID/part/NAME   the part, as it came
    waiting/ID/tries       how often somebody began to judge it
    failed/ID/             the same of a part that could not be judged, with error.txt

ID is the id that its case will have. A part is accepted by one rename and is done when its folder goes, which happens
after its case is in the store; so a kill at any moment leaves it waiting, and a case that was kept is not kept again
(`CaseStore.save`, case_id).
"""

import os
import shutil
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from vlm_inspect.errors import InspectError, UnknownCaseError
from vlm_inspect.file_writing import write_atomically
from vlm_inspect.store import new_case_id
from vlm_inspect.store.files import make_private

MOST_TRIES = 10
"""How often a part may be begun: one that ends the process every time must not do so for ever."""
LONGEST_SERIAL = 200
"""Most characters of a serial number or lot."""
State = Literal["waiting", "judging", "failed"]


class QueueFullError(InspectError):
    """As many parts wait as may."""


class Job(BaseModel):
    """What is asked of an accepted part."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    name: str
    """Of the file, as the client called it, made safe."""
    rules: str
    """Name of the rule book."""
    question: str | None = None
    serial: str | None = None
    by: str = ""
    """Who sent it."""


class Spool:
    """The queue. Any thread may call it; one process at a time may use its folder."""

    def __init__(self, folder: Path, *, most_waiting: int) -> None:
        """Use a folder, and take up what an earlier process accepted.

        Raises:
            OSError: the folder cannot be used.
        """
        self._waiting, self._failed, self._drafts = (folder / name for name in ("waiting", "failed", "drafts"))
        self._most = most_waiting
        self._order: deque[str] = deque()
        self._promised = 0
        self.before_failing: Callable[[str, str], None] = lambda job_id, error: None
        """Told the id of a part and why it could not be judged, before it is put apart; the same again after a kill."""
        self._judging: set[str] = set()
        self._changed = threading.Condition()
        self._closed = False
        shutil.rmtree(self._drafts, ignore_errors=True)  # uploads that a kill cut short
        for place in (self._waiting, self._failed, self._drafts):
            make_private(place)
        found = [path.name for path in self._waiting.iterdir() if (path / "job.json").is_file()]
        # Whatever was begun before goes last: a part that ends the process must not keep the others waiting.
        self._order.extend(sorted(found, key=lambda job_id: (self._tries(job_id), job_id)))

    @property
    def is_full(self) -> bool:
        """Whether a part more would be refused."""
        return len(self._order) + self._promised >= self._most

    def counts(self) -> dict[State, int]:
        """Return how many parts are in every state."""
        failed = sum(1 for _ in self._failed.iterdir())
        return {"waiting": len(self._order), "judging": len(self._judging), "failed": failed}

    def draft(self) -> Path:
        """Return a new empty folder for an upload; whoever does not have it accepted removes it."""
        place = self._drafts / new_case_id()
        make_private(place / "part")
        return place

    def accept(self, draft: Path, make_job: Callable[[str], Job]) -> Job:
        """Accept the part in a draft: when this returns, it outlives a kill and a power cut.

        Args:
            draft: from `draft`, with the part in its folder `part`.
            make_job: returns the job of an id.

        Raises:
            QueueFullError: as many parts wait as may.
            OSError: the disk is full, or cannot be written to.
        """
        with self._changed:
            if self.is_full:
                raise QueueFullError(
                    f"{self._most} part{' waits' if self._most == 1 else 's wait'}; send this one again later"
                )
            self._promised += 1  # its place, while it is written
        try:
            job = make_job(draft.name)
            write_atomically(draft / "job.json", job.model_dump_json().encode())
            _sync(draft / "part" / job.name)
            _sync(draft)
            draft.rename(self._waiting / job.id)
            _sync(self._waiting)
        finally:
            with self._changed:
                self._promised -= 1
        with self._changed:
            self._order.append(job.id)
            self._changed.notify()
        return job

    def withdraw(self, job_id: str) -> bool:
        """Take back a part whose client left; False: it is being judged, and will be a case."""
        with self._changed:
            if job_id not in self._order:
                return False
            self._order.remove(job_id)
        self._remove(job_id)
        return True

    def take(self) -> Job | None:
        """Wait for the next part to judge; None: the spool was closed. Parts tried too often fail here."""
        while True:
            with self._changed:
                while not self._order and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return None
                job_id = self._order.popleft()
                self._judging.add(job_id)
            try:
                job = self._read(job_id)
                tries = self._count_try(job_id)
            except (OSError, ValueError) as error:
                self.fail(job_id, f"its record cannot be read: {type(error).__name__}")
                continue
            if tries > MOST_TRIES:
                self.fail(job_id, f"the service ended {MOST_TRIES} times while it was judged; it is not tried again")
                continue
            return job

    def job(self, job_id: str) -> Job | None:
        """Return what was asked of a part that waits, is judged or failed; None: its record cannot be read."""
        try:
            return self._read(job_id)
        except (OSError, ValueError):
            return None

    def part(self, job: Job) -> Path:
        """Return where the part of a job is."""
        return self._waiting / job.id / "part" / job.name

    def finish(self, job_id: str) -> None:
        """Forget a part whose case is in the store."""
        self._remove(job_id)
        with self._changed:
            self._judging.discard(job_id)

    def fail(self, job_id: str, error: str) -> None:
        """Keep a part that could not be judged apart, with the reason in one line."""
        self.before_failing(job_id, error)
        place = self._waiting / job_id
        with suppress(OSError):
            (place / "error.txt").write_text(error, encoding="utf-8")
            place.rename(self._failed / job_id)
        with self._changed:
            self._judging.discard(job_id)

    def retry(self, job_id: str) -> bool:
        """Let a failed part wait again; False: there is none of this id."""
        place = self._failed / _checked(job_id)
        if not place.is_dir():
            return False
        for name in ("tries", "error.txt"):
            (place / name).unlink(missing_ok=True)
        place.rename(self._waiting / job_id)
        with self._changed:
            self._order.append(job_id)
            self._changed.notify()
        return True

    def state(self, job_id: str) -> State | None:
        """Return what becomes of a part; None: it is not here (any more)."""
        with self._changed:
            if job_id in self._judging:
                return "judging"
            if job_id in self._order:
                return "waiting"
        return "failed" if (self._failed / _checked(job_id)).is_dir() else None

    def position(self, job_id: str) -> int | None:
        """Return how many parts are judged before this one; None: it does not wait."""
        with self._changed:
            return self._order.index(job_id) if job_id in self._order else None

    def failure(self, job_id: str) -> str:
        """Return why a part failed, in one line."""
        try:
            return (self._failed / _checked(job_id) / "error.txt").read_text(encoding="utf-8")
        except OSError:
            return "it could not be judged, and the reason could not be written"

    def failures(self) -> list[str]:
        """Return the ids of the parts that failed, the newest first."""
        return sorted((path.name for path in self._failed.iterdir()), reverse=True)

    def close(self) -> None:
        """Let everybody who waits in `take` go."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _read(self, job_id: str) -> Job:
        place = next((one for one in (self._waiting, self._failed) if (one / job_id).is_dir()), self._waiting)
        try:
            return Job.model_validate_json((place / job_id / "job.json").read_bytes())
        except ValidationError as error:
            raise ValueError("damaged") from error

    def _tries(self, job_id: str) -> int:
        try:
            return (self._waiting / job_id / "tries").stat().st_size
        except FileNotFoundError:
            return 0

    def _count_try(self, job_id: str) -> int:
        with suppress(OSError), (self._waiting / job_id / "tries").open("ab") as file:  # a full disk fails no part
            file.write(b".")
            file.flush()
            os.fsync(file.fileno())
        return self._tries(job_id)

    def _remove(self, job_id: str) -> None:
        """Remove a part at once: a folder half removed must not be taken for a part after a kill."""
        gone = self._drafts / job_id
        with suppress(FileNotFoundError):
            (self._waiting / job_id).rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def _checked(job_id: str) -> str:
    """Return the id; one that could lead out of the folder is refused.

    Raises:
        UnknownCaseError: it is no id.
    """
    if not job_id or set(job_id) - set("0123456789abcdef-"):
        raise UnknownCaseError(f"{job_id[:40]!r} is no id of an inspection")
    return job_id


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
