"""`/v1/rules`, `/v1/calibrations`, `/v1/audit`: what parts are judged by, by name, and who changed it."""

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, ConfigDict, Field

from vlm_inspect.service.access import AtWork, Engineer, Operator
from vlm_inspect.service.rule_books import MOST_TEXT, checked_calibration
from vlm_inspect.service.station import Station

router = APIRouter(prefix="/v1", tags=["rules"])


class NewText(BaseModel):
    """A rule book, or a calibration, as text."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(min_length=1, max_length=MOST_TEXT)
    replaces: str | None = Field(
        default=None, description="SHA-256 of the book that is replaced: refused where it is another one by now."
    )


@router.get("/rules")
def list_rules(station: AtWork, person: Operator) -> list[dict[str, Any]]:
    """List the rule books."""
    del person
    return [_summary(station, name) for name in station.books.names()]


@router.get("/rules/{name}")
def get_rules(name: str, station: AtWork, person: Operator) -> dict[str, Any]:
    """Return a rule book, as values and as text."""
    del person
    book = station.books.book(name)
    values = station.path_free.values(book.model_dump(mode="json", exclude={"references"}))
    return {**_summary(station, name), "book": values, "text": station.path_free.text(book.text)}


@router.put("/rules/{name}")
def put_rules(name: str, new: NewText, station: AtWork, person: Engineer) -> dict[str, Any]:
    """Write a rule book; it holds from the next part on."""
    with station.books.changing:
        before = station.books.text(name)
        if new.replaces is not None and (before is None or station.books.book(name).sha256 != new.replaces):
            raise HTTPException(409, f"rule book {name[:64]} was changed meanwhile; load it again")
        station.books.checked(name, new.text)
        with station.audit.noted(person.name, "rules", name, before=before, after=new.text):
            station.books.write(name, new.text)
    return _summary(station, name)


@router.get("/calibrations")
def list_calibrations(station: AtWork, person: Operator) -> list[str]:
    """List the rule books that have a calibration."""
    del person
    return station.books.calibrations()


@router.get("/calibrations/{name}")
def get_calibration(name: str, station: AtWork, person: Operator) -> dict[str, Any]:
    """Return the calibration of a rule book."""
    del person
    found = station.books.calibration(name)
    if found is None:
        raise HTTPException(404, f"rule book {name[:64]} has no calibration")
    return found.model_dump(mode="json")


@router.put("/calibrations/{name}")
def put_calibration(name: str, new: NewText, station: AtWork, person: Engineer) -> dict[str, Any]:
    """Write the calibration of a rule book; it holds from the next part on."""
    made = checked_calibration(new.text)
    before = station.books.calibration(name)
    told = made.model_dump(mode="json")
    old = None if before is None else before.model_dump(mode="json")
    with station.audit.noted(person.name, "calibration", name, before=old, after=told):
        station.books.write_calibration(name, made)
    return told


@router.get("/audit", tags=["operation"])
def get_audit(station: AtWork, person: Engineer, last: Annotated[int, Query(ge=1, le=10_000)] = 200) -> dict[str, Any]:
    """Return the newest lines of the audit trail, and where its chain breaks, if it does."""
    del person
    broken = station.audit.first_break()
    entries = station.path_free.values(station.audit.entries()[-last:])
    return {"intact": broken is None, "first_break": broken, "head": station.audit.head, "entries": entries}


def _summary(station: Station, name: str) -> dict[str, Any]:
    book = station.books.book(name)
    return {
        "name": name,
        "class_name": station.path_free.text(book.class_name),
        "sha256": book.sha256,
        "rules": len(book.rules),
        "references": len(book.references),
        "calibrated": station.books.is_calibrated(name),
        "not_ready": station.judges.cold.get(name),
    }
