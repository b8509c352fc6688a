"""`/v1/session`: a browser shows a token once, and has a cookie from then on."""

from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from vlm_inspect.service.access import AtWork, Operator, known_token
from vlm_inspect.service.sessions import COOKIE, LONGEST_S

router = APIRouter(prefix="/v1/session", tags=["sessions"])


class Login(BaseModel):
    """A token, shown once."""

    model_config = ConfigDict(extra="forbid")

    token: str = Field(min_length=1, max_length=400)


@router.post("", responses={401: {"description": "Nobody has this token."}})
def begin_session(login: Login, request: Request, station: AtWork) -> JSONResponse:
    """Begin a session; the cookie cannot be read by scripts, and goes to no other site."""
    if not station.tokens.are_asked_for:
        raise HTTPException(409, "this service needs no token")
    entry = known_token(request, login.token.strip())
    if entry is None:
        raise HTTPException(401, "nobody has this token")
    answer = JSONResponse({"name": entry.person.name, "role": entry.person.role})
    answer.set_cookie(
        COOKIE,
        station.sessions.begin(entry),
        max_age=LONGEST_S,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


@router.get("")
def get_session(request: Request, station: AtWork, person: Operator) -> dict[str, Any]:
    """Return who asks, and what a page sends back in X-CSRF-Token with every change."""
    cookie = request.cookies.get(COOKIE)
    return {
        "name": person.name,
        "role": person.role,
        "proof": station.sessions.proof(cookie) if cookie is not None else None,
    }


@router.delete("", status_code=204)
def end_session(person: Operator) -> Response:
    """End the session of this browser."""
    del person
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer
