"""What a service answers: inspections and lists as JSON values, without paths."""

from pathlib import PurePath
from typing import Any

from vlm_inspect.inspection import Inspection
from vlm_inspect.service.station import Station
from vlm_inspect.store import Case, CaseLine


def case_values(case: Case, station: Station) -> dict[str, Any]:
    """Return a case: the JSON of `ask`, with its id, state, name, serial number and rule book before it."""
    told = station.path_free.values(case.inspection.model_dump(mode="json"))
    if told.get("source"):
        told["source"] = PurePath(told["source"]).name
    return {
        "id": case.id,
        "state": "done",
        "name": case.source.name,
        "serial": case.serial,
        "rule_book": case.settings.get("rule_book"),
        **told,
    }


def line_values(line: CaseLine) -> dict[str, Any]:
    """Return a case as a list has it."""
    return {
        "id": line.id,
        "created_at": line.created_at,
        "name": PurePath(line.source).name,
        "class_name": line.class_name,
        "serial": line.serial,
        "outcome": line.outcome,
        "score": line.score,
        "model": line.model,
        "localizer": line.localizer,
        "question": line.question,
        "turns": line.turns,
        "judged": line.judged,
    }


def waiting_values(job_id: str, station: Station) -> dict[str, Any] | None:
    """Return what is known of a part that is no case yet; None: it is not here."""
    state = station.spool.state(job_id)
    if state is None:
        return None
    told: dict[str, Any] = {"id": job_id, "state": state}
    if state == "waiting":
        told["position"] = station.spool.position(job_id)
    elif state == "judging":
        told["step"] = station.judges.step(job_id)
    else:
        told["error"] = station.spool.failure(job_id)
    return told


def own_json(told: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON of `ask` out of what `case_values` gives."""
    return {name: value for name, value in told.items() if name in Inspection.model_fields}
