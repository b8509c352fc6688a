"""`RuleBooks`: the rule books and calibrations of a folder, by name, and a warm inspector for each."""

import re
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from converters.errors import ConversionError
from vlm_inspect.backends.reply_journal import JournalOfThread, journalled
from vlm_inspect.calibration_file import Calibration
from vlm_inspect.config import InspectorConfig
from vlm_inspect.errors import CalibrationError, InspectError, RuleError
from vlm_inspect.file_writing import write_atomically
from vlm_inspect.inspector import Inspector
from vlm_inspect.references import kind_of_references, reference_digests
from vlm_inspect.rules import RuleBook, load_rules, outside_references, parse_rules, resolve_references

if TYPE_CHECKING:
    from vlm_inspect.backends.backend import Backend

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_SUFFIXES = {".yaml", ".yml"}
_CALIBRATION = ".calibration.json"
MOST_TEXT = 1 << 20
"""Most bytes of a rule book or a calibration."""


class UnknownBookError(RuleError):
    """There is no rule book, or no calibration, of this name."""


@dataclass(frozen=True, eq=False)
class _Warm:
    stamp: tuple[tuple[int, int] | None, ...]
    """Of the files it was made from."""
    inspector: Inspector


class RuleBooks:
    """The books of one folder. They are read again when they change; an inspector that is at work goes on."""

    def __init__(self, place: Path, config: InspectorConfig) -> None:
        """Use the books of a folder, or one book alone; `config` says how parts are inspected, rules and calibration
        apart.

        Raises:
            RuleError: it is neither, holds no rule book, or a wrong one.
        """
        self._only = _name_of_book(place) if place.is_file() else None
        self.folder = place if self._only is None else place.parent
        self._config = config
        self._lock = threading.Lock()
        self.changing = threading.Lock()
        """Held while a book is looked at and then written."""
        self._making: dict[str, threading.Lock] = {}
        self._warm: dict[str, _Warm] = {}
        self._fits: dict[str, tuple[tuple[tuple[int, int] | None, ...], bool]] = {}
        self._backend: Backend | None = None
        self.steps = JournalOfThread()
        if not self.folder.is_dir():
            raise RuleError(f"{place}: no such file or folder; --rules names a rule book or the folder of several")
        if not self.names():
            left = "".join(f"; {one} is no name that it can have" for one in self.left_out()[:1])
            raise RuleError(f"{place} holds no rule book; put NAME.yaml into it (vlm-inspect demo makes some){left}")
        for name in self.names():
            self.book(name)

    def names(self) -> list[str]:
        """Return the names of the books, sorted."""
        if self._only is not None:
            return [self._only]
        found = (path.stem for path in self.folder.glob("*.yaml") if path.is_file())
        return sorted(name for name in found if _NAME.fullmatch(name))

    def left_out(self) -> list[str]:
        """Return the files of the folder that look like rule books and cannot be served under their names, sorted."""
        if self._only is not None:
            return []
        files = [path for path in self.folder.iterdir() if path.suffix.lower() in _SUFFIXES and path.is_file()]
        return sorted(path.name for path in files if path.suffix != ".yaml" or not _NAME.fullmatch(path.stem))

    def chosen(self, name: str | None) -> str:
        """Return the name that is meant; without one, that of the only book.

        Raises:
            UnknownBookError: there is none of that name, or none is named and there are several.
        """
        names = self.names()
        if name is None and len(names) == 1:
            return names[0]
        if name is None:
            raise UnknownBookError(f"rules is missing; name one of: {', '.join(names)}")
        if name not in names:
            raise UnknownBookError(f"no rule book {name[:64]!r}; there are: {', '.join(names)}")
        return name

    def path(self, name: str) -> Path:
        """Return the file of a book; see `chosen`."""
        return self.folder / f"{self.chosen(name)}.yaml"

    def book(self, name: str) -> RuleBook:
        """Return a book as it is now.

        Raises:
            UnknownBookError: there is none of that name.
            RuleError: it is wrong.
        """
        return load_rules(self.path(name))

    def config(self, name: str) -> InspectorConfig:
        """Return how the parts of a book are inspected; what the records of their cases keep."""
        calibration = self._calibration_path(name).absolute() if self.is_calibrated(name) else None
        return self.uncalibrated(name).with_changes(calibration=calibration)

    def uncalibrated(self, name: str) -> InspectorConfig:
        """Return the same without the calibration of the book."""
        return self._config.with_changes(rules=self.path(name).absolute(), calibration=None)

    def is_calibrated(self, name: str) -> bool:
        """Return whether a book has a calibration that fits: one for earlier rules or references is put aside."""
        path = self._calibration_path(name)
        stamp = tuple(_stamp(one) for one in self._files(name))
        known = self._fits.get(name)
        if known is None or known[0] != stamp:
            known = stamp, path.is_file() and self._is_of_now(name)
            self._fits[name] = known
        return known[1]

    def _is_of_now(self, name: str) -> bool:
        """Return whether the calibration was made for the rules and references of now; a damaged one counts: it is told
        where it is used."""
        book = self.book(name)
        try:
            made = self.calibration(name)
            digests = reference_digests(resolve_references(book))
        except (InspectError, ConversionError):
            return True
        return made is None or (made.rules_sha256, list(made.references_sha256)) == (book.scoring_sha256, digests)

    def inspector(self, name: str) -> Inspector:
        """Return the inspector of a book; made at the first call, and anew when its files change.

        Raises:
            InspectError, ConversionError: what it is made from cannot be used.
        """
        name = self.chosen(name)
        with self._lock:
            making = self._making.setdefault(name, threading.Lock())
        with making:
            stamp = tuple(_stamp(path) for path in self._files(name))
            warm = self._warm.get(name)
            if warm is None or warm.stamp != stamp:
                warm = _Warm(stamp, self._keeping_steps(self.config(name).build(backend=self.backend())))
                self._warm[name] = warm
            return warm.inspector

    def _keeping_steps(self, inspector: Inspector) -> Inspector:
        """Return an inspector whose agent's answers are kept before they are used; others ask once or twice."""
        if not inspector.agent.enabled:
            return inspector
        return replace(inspector, backend=journalled(inspector.backend, self.steps))

    def backend(self) -> "Backend":
        """Return the model, which all books share; raises what `InspectorConfig.load_model` raises."""
        with self._lock:
            if self._backend is None:
                self._backend = self._config.load_model()
            return self._backend

    def reference_folders(self) -> list[Path]:
        """Return the folders in which references of the books lie; those of a book that is wrong are left out."""
        found: set[Path] = set()
        for name in self.names():
            with suppress(InspectError):
                found |= {path.parent for path in resolve_references(self.book(name))}
        return sorted(found)

    def warm_up(self, name: str, progress: Callable[[str], None] = lambda step: None) -> str:
        """Read the references of a book and learn from them; returns why that failed, or nothing.

        Args:
            name: of the book.
            progress: told how far it is.
        """
        try:
            inspector = self.inspector(name)
            if inspector.references:
                inspector.fit(kind_of_references(inspector.references), progress=progress)
        except (InspectError, ConversionError, OSError) as error:
            return str(error)
        return ""

    def checked(self, name: str, text: str) -> RuleBook:
        """Return the book that a text would be under a name.

        Raises:
            RuleError: the name or the text is wrong, or it names files outside the folder that were not named before.
        """
        if not _NAME.fullmatch(name):
            raise RuleError(
                "a rule book's name is letters, digits, . _ and -, at most 64, and begins with one of the first"
            )
        if self._only not in (None, name):
            raise RuleError(
                f"this service has the rule book {self._only} alone; start it with --rules FOLDER for others"
            )
        if len(text.encode()) > MOST_TEXT:
            raise RuleError(f"a rule book is a text of at most {MOST_TEXT >> 20} MB")
        book = parse_rules(text, name=f"{name}.yaml", folder=self.folder)
        known = set(self.book(name).references) if name in self.names() else set()
        new = book.model_copy(update={"references": tuple(one for one in book.references if one not in known)})
        new._folder = book.folder  # a copy forgets it
        if outside_references(new, resolve_references(new)):
            raise RuleError(f"{name}.yaml names references outside the folder of the rule books; put them into it")
        resolve_references(book)
        return book

    def write(self, name: str, text: str) -> None:
        """Write a book that was `checked`, whole or not at all; raises OutputError."""
        write_atomically(self.folder / f"{name}.yaml", text.encode())

    def text(self, name: str) -> str | None:
        """Return the text of a book; None: there is none of this name."""
        return self.book(name).text if name in self.names() else None

    def calibrations(self) -> list[str]:
        """Return the names of the books that have a calibration."""
        return [name for name in self.names() if self._calibration_path(name).is_file()]

    def calibration(self, name: str) -> Calibration | None:
        """Return the calibration of a book; None: it has none.

        Raises:
            UnknownBookError: there is no book of this name.
            CalibrationError: the file is damaged.
        """
        path = self._calibration_path(self.chosen(name))
        if not path.is_file():
            return None
        try:
            return checked_calibration(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise CalibrationError(f"the calibration of {name} cannot be read; make it again") from error

    def calibrated_at(self, name: str) -> str:
        """Return when the calibration of a book was written, ISO 8601 in UTC; empty: it has none."""
        stamp = _stamp(self._calibration_path(self.chosen(name)))
        return "" if stamp is None else datetime.fromtimestamp(stamp[0] / 1e9, UTC).isoformat()

    def write_calibration(self, name: str, calibration: Calibration) -> None:
        """Write the calibration of a book, which must fit it.

        Raises:
            CalibrationError: it was made for other rules.
        """
        if calibration.rules_sha256 != self.book(name).scoring_sha256:
            raise CalibrationError(f"this calibration was made for other rules than {name} has; run calibrate again")
        text = calibration.model_dump_json(indent=2) + "\n"
        write_atomically(self._calibration_path(self.chosen(name)), text.encode())

    def _calibration_path(self, name: str) -> Path:
        return self.folder / f"{name}{_CALIBRATION}"

    def _files(self, name: str) -> list[Path]:
        book = self.book(name)
        return [self.path(name), self._calibration_path(name), *resolve_references(book)]


def _name_of_book(file: Path) -> str:
    """Return the name of a single book.

    Raises:
        RuleError: its file has another name than a book can have.
    """
    if file.suffix == ".yaml" and _NAME.fullmatch(file.stem):
        return file.stem
    raise RuleError(
        f"{file}: a rule book that is served is called NAME.yaml, of letters, digits, . _ and -, at most 64 and not "
        "beginning with . _ or -; rename it"
    )


def checked_calibration(text: str) -> Calibration:
    """Return the calibration of a text.

    Raises:
        CalibrationError: it is none.
    """
    try:
        return Calibration.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise CalibrationError(f"this is no calibration file: {place}: {first['msg']}; run calibrate again") from error


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        told = path.stat()
    except OSError:
        return None
    return told.st_mtime_ns, told.st_size
