"""What the page *Trust* shows, class by class."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vlm_inspect.calibration_file import Calibration
from vlm_inspect.errors import CalibrationError, InspectError
from vlm_inspect.page import charts, trust
from vlm_inspect.page.agreement_tables import tables_of
from vlm_inspect.page.wording import Wording
from vlm_inspect.rater_agreement.ratings import collect_ratings
from vlm_inspect.rater_agreement.study import study_agreement
from vlm_inspect.sensitivity.record import Sensitivity
from vlm_inspect.sensitivity.wording import kinds_not_reached
from vlm_inspect.service.station import Station
from vlm_inspect.store import CaseLine, Filters

_MOST_LINES = 10_000
_LOOKED_AT = 20
"""Newest cases of a class among which one that tells its sensitivity is looked for."""


@dataclass(frozen=True)
class Told:
    """What the references of a class can tell."""

    class_name: str
    sensitivity: Sensitivity
    chart: charts.Chart

    @property
    def not_reached(self) -> list[str]:
        """Kinds of which no planted size is surely held up."""
        return kinds_not_reached(self.sensitivity)


@dataclass(frozen=True)
class CalibratedBook:
    """A rule book, what it is calibrated by, and what could calibrate it."""

    name: str
    class_name: str
    n: int
    """Normal parts of its calibration; 0: it has none that fits."""
    ok_below: float
    ng_above: float
    is_stale: bool
    """Whether it has one that was made for earlier rules or references."""
    ok: int
    ng: int
    """Parts that people judged."""
    held_up: trust.HeldUp | None = None
    """Normal parts that it would hold up; None: it is not calibrated, or too few were judged."""


def trust_values(station: Station, class_name: str, t: Wording) -> dict[str, Any]:
    """Return the values of the page.

    Args:
        station: the service.
        class_name: of the parts; empty: all.
        t: its words.

    Raises:
        StoreError: the store cannot be read.
    """
    lines = station.store.list(Filters(class_name=class_name or None, since=trust.since_text(), limit=_MOST_LINES))
    days = trust.days_of(lines)
    classes = classes_of(station)
    shown = [name for name in classes if class_name in ("", name)]
    by_class = {name: [line for line in lines if line.class_name == name] for name in shown}

    def book_of(name: str) -> CalibratedBook:
        return _book(station, name, by_class.get(station.books.book(name).class_name, []))

    return {
        "chosen": class_name,
        "classes": classes,
        "days": days,
        "outcomes": charts.outcome_chart(days) if days else None,
        "reviews": charts.review_chart(days) if days else None,
        "drifts": {name: trust.drift_of(some) for name, some in by_class.items() if some},
        "told": [found for name, some in by_class.items() if (found := _sensitivity(station, name, some)) is not None],
        "books_judged": [one for one in map(book_of, station.books.names()) if one.class_name in shown],
        **_agreement(station, class_name, t),
    }


def classes_of(station: Station) -> list[str]:
    """Return the classes of the rule books, sorted."""
    return sorted({station.books.book(name).class_name for name in station.books.names()})


def _sensitivity(station: Station, class_name: str, lines: Sequence[CaseLine]) -> Told | None:
    for line in lines[:_LOOKED_AT]:
        found = station.store.load(line.id).inspection.sensitivity
        if found is not None and found.curve:
            return Told(class_name, found, charts.sensitivity_chart(found.curve))
    return None


def _book(station: Station, name: str, lines: Sequence[CaseLine]) -> CalibratedBook:
    class_name = station.books.book(name).class_name
    judged = [one.judgements[-1].outcome for one in station.store.judged_cases(Filters(class_name=class_name))]
    try:
        made = station.books.calibration(name) if station.books.is_calibrated(name) else None
    except CalibrationError:  # it is told where a part is inspected
        made = None
    since = station.books.calibrated_at(name)
    return CalibratedBook(
        name=name,
        class_name=class_name,
        n=0 if made is None else made.n,
        ok_below=0.0 if made is None else made.ok_below,
        ng_above=0.0 if made is None else made.ng_above,
        is_stale=made is None and name in station.books.calibrations(),
        ok=judged.count("OK"),
        ng=judged.count("NG"),
        held_up=None if made is None else _held_up([line for line in lines if line.created_at >= since], made),
    )


def _held_up(lines: Sequence[CaseLine], made: Calibration) -> trust.HeldUp | None:
    return trust.held_up_of(lines, made.ok_below, made.asked_overkill or made.overkill_ci95[1])


def _agreement(station: Station, class_name: str, t: Wording) -> dict[str, Any]:
    """Return whether people agree with each other and with the tool, as tables."""
    filters = Filters(class_name=class_name or None, limit=_MOST_LINES)
    judged = station.store.judged_cases(filters)
    if not judged:
        return {"agreement": [], "agreement_error": ""}
    try:
        study = study_agreement(collect_ratings(station.store.list(filters), judged))
        return {"agreement": list(tables_of(study, t)), "agreement_error": ""}
    except InspectError as error:
        return {"agreement": [], "agreement_error": str(error)}
