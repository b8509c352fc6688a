"""`/v1/inspections`: parts in, inspections out, and the list of them."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from concurrent.futures import Future
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from vlm_inspect.inspection import Outcome, StepRecord
from vlm_inspect.service.access import AtWork, Operator, too_many
from vlm_inspect.service.answers import case_values, line_values, waiting_values
from vlm_inspect.service.judging import Ended
from vlm_inspect.service.spool import Job, QueueFullError
from vlm_inspect.service.station import Station
from vlm_inspect.service.streaming import event
from vlm_inspect.service.tokens import Person
from vlm_inspect.service.uploads import PartAsJson, receive_part
from vlm_inspect.store import Filters
from vlm_inspect.store.listing import JudgedAs

router = APIRouter(prefix="/v1/inspections", tags=["inspections"])
LEFT = 499
"""Status, in the log alone, of a request whose client left."""
_EVENT_EVERY_S = 0.25
_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "additionalProperties": False,
                "properties": {
                    "file": {"type": "string", "format": "binary"},
                    "rules": {"type": "string", "maxLength": 64},
                    "question": {"type": "string", "maxLength": 8000},
                    "serial": {"type": "string", "maxLength": 200},
                },
            }
        },
        "application/json": {"schema": PartAsJson.model_json_schema()},
    },
}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "The inspection, as `ask --json` gives it, with its id."},
    202: {"description": "Accepted: it is on the disk, and will be judged. Location tells where to look."},
    413: {"description": "The part is too large."},
    422: {"description": "The part cannot be judged, or the request is wrong."},
    429: {"description": "The queue is full, or too many requests came; Retry-After tells when to come again."},
}


@router.post("", openapi_extra={"requestBody": _BODY}, responses=_ANSWERS)
async def inspect_part(
    request: Request,
    station: AtWork,
    person: Operator,
    wait: Annotated[float, Query(ge=0, le=300, description="Longest wait for the result, in seconds.")] = 60.0,
) -> Response:
    """Judge a part. A client that leaves before the part is judged or accepted takes it back."""
    if station.spool.is_full:  # known before the part is read
        station.metrics.refused.labels(why="queue").inc()
        raise too_many("the queue is full; send the part again later", station.judges.pause_s)
    with station.arriving.one_more(person.name) as free:
        if not free:
            station.metrics.refused.labels(why="uploads").inc()
            raise too_many(f"{person.name} sends {station.settings.limits.uploads} parts already", 1.0)
        job, ending = await _receive(request, station, person)
    return await _answer(request, station, job, ending, wait)


async def _receive(request: Request, station: Station, person: Person) -> "tuple[Job, Future[Ended]]":
    draft = await run_in_threadpool(station.spool.draft)
    try:
        return await _accept(request, station, person, draft)
    except QueueFullError as error:
        station.metrics.refused.labels(why="queue").inc()
        raise too_many(str(error), station.judges.pause_s) from error
    finally:
        await run_in_threadpool(shutil.rmtree, draft, ignore_errors=True)  # what was not accepted


async def _accept(request: Request, station: Station, person: Person, draft: Path) -> "tuple[Job, Future[Ended]]":
    sent = await receive_part(request, draft, station.settings.limits)
    rules = station.books.chosen(sent.rules)

    def make_job(job_id: str) -> Job:
        return Job(id=job_id, name=sent.name, rules=rules, question=sent.question, serial=sent.serial, by=person.name)

    ending = station.judges.watch(draft.name)  # before it can be judged
    try:
        return await run_in_threadpool(station.spool.accept, draft, make_job), ending
    except BaseException:
        station.judges.unwatch(draft.name)
        raise


async def _answer(request: Request, station: Station, job: Job, ending: "Future[Ended]", wait_s: float) -> Response:
    """Wait for the end of a part, its client's leaving, or the time, whichever is first."""
    ended: asyncio.Future[Any] = asyncio.wrap_future(ending)
    left = asyncio.create_task(_has_left(request))
    try:
        await asyncio.wait([ended, left], timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        if ended.done() and not ended.cancelled():
            return await run_in_threadpool(_ended_answer, station, job, ended.result())
        if left.done() and await run_in_threadpool(station.spool.withdraw, job.id):
            return Response(status_code=LEFT)
    finally:
        left.cancel()
        if not ended.done():
            station.judges.unwatch(job.id)
            ended.cancel()
    told = waiting_values(job.id, station) or {"id": job.id, "state": "done"}
    return JSONResponse(told, 202, headers={"Location": f"/v1/inspections/{job.id}"})


async def _has_left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _ended_answer(station: Station, job: Job, ended: Ended) -> JSONResponse:
    place = {"Location": f"/v1/inspections/{job.id}"}
    if ended.state == "failed":
        told = {"error": ended.error, "id": job.id, "state": "failed"}
        return JSONResponse(told, 502 if ended.by_model else 422, headers=place)
    return JSONResponse(case_values(station.store.load(job.id), station), headers=place)


class Wanted(BaseModel):
    """Which inspections a list has."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    outcome: Outcome | None = None
    class_name: str | None = Field(default=None, alias="class", max_length=200)
    since: str | None = Field(default=None, max_length=40, description="A date or time, ISO 8601, UTC.")
    until: str | None = Field(default=None, max_length=40, description="Likewise; of a date, its end.")
    serial: str | None = Field(default=None, max_length=200)
    judgement: JudgedAs | None = None
    text: str | None = Field(default=None, max_length=200)
    page: int = Field(default=1, ge=1, le=1_000_000)
    per_page: int = Field(default=50, ge=1, le=200)

    @property
    def filters(self) -> Filters:
        """The filters of the store."""
        return Filters(
            outcome=self.outcome,
            class_name=self.class_name,
            since=self.since,
            until=self.until,
            serial=self.serial,
            judged=self.judgement,
            text=self.text,
            limit=self.per_page,
            offset=(self.page - 1) * self.per_page,
        )


@router.get("")
def list_inspections(station: AtWork, person: Operator, wanted: Annotated[Wanted, Query()]) -> dict[str, Any]:
    """List inspections, the newest first."""
    del person
    total = station.store.count(wanted.filters)
    lines = station.store.list(wanted.filters)
    pages = -(-total // wanted.per_page)
    return {"items": [line_values(line) for line in lines], "total": total, "page": wanted.page, "pages": pages}


@router.get("/{case_id}")
def get_inspection(case_id: str, station: AtWork, person: Operator) -> dict[str, Any]:
    """Return an inspection, or how far it is: waiting, judging, failed (with the reason), done."""
    del person
    return waiting_values(case_id, station) or case_values(station.store.load(case_id), station)


@router.get("/{case_id}/events", response_class=StreamingResponse)
async def follow_inspection(case_id: str, station: AtWork, person: Operator) -> StreamingResponse:
    """Follow a part as server-sent events, until it is done or has failed.

    `state` tells where it is, and what is at work on it; `step` every step that an agent, or a second look, has taken.
    """
    if await run_in_threadpool(waiting_values, case_id, station) is None:
        await run_in_threadpool(station.store.load, case_id)  # raises where there is no such case

    async def events() -> AsyncIterator[str]:
        with station.followed.one_more(person.name) as free:
            if not free:
                most = station.settings.limits.streams
                yield event("error", {"error": f"{person.name} follows {most} parts already; end one of those"})
                return
            async for told in _events_of(case_id, station):
                yield told

    return StreamingResponse(events(), media_type="text/event-stream")


async def _events_of(case_id: str, station: Station) -> AsyncIterator[str]:
    last, sent = None, 0
    while True:
        told = await run_in_threadpool(waiting_values, case_id, station) or {"id": case_id, "state": "done"}
        ended = told["state"] in ("done", "failed")
        steps = await run_in_threadpool(_steps_taken, case_id, told["state"], station)
        for step in steps[sent:]:
            yield event("step", station.path_free.values(step.model_dump(mode="json")))
        sent = max(sent, len(steps))
        if told != last:
            yield event("state", told)
            last = told
        if ended:
            return
        await asyncio.sleep(_EVENT_EVERY_S)


def _steps_taken(case_id: str, state: str, station: Station) -> tuple[StepRecord, ...]:
    """Return the steps so far: of a part that is done those of its case, since the last ones came as it ended."""
    return station.store.load(case_id).inspection.steps if state == "done" else station.judges.taken(case_id)


@router.post("/{case_id}/retry", status_code=202)
def retry_inspection(case_id: str, station: AtWork, person: Operator) -> dict[str, Any]:
    """Let a part that failed wait again, for example when its model can be reached."""
    del person
    if not station.spool.retry(case_id):
        raise HTTPException(404, "no part of this id failed")
    return waiting_values(case_id, station) or {"id": case_id, "state": "done"}
