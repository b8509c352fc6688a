"""From the row of a case to the `Case`."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from vlm_inspect.backends import is_offline
from vlm_inspect.errors import ParseError, StoreError
from vlm_inspect.inspection import Inspection
from vlm_inspect.rules import restore_rules
from vlm_inspect.store.case import Case, KeptLook
from vlm_inspect.store.files import FileFolder
from vlm_inspect.store.records import MESSAGES, REPLIES, CaseRecord, OpinionEntry, unpack_opinion
from vlm_inspect.store.tables import CaseRow, check_types
from vlm_inspect.verdict import Verdict


def read_case(row: CaseRow, files: FileFolder) -> Case:
    """Return the case of a row.

    Raises:
        StoreError: the row cannot be read by this version of the program.
    """
    try:
        check_types(row)
        record = CaseRecord.model_validate_json(row.record)
        return Case(
            id=row.id,
            created_at=row.created_at,
            source=Path(row.source),
            inspection=_inspection(row),
            rules=restore_rules(
                row.rules_json, text=row.rules_text, sha256=row.rules_sha256, folder=Path(record.rules_folder)
            ),
            question=row.question,
            serial=row.serial,
            looks=tuple(_looks(row, record, files)),
            thresholds=record.thresholds,
            template=record.template,
            limits=record.limits,
            settings=record.settings,
            answer_schema=json.loads(row.answer_schema),
            _record=record,
            _files=files,
        )
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "top level"
        raise StoreError(f"case {row.id} cannot be read: {place}: {first['msg']}; the store is damaged") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise StoreError(f"case {row.id} cannot be read: {error}; the store is damaged") from error


def _inspection(row: CaseRow) -> Inspection:
    """Return the inspection; records of before 0.4 have the path of the part in a column alone."""
    inspection = Inspection.model_validate_json(row.inspection)
    return inspection if inspection.source else inspection.model_copy(update={"source": row.source})


def _looks(row: CaseRow, record: CaseRecord, files: FileFolder) -> Iterator[KeptLook]:
    for look in record.earlier_looks:
        yield KeptLook(
            prompt_sha256=look.prompt_sha256,
            prompt=look.prompt,
            replies=look.replies,
            opinion=None if look.opinion is None else _opinion(row, look.opinion),
            facts=look.facts,
            _messages=look.messages,
            _enlargements=look.enlargements,
            _files=files,
        )
    yield KeptLook(
        prompt_sha256=row.prompt_sha256,
        prompt=row.prompt,
        replies=REPLIES.validate_json(row.replies),
        opinion=_opinion(row, record.opinion),
        facts=record.facts,
        _messages=MESSAGES.validate_json(row.messages),
        _enlargements=record.enlargements,
        _files=files,
    )


def _opinion(row: CaseRow, entry: OpinionEntry) -> Verdict | ParseError:
    """Return the opinion of a look; records of before 0.4 do not say who judged, but for the model's name."""
    opinion = unpack_opinion(entry)
    return replace(opinion, source="evidence") if isinstance(opinion, Verdict) and is_offline(row.model) else opinion
