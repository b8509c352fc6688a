"""`Line`: the way of every judged part: page, row in the journal, sinks, in an order that a kill cannot spoil.

The row is promised in the journal first, with the id of the part. Then every sink takes the part, and takes it once by
that id. Then the row stands in the journal for good. What was promised alone is judged again, under the same id.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vlm_inspect.part_queue import Judged
from vlm_inspect.sinks.row import Row, make_row
from vlm_inspect.sinks.serial import SerialFinder
from vlm_inspect.sinks.sink import Result, Sink

if TYPE_CHECKING:
    from vlm_inspect.batch.gallery import Gallery
    from vlm_inspect.batch.journal import Journal
    from vlm_inspect.sinks.folders import OutcomeFolders


@dataclass(frozen=True)
class Line:
    """What every judged part goes through.

    Attributes:
        journal: keeps the rows.
        model: who is asked, for a part that could not be judged.
        sinks: take each part, in this order.
        gallery: gets a page of each; None: none.
        folders: where the files of the parts go, last of all; None: they stay.
        serial: how serial numbers are found.
    """

    journal: "Journal"
    model: str
    sinks: Sequence[Sink] = ()
    gallery: "Gallery | None" = None
    folders: "OutcomeFolders | None" = None
    serial: SerialFinder = field(default_factory=SerialFinder)

    def take(self, judged: Judged[Path]) -> Row:
        """Take a part to its end and return its row.

        Raises:
            InspectError: something cannot be written.
        """
        page = ""
        if self.gallery is not None and judged.examination is not None:
            page = self.gallery.add(judged.source, judged.examination)
        row = make_row(judged, model=self.model, serial=self.serial.find(judged), page=page)
        sinks = [*self.sinks, *([self.folders] if self.folders else [])]
        if sinks:
            row = self._promised(judged.source, row)
            for sink in sinks:
                sink.deliver(Result(judged.source, row, judged.examination))
        self.journal.add(row)
        return row

    def _promised(self, source: Path, row: Row) -> Row:
        """Return the row with the id that it was promised before a kill, else with a new one, and promise it."""
        from vlm_inspect.store import new_case_id

        before = self.journal.promised(row)
        known = before is not None and before.sha256 == row.sha256 and before.outcome != "ERROR"
        case_id = before.case_id if before is not None and known else new_case_id()
        moved_to = "" if self.folders is None else self.folders.place_of(source, row)
        row = row.model_copy(update={"case_id": case_id, "moved_to": moved_to})
        self.journal.promise(row)
        return row
