"""A finished run as its output folder tells it: `results.json` and `items.jsonl`, read and checked."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from evaluation.errors import RunError
from evaluation.runs.record import ItemRecord
from evaluation.runs.results import ITEMS, RESULTS, UNCALIBRATED

_NEEDED = ("dataset", "settings", "categories", "coverage", "usage", "wall_s")


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """What a run amounted to."""

    folder: Path
    results: Mapping[str, Any]
    """The document of `results.json`."""
    records: tuple[ItemRecord, ...]

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the results."""
        return tuple(self.results["categories"])

    @property
    def asks_questions(self) -> bool:
        """Whether multiple-choice questions were scored, not images."""
        return "questions" in self.results

    @property
    def title(self) -> str:
        """Model and localizer, as a person would tell runs apart."""
        settings = self.results["settings"]
        return f"{settings.get('model', 'unknown model')}, localizer {settings.get('localizer', 'none')}"

    def of_category(self, name: str) -> tuple[ItemRecord, ...]:
        """Return the records of one class."""
        return tuple(record for record in self.records if record.category == name)

    def threshold(self, category: str) -> float:
        """Return the score from which an item of a class counts as anomalous."""
        return float(self.results["categories"].get(category, {}).get("threshold", UNCALIBRATED))


def read_run(folder: Path) -> FinishedRun:
    """Read the output folder of `bench`.

    Raises:
        RunError: there is no finished run in it, or its files are damaged.
    """
    if not folder.is_dir():
        raise RunError(f"{folder}: no such folder; name the --out folder of a bench run")
    if not (folder / RESULTS).is_file() or not (folder / ITEMS).is_file():
        raise RunError(f"{folder} holds no finished run (no {RESULTS} and {ITEMS}); finish it with bench --resume")
    try:
        results = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
        missing = [key for key in _NEEDED if key not in results] if isinstance(results, dict) else list(_NEEDED)
        if missing:
            raise RunError(f"{folder / RESULTS} lacks {', '.join(missing)}: it is no result of bench")
        lines = (folder / ITEMS).read_text(encoding="utf-8").splitlines()
        records = tuple(_record(folder / ITEMS, at, line) for at, line in enumerate(lines, start=1) if line.strip())
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise RunError(f"the run in {folder} cannot be read: {reason}; run bench again") from error
    if not records:
        raise RunError(f"{folder / ITEMS} holds no item; run bench again")
    return FinishedRun(folder, results, records)


def _record(path: Path, line_number: int, line: str) -> ItemRecord:
    try:
        return ItemRecord.model_validate_json(line)
    except ValidationError as error:
        raise RunError(
            f"{path}, line {line_number}, is no item of a run; run bench --resume to write it again"
        ) from error
