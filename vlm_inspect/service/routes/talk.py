"""What people do with an inspection: talk over it, judge it, correct the rules by it."""

import logging
import threading
from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter, HTTPException
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from vlm_inspect.chat.dialogue import Dialogue
from vlm_inspect.errors import InspectError
from vlm_inspect.service.access import AtWork, Engineer, Operator
from vlm_inspect.service.proposals import Correction, proposal_values, propose
from vlm_inspect.service.station import Station
from vlm_inspect.service.streaming import Send, stream_work
from vlm_inspect.service.tokens import Person
from vlm_inspect.service.uploads import WORDS
from vlm_inspect.store import Case
from vlm_inspect.tools.result import ToolResult

router = APIRouter(prefix="/v1/inspections/{case_id}", tags=["talk"])
_LOG = logging.getLogger("vlm_inspect.service")


class Message(BaseModel):
    """One question."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(min_length=1, max_length=8_000, pattern=WORDS)


class NewJudgement(BaseModel):
    """What a person judges of the part."""

    model_config = ConfigDict(extra="forbid")

    outcome: Literal["OK", "NG"]
    reason: str = Field(default="", max_length=2_000, pattern=WORDS)


class Decision(BaseModel):
    """A yes or a no to a proposal."""

    model_config = ConfigDict(extra="forbid")

    accepted: bool


@router.get("/messages")
def list_messages(case_id: str, station: AtWork, person: Operator) -> list[dict[str, Any]]:
    """Return the talk over a case."""
    del person
    return [_turn_values(turn, case_id, station) for turn in station.store.turns(case_id)]


@router.post("/messages", response_class=StreamingResponse)
async def ask(case_id: str, message: Message, station: AtWork, person: Operator) -> StreamingResponse:
    """Ask about a case. Answers as server-sent events: words, called, note, proposal; error or done ends it."""
    if not message.text.strip():
        raise HTTPException(422, "text: it is empty; ask something")
    case = await run_in_threadpool(station.store.load, case_id)
    busy = "this case, or enough others, are being talked over; ask again in a moment"
    return stream_work(
        station.talks.over(case.id), busy, lambda send: _answer(station, case, person, message.text, send)
    )


def _answer(station: Station, case: Case, person: Person, question: str, send: Send) -> None:
    try:
        dialogue = dialogue_over(station, case, person)
        answer = dialogue.ask(question, _Sender(station, send))
        for note in answer.notes:
            send("note", {"text": station.path_free.text(note)})
        for proposal in dialogue.take_proposals():
            number = station.proposals.add(case.id, proposal)
            send("proposal", proposal_values(number, proposal, dialogue.flips(proposal), station))
        last = station.store.turns(case.id)[-1]
        send("done", _turn_values(last, case.id, station))
    except InspectError as error:
        send("error", {"error": station.path_free.message(str(error))})
    except Exception:  # noqa: BLE001 - a bug must end the stream with an event
        _LOG.exception("a talk over case %s", case.id)
        send("error", {"error": "internal error, please report it; the service's log tells more"})


class _Sender:
    """Sends a turn while it comes about."""

    def __init__(self, station: Station, send: Send) -> None:
        self._station, self._send = station, send

    def words(self, text: str) -> None:
        """Send words of the answer."""
        if text:
            self._send("words", {"text": self._station.path_free.text(text)})

    def called(self, name: str, arguments: str, result: ToolResult) -> None:
        """Send one call of a tool."""
        told = {"name": name, "arguments": arguments, "failed": result.failed, "pictures": len(result.pictures)}
        self._send("called", {**told, "result": self._station.path_free.text(result.text)})


@router.get("/judgements")
def list_judgements(case_id: str, station: AtWork, person: Operator) -> list[dict[str, Any]]:
    """Return what people judged of a part."""
    del person
    return [_judgement_values(one) for one in station.store.judgements(case_id)]


@router.post("/judgement", status_code=201)
def judge(case_id: str, new: NewJudgement, station: AtWork, person: Operator) -> dict[str, Any]:
    """Judge a part; what was judged before stays, and the last one counts."""
    found = station.store.find(case_id)
    earlier = station.store.judgements(found)
    before = _judgement_values(earlier[-1]) if earlier else None
    after = {"outcome": new.outcome, "reason": new.reason}
    with station.audit.noted(person.name, "judgement", found, before=before, after=after):
        return _judgement_values(station.store.judge(found, new.outcome, by=person.name, reason=new.reason))


@router.post("/corrections", status_code=201)
def propose_correction(case_id: str, correction: Correction, station: AtWork, person: Operator) -> dict[str, Any]:
    """Propose a change of the rule book: what it would be, and which kept cases it would turn. Nothing is changed."""
    dialogue = dialogue_over(station, station.store.load(case_id), person)
    proposal = propose(dialogue, correction)
    flips = dialogue.flips(proposal)
    return proposal_values(station.proposals.add(dialogue.case.id, proposal), proposal, flips, station)


@router.post("/corrections/{number}")
def decide_correction(
    case_id: str, number: int, decision: Decision, station: AtWork, person: Engineer
) -> dict[str, Any]:
    """Accept a proposal, which writes the rule book, or turn it down."""
    case = station.store.load(case_id)
    proposal = station.proposals.take(case.id, number)
    if proposal is None:
        raise HTTPException(404, "no such proposal; propose it again")
    dialogue = dialogue_over(station, case, person)
    if not decision.accepted:
        dialogue.decide(proposal, accepted=False)
        if proposal.kind == "reference":
            station.staged.settle(str(case.settings.get("rule_book")), case)
        return {"changed": False}
    name = str(case.settings.get("rule_book"))
    if proposal.kind == "reference":
        station.staged.stage(name, case)  # another proposal of the same part may have been turned down meanwhile
    try:
        with station.audit.noted(person.name, "rules", name, before=proposal.before, after=proposal.after):
            dialogue.decide(proposal, accepted=True)
    finally:
        if proposal.kind == "reference":
            station.staged.settle(name, case)
    threading.Thread(target=station.books.warm_up, args=(name,), name="warm-up", daemon=True).start()
    return {"changed": True}


def dialogue_over(station: Station, case: Case, person: Person) -> Dialogue:
    """Return the dialogue over a case; its corrections change the rule book of the same name, where there is one."""
    name = case.settings.get("rule_book")
    path: Path | None = station.books.path(str(name)) if name in station.books.names() else None
    timeout_s = station.settings.config.model.timeout_s
    return Dialogue(
        case, station.store, backend=station.books.backend(), rules_path=path, timeout_s=timeout_s, by=person.name
    )


def _turn_values(turn: Any, case_id: str, station: Station) -> dict[str, Any]:
    told = {
        "number": turn.number,
        "role": turn.role,
        "text": turn.text,
        "calls": [dict(call) for call in turn.tool_calls],
        "pictures": [f"/v1/inspections/{case_id}/pictures/{name}" for name in turn.pictures],
        "created_at": turn.created_at,
    }
    values: dict[str, Any] = station.path_free.values(told)
    return values


def _judgement_values(judgement: Any) -> dict[str, Any]:
    names = ("number", "outcome", "by", "reason", "created_at")
    return {name: getattr(judgement, name) for name in names}
