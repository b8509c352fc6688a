"""A finished run as its output folder tells it: `results.json` and `items.jsonl`, read and checked."""

from dataclasses import dataclass
from pathlib import Path

from evaluation.errors import RunError
from evaluation.runs.documents import read_document, read_lines
from evaluation.runs.record import ItemRecord
from evaluation.runs.results import ITEMS, RESULTS, UNCALIBRATED, Results

_REMEDY = "run bench --resume to write it again, or update vlm-inspect where the run is newer"


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """What a run amounted to."""

    folder: Path
    results: Results
    records: tuple[ItemRecord, ...]

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the results."""
        return tuple(self.results.categories)

    @property
    def asks_questions(self) -> bool:
        """Whether multiple-choice questions were scored, not images."""
        return self.results.questions is not None

    @property
    def title(self) -> str:
        """Model and localizer, as a person would tell runs apart."""
        return f"{self.results.settings.model}, localizer {self.results.settings.localizer}"

    def of_category(self, name: str) -> tuple[ItemRecord, ...]:
        """Return the records of one class."""
        return tuple(record for record in self.records if record.category == name)

    def threshold(self, category: str) -> float:
        """Return the score from which an item of a class counts as anomalous."""
        known = self.results.categories.get(category)
        return UNCALIBRATED if known is None else known.threshold


def read_run(folder: Path) -> FinishedRun:
    """Read the output folder of `bench`.

    Raises:
        RunError: there is no finished run in it, or its files are damaged; names file, line and key.
    """
    if not folder.is_dir():
        raise RunError(f"{folder}: no such folder; name the --out folder of a bench run")
    if not (folder / RESULTS).is_file() or not (folder / ITEMS).is_file():
        raise RunError(f"{folder} holds no finished run (no {RESULTS} and {ITEMS}); finish it with bench --resume")
    results = read_document(Results, folder / RESULTS, _REMEDY)
    records = read_lines(ItemRecord, folder / ITEMS, _REMEDY)
    if not records:
        raise RunError(f"{folder / ITEMS} holds no item; {_REMEDY}")
    unknown = next((one for one in records if one.category not in results.categories), None)
    if unknown is not None:
        raise RunError(f"{folder / ITEMS}: {unknown.id} is of {unknown.category}, which {RESULTS} lacks; {_REMEDY}")
    return FinishedRun(folder, results, records)
