"""`Timelines`: what is drawn of curves and clips over time, a file a case: made once, since that takes a while."""

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converters.errors import ConversionError
from converters.sample import Series
from vlm_inspect.file_writing import write_atomically
from vlm_inspect.service.timeline import Timeline, timeline_of_case, timeline_of_curve, timeline_of_samples
from vlm_inspect.store import Case

if TYPE_CHECKING:
    from vlm_inspect.examination import Examination


class Timelines:
    """The timelines of one service's cases."""

    def __init__(self, folder: Path) -> None:
        """Keep them in a folder, which is made when the first one comes."""
        self._folder = folder

    def keep(self, case_id: str, examination: "Examination", part: Path) -> None:
        """Keep that of a part whose every frame or sample has a number, which its case does not keep.

        Raises:
            OutputError: it cannot be written.
        """
        evidence = examination.evidence
        if evidence.curve is not None:
            self._write(case_id, timeline_of_curve(evidence.curve, examination.inspection))
        elif evidence.sample_curve is not None:
            from converters.registry import read

            with suppress(ConversionError):  # then it is made without the numbers, when it is asked for
                series = read(part)
                if isinstance(series, Series):
                    self._write(case_id, timeline_of_samples(series, evidence.sample_curve, examination.inspection))

    def of(self, case: Case) -> dict[str, Any]:
        """Return the timeline of a case of a curve or a clip, as JSON values.

        Raises:
            StoreError, ConversionError: see `timeline_of_case`.
        """
        try:
            found: dict[str, Any] = json.loads(self._path(case.id).read_bytes())
        except (OSError, ValueError):  # not made yet, or damaged: it can be made again
            found = self._write(case.id, timeline_of_case(case))
        return found

    def _write(self, case_id: str, timeline: Timeline) -> dict[str, Any]:
        values = timeline.values()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(self._path(case_id), json.dumps(values).encode())
        return values

    def _path(self, case_id: str) -> Path:
        return self._folder / f"{case_id}.json"
