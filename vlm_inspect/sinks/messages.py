"""Every judged part as a message in the store's outbox, one for each receiver."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from vlm_inspect.sinks.row import COLUMNS
from vlm_inspect.sinks.sink import Result
from vlm_inspect.store import Message, Outbox


@dataclass(frozen=True)
class Messages:
    """Puts a message about each part into the outbox.

    Attributes:
        outbox: of the store.
        targets: URLs of the receivers.
        told: called after each, so that it is sent at once.
        shown: what a message says, given what is known: a service leaves out the paths of its machine.
    """

    outbox: Outbox
    targets: Sequence[str]
    told: Callable[[], None] = lambda: None
    shown: Callable[[dict[str, Any]], dict[str, Any]] = lambda told: told

    def deliver(self, result: Result) -> None:
        """Keep the messages; a part that comes again has the same ids, which are not added again."""
        for target in self.targets:
            body = json.dumps(self.shown(message_of(result)))
            self.outbox.add(Message(f"{result.row.case_id}-{_ending(result, target)}", target, body))
        self.told()


def _ending(result: Result, target: str) -> str:
    """Return what tells the messages about one part apart: the receiver, and why the part could not be judged."""
    why = f"\n{result.row.review_reasons}" if result.examination is None else ""
    return hashlib.sha256((target + why).encode()).hexdigest()[:8]


def message_of(result: Result) -> dict[str, Any]:
    """Return what is told of a part as JSON values: the columns of the table, and the whole inspection."""
    row = result.row
    found = None if result.examination is None else result.examination.inspection.model_dump(mode="json")
    return {
        "type": "inspection",
        "id": row.case_id,
        **{name: getattr(row, name) for name in COLUMNS},
        "moved_to": row.moved_to,
        "inspection": found,
    }
