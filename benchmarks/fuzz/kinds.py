"""The kinds of files: how a good one is made, and what reads it back."""

import contextlib
import io
import json
import random
import shutil
import sqlite3
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fuzz.mutants import DAMAGE

_RULES = """class_name: plate
description: A plate of steel.
unit: mm
smallest_defect: 5 %
rules:
  - {id: clean, text: It is clean., severity: critical, by: likeness}
  - {id: bright, text: It is bright., check: {measure: brightness, min: 10, max: 250}}
defects: [spot, scratch]
ignore: [[0.0, 0.0, 1.0, 0.08]]
"""
_CONFIG = """model: evidence
localizer: {name: none, memory: {capacity: 600, place_weight: 3.0}, winclip: {scales: [2, 3]}}
prompt: {max_side: 512, references: 2}
qualification: {overkill: 0.01, missed: 0.1}
agent: {enabled: false, max_steps: 4}
"""
_RIGHT = {0, 1, 2, 3}


@dataclass(frozen=True)
class Ran:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def fault(self) -> str:
        """What is wrong with it; empty: nothing."""
        lines = [line for line in self.err.splitlines() if not line.startswith("vlm-inspect: warning:")]
        if "internal error" in self.err or "Traceback" in self.err:
            return self.err.strip()[-300:]
        if self.code not in _RIGHT:
            return f"exit code {self.code}: {self.err[-200:]}"
        if self.code == 2 and (len(lines) != 1 or not lines[0].startswith("vlm-inspect: error:")):
            return f"exit code 2 with {len(lines)} lines: {self.err[-200:]!r}"
        return ""


def run_command(arguments: Sequence[object]) -> Ran:
    """Run the command line in this process."""
    from vlm_inspect import cli

    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", errors="backslashreplace") for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            cli.main([str(argument) for argument in arguments])
            code = 0
        except SystemExit as left:
            code = int(left.code or 0)
    for stream in (out, err):
        stream.flush()
    return Ran(code, *(bytes(s.buffer.getvalue()).decode() for s in (out, err)))


@dataclass(frozen=True)
class Kind:
    """One kind of files: `path` is damaged, then each command is run; `folder` is what a run may change."""

    name: str
    folder: Path
    damage: Callable[[random.Random], None]
    commands: tuple[tuple[object, ...], ...]
    restore: Callable[[], None]


def make_kinds(place: Path) -> list[Kind]:
    """Make a good file of every kind below an empty folder."""
    part = _make_parts(place)
    rules, config = place / "plate.yaml", place / "config.yaml"
    rules.write_text(_RULES)
    config.write_text(_CONFIG)
    ask = ("ask", part, "--localizer", "none", "--quiet")
    return [
        _whole("rules", rules, "yaml", [(*ask, "--rules", rules)]),
        _whole("config", config, "yaml", [("ask", part, "--quiet", "--config", config)]),
        _calibration(place, part, rules),
        *_run(place),
        _batch(place, part),
        *_store(place, part, rules),
        *_tables(place, part),
    ]


def _make_parts(place: Path) -> Path:
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(6):
        label = "good" if number < 3 else "bad"
        (place / "set" / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(60, 190, (32, 40, 3), dtype=np.uint8)).save(
            place / "set" / label / f"{number}.png"
        )
    return place / "set" / "bad" / "5.png"


def _whole(
    name: str, path: Path, form: str, commands: Sequence[tuple[object, ...]], folder: Path | None = None
) -> Kind:
    """Return a kind whose good file is there already."""
    good = path.read_bytes()
    kept = None if folder is None else folder.with_name(f"{folder.name}.good")
    if folder is not None and kept is not None and not kept.exists():
        shutil.copytree(folder, kept)

    def restore() -> None:
        if folder is None or kept is None:
            path.write_bytes(good)
            return
        shutil.rmtree(folder)
        shutil.copytree(kept, folder)

    def damage(rng: random.Random) -> None:
        path.write_bytes(DAMAGE[form](good, rng))

    return Kind(name, folder or path.parent, damage, tuple(commands), restore)


def _calibration(place: Path, part: Path, rules: Path) -> Kind:
    from vlm_inspect.calibration_file import Calibration, save_calibration
    from vlm_inspect.rules import load_rules

    path = place / "calibration.json"
    made = Calibration(
        rules_sha256=load_rules(rules).scoring_sha256,
        localizer="none",
        judged_by=(),
        n=40,
        overkill=0.05,
        overkill_ci95=(0.006, 0.17),
        ok_below=0.3,
        ng_above=0.7,
    )
    save_calibration(made, path)
    command = ("ask", part, "--rules", rules, "--localizer", "none", "--quiet", "--calibration", path)
    return _whole("calibration", path, "json", [command])


def _run(place: Path) -> list[Kind]:
    out = place / "run"
    bench = ("bench", place / "set", "--format", "folder", "--shots", 0, "--localizer", "none", "--out", out, "--quiet")
    if (done := run_command(bench)).code != 0:
        raise RuntimeError(f"the run to damage was not made: {done.err}")
    compare = ("compare", out, out)
    kinds = [
        _whole("results.json", out / "results.json", "json", [compare], out),
        _whole("items.jsonl", out / "items.jsonl", "lines", [compare], out),
    ]
    journal = next(path for path in out.iterdir() if path.read_bytes().startswith(b"SQLite format 3"))
    resume = (*bench, "--resume")
    kinds.append(_whole("journal of a run, bytes", journal, "bytes", [resume], out))
    kinds.append(_cells("journal of a run, cells", journal, [resume], out))
    return kinds


def _batch(place: Path, part: Path) -> Kind:
    folder = place / "many"
    folder.mkdir()
    table = folder / "t.csv"
    batch = ("batch", place / "set", "--localizer", "none", "--csv", table, "--quiet")
    if (done := run_command(batch)).code == 2:
        raise RuntimeError(f"the batch to damage was not made: {done.err}")
    journal = next(path for path in folder.iterdir() if path != table)
    return _whole("journal of a batch", journal, "lines", [(*batch, "--resume")], folder)


def _store(place: Path, part: Path, rules: Path) -> list[Kind]:
    from vlm_inspect.store import CaseStore

    folder = place / "kept"
    folder.mkdir()
    store = folder / "cases.db"
    done = run_command(
        ("ask", part, "--rules", rules, "--localizer", "none", "--save", "--keep-input", "--store", store)
    )
    if done.code == 2:
        raise RuntimeError(f"the case to damage was not made: {done.err}")
    with CaseStore(store) as opened:
        opened.add_turn("2", "user", "Where is it?", tool_calls=[{"tool": "zoom", "arguments": {}, "result": "done"}])
        opened.add_correction("2", "ignore", {"box": [0, 0, 1, 1]}, accepted=True)
        opened.judge("2", "NG", by="anna", reason="a spot")
    page, back = folder / "case.html", folder / "back"
    commands = [
        ("cases", "--store", store),
        ("cases", "show", "2", "--store", store, "--html", page, "--input", back),
        ("cases", "export", "--store", store),
        ("cases", "export", "--format", "csv", "--store", store),
        ("replay", "2", "--store", store),
    ]
    kinds = [
        _whole("store, bytes", store, "bytes", commands, folder),
        _cells("store, cells", store, commands, folder),
    ]
    files = sorted(path for path in (folder / "cases.db.files").glob("*/*") if path.is_file())
    kinds += [_whole(f"store, {path.name[:12]}", path, "bytes", commands[1:], folder) for path in files]
    return kinds


def _tables(place: Path, part: Path) -> list[Kind]:
    """Return lists that people and data sets write: a standard, a split of VisA, questions of MMAD."""
    standard = place / "standard.csv"
    standard.write_text(f"source,outcome\n{part},NG\n{part.with_name('4.png')},OK\n")
    agreement = ("agreement", "--store", place / "kept" / "cases.db", "--standard", standard, "--quiet")
    visa, mmad = place / "visa", place / "mmad"
    images = {
        "normal": visa / "nut" / "Data" / "Images" / "Normal",
        "anomaly": visa / "nut" / "Data" / "Images" / "Anomaly",
    }
    (visa / "split_csv").mkdir(parents=True)
    rows = ["object,split,label,image,mask"]
    for label, folder in images.items():
        folder.mkdir(parents=True)
        shutil.copy(part, folder / "0.png")
        inside = folder.relative_to(visa) / "0.png"
        rows += [f"nut,train,normal,{inside},"] if label == "normal" else [f"nut,test,anomaly,{inside},"]
    split = visa / "split_csv" / "1cls.csv"
    split.write_text("\n".join(rows) + "\n")
    (mmad / "MVTec" / "nut" / "test" / "good").mkdir(parents=True)
    shutil.copy(part, mmad / "MVTec" / "nut" / "test" / "good" / "0.png")
    questions = mmad / "mmad.json"
    asked = {
        "Question": "Is there a defect?",
        "Answer": "B",
        "Options": {"A": "Yes.", "B": "No."},
        "type": "Anomaly Detection",
    }
    entry = {
        "image_path": "MVTec/nut/test/good/0.png",
        "conversation": [asked],
        "similar_templates": [],
        "random_templates": [],
    }
    questions.write_text(json.dumps({"MVTec/nut/test/good/0.png": entry}))
    dry = ("--dry-run", "--shots", 0, "--localizer", "none", "--out", place / "none")
    kinds = [
        _whole("standard of an agreement", standard, "bytes", [agreement]),
        _whole("split of VisA", split, "bytes", [("bench", visa, "--format", "visa", *dry)]),
        _whole("questions of MMAD", questions, "json", [("bench", mmad, "--format", "mmad", *dry)]),
    ]
    for kind in kinds[1:]:
        if (ran := run_command(kind.commands[0])).code != 0:
            raise RuntimeError(f"{kind.name}: the good file is refused: {ran.err}")
    return kinds


def _cells(name: str, path: Path, commands: Sequence[tuple[object, ...]], folder: Path) -> Kind:
    """Return a kind whose cells are damaged: JSON as JSON, all else as values of other types."""
    whole = _whole(name, path, "bytes", commands, folder)

    def damage(rng: random.Random) -> None:
        with contextlib.closing(sqlite3.connect(path)) as base:
            tables = [row[0] for row in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            cells = [
                (table, column[1], row[0])
                for table in tables
                if table not in ("vlm_inspect_version", "sqlite_sequence")
                for column in base.execute(f"PRAGMA table_info({table})").fetchall()
                for row in base.execute(f"SELECT rowid FROM {table}").fetchall()
            ]
            table, column, row = rng.choice(cells)
            (value,) = base.execute(f"SELECT {column} FROM {table} WHERE rowid = ?", (row,)).fetchone()
            with contextlib.suppress(sqlite3.IntegrityError, UnicodeEncodeError, OverflowError):
                base.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (_damaged_cell(value, rng), row))
            base.commit()

    return Kind(name, whole.folder, damage, whole.commands, whole.restore)


def _damaged_cell(value: object, rng: random.Random) -> object:
    if isinstance(value, bytes):
        return DAMAGE["bytes"](value, rng)
    if isinstance(value, str) and value[:1] in ("{", "["):
        with contextlib.suppress(ValueError):
            json.loads(value)
            return DAMAGE["json"](value.encode(), rng).decode(errors="surrogateescape")
    return rng.choice((None, "", "x", -1, 1e308, b"\xff\xfe", "{", "[" * 100_000, "2026-99-99", sys.maxsize, value))
