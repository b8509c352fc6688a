"""`Destinations`: all that becomes of the parts of a batch or a watched folder."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vlm_inspect.batch.gallery import Gallery
from vlm_inspect.batch.journal import Journal
from vlm_inspect.batch.line import Line
from vlm_inspect.sinks.csv_table import CsvTable
from vlm_inspect.sinks.folders import OutcomeFolders
from vlm_inspect.sinks.row import Row
from vlm_inspect.sinks.serial import SerialFinder
from vlm_inspect.sinks.sink import Sink, Table


@dataclass(frozen=True)
class Destinations:
    """Where the parts go.

    Attributes:
        csv: the CSV; its journal lies beside it.
        tables: further files about all parts.
        sinks: take each part, in this order.
        gallery: folder of the pages; None: none.
        folders: where the files of the parts are moved; None: they stay.
        serial: how serial numbers are found.
        language: of the list of the gallery, as `--language` names it; None: English.
        apart: further files and folders that are no parts: what they are judged by, and the store.
    """

    csv: Path
    tables: Sequence[Table] = ()
    sinks: Sequence[Sink] = ()
    gallery: Path | None = None
    folders: OutcomeFolders | None = None
    serial: SerialFinder = field(default_factory=SerialFinder)
    apart: Sequence[Path] = ()
    language: str | None = None

    @property
    def journal(self) -> Path:
        """The journal's file, beside the CSV."""
        return self.csv.with_name(self.csv.name + ".journal")

    @property
    def own(self) -> list[Path]:
        """Files and folders that are no parts: what is written, and `apart`; the CSV is told by its first line."""
        folders = [self.folders.folder] if self.folders else []
        folders += [path for sink in self.sinks if isinstance(path := getattr(sink, "folder", None), Path)]
        folders += [self.gallery] if self.gallery else []
        return [self.journal, *(table.path for table in self.tables), *folders, *self.apart]

    def line(self, journal: Journal, model: str) -> Line:
        """Return the way of every part to these destinations; raises OutputError where the gallery cannot be made."""
        gallery = None if self.gallery is None else Gallery(self.gallery, self.language)
        return Line(journal, model, tuple(self.sinks), gallery, self.folders, self.serial)

    def write(self, rows: Sequence[Row], line: Line, *, title: str) -> None:
        """Write every file about all parts; raises OutputError."""
        for table in (CsvTable(self.csv), *self.tables):
            table.write(rows)
        if line.gallery is not None:
            line.gallery.write_index(rows, title=title)
