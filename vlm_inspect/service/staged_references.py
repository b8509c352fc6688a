"""`StagedReferences`: parts that lie beside the references of a rule book until a person has decided about them.

What is staged is noted in the service's own folder first, so that a kill leaves nothing behind: the next start removes
what no rule book names. Nothing else in the folder of references is ever touched.
"""

import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from vlm_inspect.errors import InspectError, RuleError, StoreError
from vlm_inspect.file_writing import remove_drafts, write_atomically
from vlm_inspect.real_path import real_path
from vlm_inspect.rules import resolve_references
from vlm_inspect.service.rule_books import RuleBooks

if TYPE_CHECKING:
    from vlm_inspect.store import Case

_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}$")


class _Note(BaseModel):
    """What was staged: in whose folder, under which name."""

    model_config = ConfigDict(extra="forbid")

    rules: str
    file: str


class StagedReferences:
    """Copies of judged parts in RULES-references, one for each case at most."""

    def __init__(self, books: RuleBooks, notes: Path) -> None:
        """Stage beside the references of `books`; `notes` is a folder of the service, made when it is needed."""
        self._books, self._notes = books, notes

    def stage(self, name: str, case: "Case") -> Path:
        """Copy the kept part of a case beside the references of a book, and return where.

        Raises:
            StoreError: the part was not kept, or is a folder.
            RuleError: the book names all files of that folder, so that the part would be a reference at once.
            OutputError: it cannot be written.
        """
        place = self._place(name, case)
        if self._is_named(name, place):
            return place
        with tempfile.TemporaryDirectory() as folder:
            part = case.write_input(Path(folder))
            if part.is_dir():
                raise StoreError("a folder cannot be made a reference here; add it to the rule book by hand")
            self._notes.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_atomically(self._note(case.id), _Note(rules=name, file=place.name).model_dump_json().encode())
            place.parent.mkdir(exist_ok=True)
            write_atomically(place, part.read_bytes())
        if self._is_named(name, place):
            self._remove(place)
            self._note(case.id).unlink(missing_ok=True)
            raise RuleError(
                f"{name}.yaml names every file of {place.parent.name}, so that this part would be a reference before "
                "anybody agrees; name the references one by one, or put the file there by hand"
            )
        return place

    def settle(self, name: str, case: "Case") -> None:
        """Forget that a part was staged; its copy goes unless the book names it."""
        place = self._place(name, case)
        if not self._is_named(name, place):
            self._remove(place)
        self._note(case.id).unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove what an earlier service left staged: proposals do not outlive it."""
        for path in sorted(self._notes.glob("*.json")):
            try:
                note = _Note.model_validate_json(path.read_bytes())
                place = self._folder(note.rules) / Path(note.file).name
                if note.rules not in self._books.names() or not self._is_named(note.rules, place):
                    self._remove(place)
                path.unlink(missing_ok=True)
            except ValidationError:
                path.unlink(missing_ok=True)
            except (InspectError, OSError):
                continue  # the book is wrong at present, or the disk: the next start tries again

    def _is_named(self, name: str, place: Path) -> bool:
        return real_path(place) in {real_path(path) for path in resolve_references(self._books.book(name))}

    def _remove(self, place: Path) -> None:
        place.unlink(missing_ok=True)
        remove_drafts(place)
        with suppress(OSError):  # other references are in it
            place.parent.rmdir()

    def _folder(self, name: str) -> Path:
        return self._books.folder / f"{name}-references"

    def _place(self, name: str, case: "Case") -> Path:
        suffix = _SUFFIX.search(case.source.name)
        return self._folder(self._books.chosen(name)) / f"{case.id}{suffix[0].lower() if suffix else ''}"

    def _note(self, case_id: str) -> Path:
        return self._notes / f"{case_id}.json"
