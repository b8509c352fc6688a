"""A part out of a request, into a draft of the spool, within the limits of size and time."""

import base64
import binascii
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from converters.system_files import is_system_file
from vlm_inspect.service.bodies import bounded_receive, is_too_long, too_large
from vlm_inspect.service.settings import Limits
from vlm_inspect.service.spool import LONGEST_SERIAL

_MOST_TEXT = 8_000
_OVERHEAD = 1 << 16
"""Bytes of a form beside the part."""
WORDS = r"^[^\x00]*$"
"""No null characters, which PostgreSQL cannot keep."""
ONE_LINE = r"^[^\x00-\x1f\x7f]*$"
_UNSAFE = re.compile(r"[^\w.()+=@ -]+")


class PartAsJson(BaseModel):
    """A part sent as JSON."""

    model_config = ConfigDict(extra="forbid")

    file: str = Field(description="The bytes of the part's file, base64.", min_length=1)
    name: str = Field(default="part", description="What the file is called.", min_length=1, max_length=400)
    rules: str | None = Field(default=None, description="Name of the rule book; needed where there are several.")
    question: str | None = Field(default=None, max_length=_MOST_TEXT, pattern=WORDS)
    serial: str | None = Field(
        default=None, max_length=LONGEST_SERIAL, pattern=ONE_LINE, description="Serial number or lot of the part."
    )


@dataclass(frozen=True)
class Sent:
    """What came with a part that is in a draft now."""

    name: str
    """Of its file, made safe."""
    rules: str | None
    question: str | None
    serial: str | None


async def receive_part(request: Request, draft: Path, limits: Limits) -> Sent:
    """Write the part of a request into `draft/part`, and return what came with it.

    Raises:
        HTTPException: 400, 408, 413, 415, 422.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("multipart/form-data", "application/json"):
        raise HTTPException(415, "send the part as multipart/form-data (file), or as application/json (base64)")
    if kind == "application/json":
        return await _from_json(request, draft, limits)
    return await _from_form(request, draft, limits)


def bounded(request: Request, most: int, within_s: float) -> Request:
    """Return a request whose body ends with 413 as soon as it is longer than `most` bytes, with 408 after a time."""
    if is_too_long(request.headers.get("content-length", ""), most):
        raise too_large(most)
    return Request(request.scope, bounded_receive(request.receive, most=most, within_s=within_s))


async def _from_form(request: Request, draft: Path, limits: Limits) -> Sent:
    counted = bounded(request, limits.upload_bytes + _OVERHEAD, limits.upload_s)
    async with counted.form(max_files=1, max_fields=8, max_part_size=_MOST_TEXT * 4) as form:
        unknown = sorted(set(form) - {"file", "rules", "question", "serial"})
        if unknown:
            raise HTTPException(422, f"unknown field {unknown[0][:40]!r}; known: file, rules, question, serial")
        if len(form.multi_items()) > len(form):
            raise HTTPException(422, "each field may be given once")
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise HTTPException(422, "file is missing: send the part as a file")
        texts = {name: form.get(name) for name in ("rules", "question", "serial")}
        name = safe_name(file.filename or "")
        size = await run_in_threadpool(_copy, file.file, draft / "part" / name)
    if size == 0:
        raise HTTPException(422, "file is empty")
    return Sent(
        name,
        _text("rules", texts["rules"], 64),
        _text("question", texts["question"], _MOST_TEXT),
        _text("serial", texts["serial"], LONGEST_SERIAL),
    )


async def _from_json(request: Request, draft: Path, limits: Limits) -> Sent:
    body = await bounded(request, limits.upload_bytes * 4 // 3 + _OVERHEAD, limits.upload_s).body()
    try:
        part = PartAsJson.model_validate_json(body)
        content = base64.b64decode(part.file, validate=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(one) for one in first["loc"]) or "the body"
        raise HTTPException(422, f"{place}: {first['msg']}") from error
    except (binascii.Error, ValueError) as error:
        raise HTTPException(422, "file: this is no base64") from error
    if not content:
        raise HTTPException(422, "file is empty")
    name = safe_name(part.name)
    await run_in_threadpool((draft / "part" / name).write_bytes, content)
    return Sent(name, part.rules or None, part.question or None, part.serial or None)


def safe_name(given: str) -> str:
    """Return a file name that leads nowhere and hides nothing: the last part of the given one, its signs harmless."""
    last = given.replace("\\", "/").rpartition("/")[2].replace("\0", "")
    name = _UNSAFE.sub("_", last).strip(" .")
    stem, dot, suffix = name.rpartition(".")
    if len(name.encode()) > 100:
        name = f"{stem[:40] or name[:40]}{dot}{suffix[:20]}" if dot else name[:40]
    return f"part {name}".strip() if not name or name.startswith("~") or is_system_file(Path(name)) else name


def _copy(source: BinaryIO, target: Path) -> int:
    with target.open("wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
        return file.tell()


def _text(field: str, value: object, most: int) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise HTTPException(422, f"{field} is a text, not a file")
    if len(value) > most:
        raise HTTPException(422, f"{field} is longer than {most} characters")
    if field != "rules" and not re.fullmatch(WORDS if field == "question" else ONE_LINE, value):  # no book has them
        raise HTTPException(422, f"{field} has control characters; leave them out")
    return value
