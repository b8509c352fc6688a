"""`write_demo`: the whole demo folder, written at once or not at all."""

import os
import shutil
import tempfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import ValidationError

from vlm_inspect.demo.circuit_board import write_circuit_boards
from vlm_inspect.demo.conveyor import write_conveyors
from vlm_inspect.demo.kit_tray import write_kit_trays
from vlm_inspect.demo.scan_set import CLASSES, write_scan_set
from vlm_inspect.demo.screw import write_screws
from vlm_inspect.demo.truth import DemoCase, DemoTruth
from vlm_inspect.demo.vibration import write_vibrations
from vlm_inspect.errors import OutputError

TRUTH = "truth.json"
_WRITERS = {
    "screw": write_screws,
    "circuit_board": write_circuit_boards,
    "conveyor": write_conveyors,
    "vibration": write_vibrations,
}
"""Rule book and sub-folder -> what writes its parts."""
_PUZZLES = {"logic": write_kit_trays}
"""The same, of the puzzle set."""

DemoKind = Literal["parts", "logic", "scans"]
"""A few parts of every kind, a puzzle set, or a set of scans."""


def write_demo(folder: Path, *, seed: int = 0, kind: DemoKind = "parts") -> DemoTruth:
    """Write demo parts, their rule books and `truth.json` into a folder.

    The folder may be absent, empty, or an earlier demo, whose parts are then replaced.

    Args:
        folder: where to write; its parent must exist.
        seed: another one gives other parts.
        kind: "parts": a few of every kind of input; "logic": parts that only reasoning about their rules tells apart;
            "scans": sound and flawed scans of four classes.

    Raises:
        OutputError: the folder holds something else, or cannot be written; it is then as it was.
    """
    folder = folder.absolute()
    _check_free(folder, kind)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
            built = Path(temporary) / "demo"
            built.mkdir()
            truth = _build(built, seed, kind)
            _move_into_place(built, folder)
    except OSError as e:
        raise OutputError(f"{folder}: the demo cannot be written: {e.strerror or e}") from e
    return truth


def _check_free(folder: Path, kind: DemoKind) -> None:
    if not folder.parent.is_dir():
        raise OutputError(f"{folder.parent}: no such folder; make it first")
    if not folder.exists():
        if folder.is_symlink():
            raise OutputError(f"{folder} is a link that leads nowhere; name a folder for the demo")
        return
    if not folder.is_dir():
        raise OutputError(f"{folder} is a file; name a folder for the demo")
    if any(folder.iterdir()) and not _is_demo(folder, kind):
        raise OutputError(f"{folder} is not empty and holds no earlier demo of this kind; name another folder")


def _is_demo(folder: Path, kind: DemoKind) -> bool:
    """Return whether a folder holds a demo of the same kind, which may be written anew."""
    try:
        truth = DemoTruth.model_validate_json((folder / TRUTH).read_bytes())
    except (OSError, ValidationError):
        return False
    return all(_kind_of(Path(case.rules).stem) == kind for case in truth.root)


def _kind_of(book: str) -> DemoKind:
    """Return the demo that a rule book belongs to."""
    if book in _PUZZLES:
        return "logic"
    return "scans" if book in CLASSES.values() else "parts"


def _build(folder: Path, seed: int, kind: DemoKind) -> DemoTruth:
    (folder / "rules").mkdir()
    cases: list[DemoCase] = []
    for part_cases in write_scan_set(folder, seed) if kind == "scans" else _parts(folder, seed, kind):
        write_rules(folder / part_cases[0].rules, part_cases[0].references)
        cases += part_cases
    truth = DemoTruth(tuple(cases))
    (folder / TRUTH).write_text(truth.model_dump_json(indent=2, exclude_none=True) + "\n", encoding="utf-8")
    return truth


def _parts(folder: Path, seed: int, kind: DemoKind) -> Iterable[list[DemoCase]]:
    """Write the parts of one rule book after the other; yields their truth."""

    def generator(name: str) -> np.random.Generator:
        """One stream a file, so that a new file leaves the others as they are."""
        return np.random.default_rng([seed, zlib.crc32(name.encode())])

    for write in (_PUZZLES if kind == "logic" else _WRITERS).values():
        yield write(folder, generator)


def write_rules(path: Path, references: tuple[str, ...]) -> None:
    """Copy an example rule book, with the demo's references added as a glob relative to it."""
    from vlm_inspect.prompt_files import prompt_folder

    text = (prompt_folder() / "rules" / path.name).read_text(encoding="utf-8")
    first = Path(references[0])
    glob = f"../{first.parent.as_posix()}/*{first.suffix}"
    path.write_text(f"{text.rstrip()}\nreferences: [{glob}]\n", encoding="utf-8")


def _move_into_place(built: Path, folder: Path) -> None:
    """Move what was built; an earlier demo keeps files of other names, and its truth until the last moment."""
    if not folder.exists():
        os.replace(built, folder)
        return
    entries = sorted(built.iterdir(), key=lambda entry: entry.name == TRUTH)
    for entry in entries:
        target = folder / entry.name
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        os.replace(entry, target)
