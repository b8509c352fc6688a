"""What judged parts teach: a part becomes a reference, judged parts set thresholds; what would turn is said first."""

import logging
import threading
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, HTTPException
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from converters.errors import ConversionError
from vlm_inspect.errors import InspectError
from vlm_inspect.service.access import AtWork, Engineer
from vlm_inspect.service.proposals import proposal_values
from vlm_inspect.service.recalibration import propose_calibration
from vlm_inspect.service.routes.talk import Decision, dialogue_over
from vlm_inspect.service.station import Station
from vlm_inspect.service.streaming import Send, stream_work
from vlm_inspect.service.tokens import Person
from vlm_inspect.store import Case

router = APIRouter(prefix="/v1", tags=["learning"])
_LOG = logging.getLogger("vlm_inspect.service")
_BUSY = "this is being worked out, or enough else is; ask again in a moment"


class Wish(BaseModel):
    """How a calibration shall be."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    overkill: float = Field(default=0.05, gt=0, le=0.5, description="Share of normal parts that may be held up.")


@router.post("/inspections/{case_id}/reference", response_class=StreamingResponse)
async def propose_reference(case_id: str, station: AtWork, person: Engineer) -> StreamingResponse:
    """Propose a part that was judged OK as a reference of its rule book.

    Answers as server-sent events: `progress`, then `proposal` (see `corrections`, where it is decided on) or `error`.
    """
    case = await run_in_threadpool(station.store.load, case_id)
    name = case.settings.get("rule_book")
    if name not in station.books.names():
        raise HTTPException(409, "the rule book of this case is not here any more")
    judgements = await run_in_threadpool(station.store.judgements, case.id)
    if not judgements or judgements[-1].outcome != "OK":
        raise HTTPException(409, "judge this part OK first: a reference has to be normal")
    return stream_work(
        station.talks.over(case.id), _BUSY, _telling(station, lambda say: _reference(station, case, person, say))
    )


def _reference(station: Station, case: Case, person: Person, say: Callable[[str], None]) -> dict[str, Any]:
    name = str(case.settings["rule_book"])
    dialogue = dialogue_over(station, case, person)
    place = station.staged.stage(name, case)
    try:
        proposal = dialogue.corrector.propose_reference(place)
        flips = dialogue.flips(proposal, say)
    except BaseException:
        station.staged.settle(name, case)
        raise
    return proposal_values(station.proposals.add(case.id, proposal), proposal, flips, station)


@router.post("/calibrations/{name}/proposals", response_class=StreamingResponse)
async def propose_thresholds(name: str, wish: Wish, station: AtWork, person: Engineer) -> StreamingResponse:
    """Propose a calibration by the parts that people judged; they are inspected again.

    Answers as server-sent events: `progress`, then `proposal` with its number, figures and the kept cases that it would
    turn, or `error`. Nothing is changed.
    """
    del person
    chosen = station.books.chosen(name)

    def work(say: Callable[[str], None]) -> dict[str, Any]:
        made, told = propose_calibration(station, chosen, wish.overkill, say)
        return {"number": station.calibrations.add(chosen, made), **told}

    return stream_work(station.talks.over(f"calibration of {chosen}"), _BUSY, _telling(station, work))


@router.post("/calibrations/{name}/proposals/{number}")
def decide_on_thresholds(
    name: str, number: int, decision: Decision, station: AtWork, person: Engineer
) -> dict[str, Any]:
    """Accept a proposed calibration, which holds from the next part on, or turn it down."""
    chosen = station.books.chosen(name)
    made = station.calibrations.take(chosen, number)
    if made is None:
        raise HTTPException(404, "no such proposal; propose it again")
    if not decision.accepted:
        return {"changed": False}
    before = station.books.calibration(chosen)
    old = None if before is None else before.model_dump(mode="json")
    with station.audit.noted(person.name, "calibration", chosen, before=old, after=made.model_dump(mode="json")):
        station.books.write_calibration(chosen, made)
    threading.Thread(target=station.books.warm_up, args=(chosen,), name="warm-up", daemon=True).start()
    return {"changed": True}


def _telling(station: Station, work: Callable[[Callable[[str], None]], dict[str, Any]]) -> Callable[[Send], None]:
    """Return work that sends its progress and what came of it."""

    def run(send: Send) -> None:
        try:
            send("proposal", work(lambda step: send("progress", {"step": step})))
        except (InspectError, ConversionError) as error:
            send("error", {"error": station.path_free.message(str(error))})
        except Exception:  # noqa: BLE001 - a bug must end the stream with an event
            _LOG.exception("a proposal")
            send("error", {"error": "internal error, please report it; the service's log tells more"})

    return run
