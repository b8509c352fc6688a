"""Every judged part as a case in the store, once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vlm_inspect.sinks.sink import Result
from vlm_inspect.store import CaseStore


@dataclass(frozen=True)
class Cases:
    """Keeps parts as cases under `row.case_id`.

    Attributes:
        store: that keeps them.
        settings: what the parts were asked with, as JSON values.
        keep_input: whether the bytes of a part are kept, too.
    """

    store: CaseStore
    settings: Mapping[str, Any]
    keep_input: bool = False

    def deliver(self, result: Result) -> None:
        """Keep a part; one that could not be judged is no case."""
        if result.examination is None:
            return
        moved = result.row.moved_to if not self.keep_input else ""  # the bytes are read where they still are
        self.store.save(
            result.examination,
            moved or result.source,
            keep_input=self.keep_input,
            settings=self.settings,
            case_id=result.row.case_id,
            serial=result.row.serial or None,
        )
