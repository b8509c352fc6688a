"""START: the addresses of the page."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from importlib import resources
from itertools import count
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from vlm_inspect.errors import UnknownCaseError
from vlm_inspect.page.case_view import defects_of, panels_of, rules_of, turn_marks_of
from vlm_inspect.page.failures import failed_parts
from vlm_inspect.page.rendering import render
from vlm_inspect.page.review import Disputed, disputed_cases, next_after, waiting_for
from vlm_inspect.page.trust_view import classes_of, trust_values
from vlm_inspect.page.wording import COOKIE, Wording, languages, wording_for
from vlm_inspect.service.access import AtWork, Viewer, caller_of
from vlm_inspect.service.routes.timeline import get_timeline
from vlm_inspect.service.sessions import COOKIE as SESSION_COOKIE
from vlm_inspect.service.station import Station
from vlm_inspect.service.timeline import is_over_time
from vlm_inspect.service.tokens import Person
from vlm_inspect.store import Case, Filters, Judgement
from vlm_inspect.store.export import csv_lines

router = APIRouter(include_in_schema=False)
_TYPES = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml", "txt": "text/plain"}
_PER_PAGE = 24
_EXPORTED_AT_ONCE = 500
_LONGEST = 2000
"""Characters of a sentence that is said again."""


class CaseFilters(BaseModel):
    """Which cases the gallery shows; empty fields of its form do not count."""

    model_config = ConfigDict(populate_by_name=True)

    outcome: str = Field(default="", pattern="^(OK|NG|REVIEW)?$")
    class_name: str = Field(default="", alias="class", max_length=200)
    since: str = Field(default="", max_length=40)
    until: str = Field(default="", max_length=40)
    serial: str = Field(default="", max_length=200)
    judgement: str = Field(default="", pattern="^(OK|NG|none|any)?$")
    text: str = Field(default="", max_length=200)
    page: int = Field(default=1, ge=1, le=1_000_000)

    def filters(self) -> Filters:
        """Return the filters of the store."""
        values: dict[str, Any] = {name: value or None for name, value in self.model_dump(exclude={"page"}).items()}
        judged = values.pop("judgement")
        return Filters(**values, judged=judged, limit=_PER_PAGE, offset=(self.page - 1) * _PER_PAGE)

    def query(self, page: int) -> str:
        """Return the query of another page of the same."""
        told = {name: value for name, value in self.model_dump(by_alias=True, exclude={"page"}).items() if value}
        return "&".join(f"{quote(name)}={quote(str(value))}" for name, value in {**told, "page": page}.items())


@router.get("/static/{path:path}")
def get_static(path: str) -> Response:
    """Return a script or a style."""
    folder = resources.files("vlm_inspect.page") / "static"
    parts = path.split("/")
    kind = _TYPES.get(path.rpartition(".")[2])
    file = folder.joinpath(*parts)
    if kind is None or not all(part and part[0] != "." and "\\" not in part for part in parts) or not file.is_file():
        raise HTTPException(404, "there is no such file")
    return Response(file.read_bytes(), media_type=kind, headers={"Cache-Control": "no-cache"})


@router.get("/")
def inspect_page(request: Request, station: AtWork) -> Response:
    """Show where parts are dropped."""
    lines = station.store.list(Filters(limit=6))
    counts = station.spool.counts()
    failed = failed_parts(station)
    values = {"lines": lines, "queue": counts, "failed": failed, "failed_count": counts["failed"]}
    return _page(request, "inspect.html.j2", here="inspect", **values)


@router.get("/login")
def login_page(request: Request, station: AtWork, to: Annotated[str, Query(max_length=400)] = "/") -> Response:
    """Ask for a token."""
    local = to if to.startswith("/") and not to.startswith(("//", "/\\")) else "/"
    return HTMLResponse(render("login.html.j2", station.path_free.text, **_common(request, None, here=""), to=local))


@router.get("/language/{code}")
def choose_language(code: str, to: Annotated[str, Query(max_length=400)] = "/") -> Response:
    """Choose the language of the page."""
    if code not in languages():
        raise HTTPException(404, "there is no such language")
    local = to if to.startswith("/") and not to.startswith(("//", "/\\")) else "/"
    answer = RedirectResponse(local, 303)
    answer.set_cookie(COOKIE, code, max_age=365 * 86_400, samesite="lax", httponly=True)
    return answer


@router.get("/said")
def say_again(request: Request, text: Annotated[str, Query(max_length=_LONGEST)]) -> Response:
    """Say again in the language of the page what the service said: its API speaks English."""
    return JSONResponse({"said": _wording(request).said(text)})


@router.get("/cases")
def cases_page(request: Request, station: AtWork, wanted: Annotated[CaseFilters, Query()]) -> Response:
    """Show the gallery."""
    filters = wanted.filters()
    total = station.store.count(filters)
    values = {
        "lines": station.store.list(filters),
        "total": total,
        "pages": max(1, -(-total // _PER_PAGE)),
        "wanted": wanted,
        "classes": classes_of(station),
    }
    return _page(request, "cases.html.j2", here="cases", **values)


@router.get("/cases.csv")
def export_cases(request: Request, station: AtWork, wanted: Annotated[CaseFilters, Query()]) -> Response:
    """Return the cases of the gallery, every page of it, as CSV."""
    if caller_of(request) is None:
        raise HTTPException(401, "sign in first")
    lines = (station.path_free.text(line) for line in csv_lines(_every_case(station, wanted.filters())))
    name = {"Content-Disposition": 'attachment; filename="cases.csv"'}
    return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=name)


def _every_case(station: Station, filters: Filters) -> Iterator[tuple[Case, tuple[Judgement, ...]]]:
    """Yield the cases of every page, one at a time; those that come in meanwhile push others on, which come once."""
    seen: set[str] = set()
    for offset in count(0, _EXPORTED_AT_ONCE):
        lines = station.store.list(replace(filters, limit=_EXPORTED_AT_ONCE, offset=offset))
        for line in lines:
            if line.id in seen:
                continue
            seen.add(line.id)
            with suppress(UnknownCaseError):  # deleted at this moment
                yield station.store.load(line.id), station.store.judgements(line.id)
        if len(lines) < _EXPORTED_AT_ONCE:
            return


@router.get("/cases/{case_id}")
def case_page(case_id: str, request: Request, station: AtWork) -> Response:
    """Show a case: the part, what was found, and the talk over it; of a part that is none yet, how far it is."""
    if station.spool.state(case_id) is not None:
        job = station.spool.job(case_id)
        name = case_id if job is None else job.name
        return _page(request, "waiting.html.j2", here="inspect", part=case_id, part_name=name)
    return _page(request, "case.html.j2", here="cases", case_id=case_id)


@router.get("/cases/{case_id}/timeline")
def case_timeline(case_id: str, request: Request, station: AtWork, person: Viewer) -> JSONResponse:
    """Return the timeline of a curve or a clip, with what the program says of it in the language of the page."""
    t, told = _wording(request), get_timeline(case_id, station, person)
    return JSONResponse({**told, "stretches": [{**one, "text": t.said(one["text"])} for one in told["stretches"]]})


@router.get("/compare")
def compare_page(
    request: Request, a: Annotated[str, Query(max_length=40)], b: Annotated[str, Query(max_length=40)]
) -> Response:
    """Show two cases side by side."""
    return _page(request, "compare.html.j2", here="cases", case_ids=(a, b))


@router.get("/review")
def review_page(
    request: Request,
    station: AtWork,
    blind: bool = False,
    passed: Annotated[str, Query(max_length=4000, pattern="^[0-9a-f,-]*$")] = "",
) -> Response:
    """Show the next part that waits for a person; blind: without what was judged of it."""
    person = caller_of(request)
    waiting = [] if person is None else waiting_for(station.store, person.name)
    line = next_after(waiting, passed.split(","))
    values = {
        "blind": blind,
        "waiting": len(waiting),
        "passed": passed,
        "line": line,
        "disputed": [] if person is None else _disputed(station, person),
    }
    return _page(request, "review.html.j2", here="review", case_id=None if line is None else line.id, **values)


@router.get("/trust")
def trust_page(
    request: Request, station: AtWork, class_name: Annotated[str, Query(alias="class", max_length=200)] = ""
) -> Response:
    """Show how far to trust it, class by class."""
    t = _wording(request)
    values = {} if caller_of(request) is None else trust_values(station, class_name, t)
    return _page(request, "trust.html.j2", here="trust", **values)


def error_page(request: Request, status: int, message: str) -> Response:
    """Draw an error: what is wrong, and the ways on."""
    station: Station = request.app.state.station
    try:
        person = caller_of(request)
    except HTTPException:  # too many wrong tokens: that is the error
        person = None
    values = {**_common(request, person, here=""), "status": status, "message": message}
    return HTMLResponse(render("error.html.j2", station.path_free.text, **values), status)


def _page(request: Request, template: str, *, here: str, **values: Any) -> Response:
    """Return a page for who asks; without anybody, the way to the login."""
    person = caller_of(request)
    if person is None:
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"/login?to={quote(request.url.path + query, safe='')}", 303)
    common = _common(request, person, here=here)
    station: Station = request.app.state.station
    if values.get("case_id"):
        values.update(_case_values(station, values["case_id"]))
    if "case_ids" in values:
        values["cases"] = [_case_values(station, one) for one in values.pop("case_ids")]
    return HTMLResponse(render(template, station.path_free.text, **common, **values))


def _disputed(station: Station, person: Person) -> list[Disputed]:
    return disputed_cases(station.store, None if person.may("engineer") else person.name)


def _common(request: Request, person: Person | None, *, here: str) -> dict[str, Any]:
    station: Station = request.app.state.station
    cookie = request.cookies.get(SESSION_COOKIE)
    return {
        "t": _wording(request),
        "languages": [(code, _own_name(known)) for code, known in languages().items()],
        "person": person,
        "proof": station.sessions.proof(cookie) if cookie is not None and station.tokens.are_asked_for else "",
        "needs_token": station.tokens.are_asked_for,
        "books": [] if person is None else station.books.names(),
        "here": here,
        "address": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
    }


def _case_values(station: Station, case_id: str) -> dict[str, Any]:
    case = station.store.load(case_id)
    name = case.settings.get("rule_book")
    return {
        "case": case,
        "told": case.inspection,
        "panels": panels_of(case),
        "rules": rules_of(case, case.rules),
        "defects": defects_of(case),
        "turn_marks": turn_marks_of(case),
        "turns": station.store.turns(case.id),
        "judgements": station.store.judgements(case.id),
        "can_correct": name in station.books.names(),
        "over_time": is_over_time(case),
        "has_scan": station.judges.scan_path(case.id).is_file(),
    }


def _wording(request: Request) -> Wording:
    return wording_for(request.cookies.get(COOKIE), request.headers.get("accept-language", ""))


def _own_name(wording: Wording) -> str:
    return wording("language")
