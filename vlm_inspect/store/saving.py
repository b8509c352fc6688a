"""From an examination to the files and rows of a case."""

import datetime
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from converters.digest import sha256_of
from converters.system_files import is_system_file
from vlm_inspect.backends.backend import Reply
from vlm_inspect.errors import StoreError
from vlm_inspect.looks.look import Look, deciding_look
from vlm_inspect.store.files import Bundle
from vlm_inspect.store.messages import pack_messages
from vlm_inspect.store.records import (
    pack_enlargements,
    pack_evidence,
    pack_facts,
    pack_opinion,
    pack_references,
    pack_views,
    to_json,
)
from vlm_inspect.store.tables import CaseFileRow, CaseRow

if TYPE_CHECKING:
    from vlm_inspect.examination import Examination

_TRIES = 20


@dataclass(frozen=True)
class Parcel:
    """A case on its way into the store: the columns of its row, its id apart, and its files."""

    columns: Mapping[str, Any]
    bundle: Bundle


def prepare(
    examination: "Examination",
    source: Path,
    *,
    keep_input: bool,
    settings: Mapping[str, Any],
    serial: str | None = None,
) -> Parcel:
    """Return what will be written; nothing is written yet.

    Raises:
        StoreError: the source changed since it was inspected, or a view cannot be kept.
    """
    from vlm_inspect.prompting import describe_messages

    inspection, request, deciding = examination.inspection, examination.request, deciding_look(examination.looks)
    rules = examination.record.rules
    bundle = Bundle()
    record = {
        "views": pack_views(examination.views, bundle),
        "references": pack_references(examination.references, examination.evidence, examination.limits, bundle),
        "evidence": pack_evidence(examination.evidence, bundle),
        "opinion": None if deciding.opinion is None else pack_opinion(deciding.opinion),
        "thresholds": examination.thresholds,
        "template": examination.template,
        "limits": examination.limits,
        "notes": examination.record.notes,
        "enlargements": pack_enlargements(request.enlargements, bundle),
        "earlier_looks": [_pack_look(look, bundle) for look in examination.looks if look is not deciding],
        "facts": pack_facts(deciding),
        "rules_folder": str(rules.folder),
        "inputs": _pack_input(source, inspection.provenance.input_sha256, bundle) if keep_input else [],
        "input_is_folder": source.is_dir(),
        "settings": dict(settings),
    }
    columns = {
        "created_at": inspection.provenance.created_at,
        "source": str(source.absolute()),
        "class_name": rules.class_name,
        "serial": serial,
        "outcome": inspection.outcome,
        "score": float(inspection.score),
        "model": inspection.model,
        "localizer": inspection.localizer,
        "question": examination.record.question,
        "answer": inspection.answer,
        "reasoning": inspection.reasoning,
        "input_sha256": inspection.provenance.input_sha256,
        "rules_sha256": rules.sha256,
        "prompt_sha256": request.prompt_sha256,
        "inspection": to_json(inspection),
        "record": to_json(record),
        "rules_text": rules.text,
        "rules_json": rules.model_dump_json(),
        "messages": to_json(pack_messages(request.messages, bundle)),
        "answer_schema": to_json(request.answer_schema),
        "prompt": describe_messages(request.messages),
        "replies": to_json(_as_they_came(deciding.replies)),
    }
    return Parcel(columns, bundle)


def add_case(session: Session, parcel: Parcel, case_id: str | None = None) -> str:
    """Add the rows of a case, and return its id.

    Args:
        session: that commits the rows.
        parcel: what is added.
        case_id: the id that was promised; where it is kept already, nothing is added. None: a new one.
    """
    if case_id is not None and session.get(CaseRow, case_id) is not None:
        return case_id
    case_id = case_id or _free_id(session)
    session.add(CaseRow(id=case_id, **parcel.columns))
    session.flush()
    session.add_all(CaseFileRow(case_id=case_id, name=name) for name in parcel.bundle.writers)
    return case_id


def new_case_id() -> str:
    """Return an id to be promised: day and time in UTC, the second's fraction as four digits, four random ones.

    Ids sort as the cases came. The random digits keep apart what several machines promise at the same moment.
    """
    return f"{_id_of_now()}{secrets.token_hex(2)}"


def _free_id(session: Session) -> str:
    """Return an id that no case has: the newest of two in one second is the newer one."""
    for _ in range(_TRIES):
        case_id = _id_of_now()
        if session.get(CaseRow, case_id) is None:
            return case_id
    raise StoreError("no free id for the case; try again")


def _id_of_now() -> str:
    moment = datetime.datetime.now(datetime.UTC)
    return f"{moment:%Y%m%d-%H%M%S}-{moment.microsecond * 2**16 // 10**6:04x}"


def _pack_look(look: Look, bundle: Bundle) -> dict[str, Any]:
    from vlm_inspect.prompting import describe_messages

    request = look.request
    messages = () if request is None else request.messages
    return {
        "prompt_sha256": "" if request is None else request.prompt_sha256,
        "prompt": describe_messages(messages),
        "messages": pack_messages(messages, bundle),
        "replies": _as_they_came(look.replies),
        "opinion": None if look.opinion is None else pack_opinion(look.opinion),
        "facts": pack_facts(look),
        "enlargements": pack_enlargements(() if request is None else request.enlargements, bundle),
    }


def _as_they_came(replies: Sequence[Reply]) -> list[Reply]:
    """Return the replies as text; what was read from them is kept beside them."""
    return [replace(reply, verdict=None) for reply in replies]


def _pack_input(source: Path, sha256: str, bundle: Bundle) -> list[dict[str, str]]:
    try:
        found = source.iterdir() if source.is_dir() else [source]
        files = sorted(path for path in found if path.is_file() and not is_system_file(path))
        packed = [{"name": path.name, "file": bundle.add_input(path)} for path in files]
    except OSError as error:
        raise StoreError(f"{error.filename or source} cannot be kept: {error.strerror or error}") from error
    if sha256_of(source) != sha256:
        raise StoreError(f"{source} changed since it was inspected; inspect it again")
    return packed
