"""A calibration from the parts that people judged, and what it would make of the kept cases."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from vlm_inspect.calibration.judged_parts import JudgedParts, judged_parts
from vlm_inspect.calibration.run import CalibrationRun, calibrate
from vlm_inspect.calibration_file import Calibration
from vlm_inspect.chat.flips import MOST_CASES, Flip
from vlm_inspect.errors import CalibrationError, InspectError
from vlm_inspect.inspection import Inspection
from vlm_inspect.service.station import Station
from vlm_inspect.significant_digits import probability_words
from vlm_inspect.store import Filters

_MOST_LISTED = 50


def propose_calibration(
    station: Station, name: str, overkill: float, progress: Callable[[str], None]
) -> tuple[Calibration, dict[str, Any]]:
    """Inspect the judged parts of a rule book's class again, and set thresholds by them. Nothing is written.

    Args:
        station: the service.
        name: of the rule book.
        overkill: share of normal parts that may be held up, in (0, 0.5].
        progress: told what is at work.

    Returns:
        The calibration, and what to tell of it as JSON values.

    Raises:
        CalibrationError: nobody judged a part, or too few for that share.
        ConversionError, InspectError: a part cannot be read or inspected.
    """
    inspector = station.books.uncalibrated(name).build(backend=station.books.backend())
    with tempfile.TemporaryDirectory() as folder:
        parts = judged_parts(station.store, inspector.rules.class_name, Path(folder))
        if not parts.normal:
            raise CalibrationError("nobody judged a part of this class OK; judge parts, or review them, first")
        run = calibrate(
            inspector,
            parts.normal,
            overkill=overkill,
            anomalous=parts.anomalous,
            progress=lambda done, of, path: progress(f"{done + 1} of {of} judged parts"),
            say=progress,
        )
    progress("the kept cases")
    compared, flips = _flips_under(station, inspector.rules.class_name, run.calibration)
    return run.calibration, station.path_free.values(_values(parts, run, compared, flips))


def _values(parts: JudgedParts, run: CalibrationRun, compared: int, flips: list[Flip]) -> dict[str, Any]:
    made = run.calibration
    turned = [
        {"id": one.case_id, "name": one.source, "before": one.before, "now": one.now, "because": one.because}
        for one in flips[:_MOST_LISTED]
    ]
    return {
        "normal": made.n,
        "anomalous": run.anomalous,
        "caught": run.caught,
        "gone": len(parts.gone),
        "left_out": len(run.left_out),
        "ok_below": made.ok_below,
        "ng_above": made.ng_above,
        "overkill": made.overkill,
        "overkill_ci95": made.overkill_ci95,
        "outcomes": run.outcomes,
        "compared": compared,
        "turned": len(flips),
        "flips": turned,
    }


def _flips_under(station: Station, class_name: str, made: Calibration) -> tuple[int, list[Flip]]:
    """Return how many kept cases were fused again under other thresholds, and those whose outcome turns."""
    flips: list[Flip] = []
    compared = 0
    for case_id, before, now in _under(station, class_name, made):
        compared += 1
        if before.outcome != now.outcome:
            because = now.review_reasons[0] if now.review_reasons else f"P(anomalous) {probability_words(now.score)}"
            flips.append(Flip(case_id, Path(now.source).name, before.outcome, now.outcome, because))
    return compared, flips


def _under(station: Station, class_name: str, made: Calibration) -> Iterator[tuple[str, Inspection, Inspection]]:
    for line in station.store.list(Filters(class_name=class_name, limit=MOST_CASES)):
        try:
            case = station.store.load(line.id)
            yield line.id, case.inspection, case.examination.under(made.thresholds)
        except InspectError:
            continue  # a record that is gone tells nothing of thresholds
