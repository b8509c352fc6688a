"""`Deliveries`: what goes out of a service for each part, by the sinks of `batch`, before its folder in the spool goes.

So a kill at any moment leaves a part that is delivered again. Its messages have the same ids then, and are not sent
twice; a part that has moved is not moved again.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from vlm_inspect.part_queue import Judged
from vlm_inspect.service.path_free import PathFree
from vlm_inspect.service.spool import Job
from vlm_inspect.sinks.folders import OutcomeFolders
from vlm_inspect.sinks.messages import Messages
from vlm_inspect.sinks.row import make_row
from vlm_inspect.sinks.sender import Receiver, Sender
from vlm_inspect.sinks.sink import Result

if TYPE_CHECKING:
    import logging

    from vlm_inspect.examination import Examination
    from vlm_inspect.store import Outbox


class Deliveries:
    """Where the parts of a service go. Use as a context manager: messages are sent within."""

    def __init__(
        self,
        outbox: "Outbox",
        receivers: Sequence[Receiver],
        folders: OutcomeFolders | None,
        *,
        model: str,
        path_free: PathFree,
        log: "logging.Logger",
    ) -> None:
        """Send to receivers, and move files into folders.

        Args:
            outbox: of the store.
            receivers: webhooks and topics.
            folders: where the files of judged parts are moved; None: they are not kept outside the store.
            model: who is asked, for a part that could not be judged.
            path_free: takes the paths of this machine out of the messages.
            log: told when a receiver takes no messages, and when it takes them again.
        """
        self._folders, self._model, self._path_free = folders, model, path_free
        self.sender = Sender(
            outbox,
            receivers,
            trouble=lambda target, why: log.warning("%s takes no messages, which wait: %s", target, why),
            recovered=lambda target: log.warning("%s takes messages again", target),
        )
        targets = [one.target for one in receivers]
        self._messages = Messages(outbox, targets, self.sender.wake, self._shown) if targets else None
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._open.enter_context(self.sender)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def are_any(self) -> bool:
        """Whether anything goes out at all."""
        return self._messages is not None or self._folders is not None

    def of_case(self, job: Job, part: Path, examination: "Examination") -> None:
        """Deliver a part whose case is kept; the move of its file comes last.

        Raises:
            StoreError: the outbox cannot be written.
            OutputError: the file cannot be moved.
        """
        self._deliver(job, Judged(part, examination))

    def of_failure(self, job: Job, part: Path, error: str) -> None:
        """Tell that a part could not be judged; it is told again where it fails for another reason later.

        Raises:
            StoreError: the outbox cannot be written.
        """
        self._deliver(job, Judged(part, None, error))

    def _deliver(self, job: Job, judged: "Judged[Path]") -> None:
        row = make_row(judged, model=self._model, serial=job.serial or "")
        moved_to = self._folders.place_of(judged.source, row) if self._folders is not None else ""
        row = row.model_copy(update={"source": job.name, "case_id": job.id, "moved_to": moved_to})
        result = Result(judged.source, row, judged.examination)
        if self._messages is not None:
            self._messages.deliver(result)
        if self._folders is not None:
            self._folders.deliver(result)

    def _shown(self, told: dict[str, Any]) -> dict[str, Any]:
        """Return a message without the paths of this machine; where a part has moved to is meant to be told."""
        inspection = told["inspection"]
        if inspection is not None and inspection.get("source"):
            told = {**told, "inspection": {**inspection, "source": told["source"]}}
        return {**self._path_free.values(told), "moved_to": told["moved_to"]}
