"""Who asks, and whether they may: what the routes of a service depend on."""

import math
from typing import Annotated

from fastapi import Depends, HTTPException, Request

from vlm_inspect.service.sessions import COOKIE
from vlm_inspect.service.station import Station
from vlm_inspect.service.tokens import Entry, Person, Role

LOCAL = Person("local", "engineer")
"""Who asks a service that needs no token: nobody but this machine reaches it."""
PROOF_HEADER = "X-CSRF-Token"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def station_of(request: Request) -> Station:
    """Return the station of the application."""
    station: Station = request.app.state.station
    return station


async def at_work(request: Request) -> Station:
    """Return the same, without the way through a thread that FastAPI takes for plain functions: a refusal is quick."""
    return station_of(request)


def caller_of(request: Request) -> Person | None:
    """Return who asks, by token or by session; None: nobody that is known."""
    station = station_of(request)
    if not station.tokens.are_asked_for:
        return LOCAL
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        entry = known_token(request, token.strip())
        return None if entry is None else entry.person
    cookie = request.cookies.get(COOKIE)
    entry = None if cookie is None else station.sessions.who(cookie)
    if cookie is None or entry is None:
        return None
    if request.method not in _SAFE and not station.sessions.is_proof(cookie, request.headers.get(PROOF_HEADER, "")):
        raise HTTPException(403, f"{PROOF_HEADER} is missing or wrong; load the page again")
    return entry.person


def is_known(request: Request) -> bool:
    """Return whether a request shows a token, or the cookie of a session, of somebody; a guess is not counted."""
    station = station_of(request)
    if not station.tokens.are_asked_for:
        return True
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return station.tokens.who(token.strip()) is not None
    cookie = request.cookies.get(COOKIE)
    return cookie is not None and station.sessions.who(cookie) is not None


def known_token(request: Request, token: str) -> Entry | None:
    """Return whose token this is; an address that shows many wrong ones waits.

    Raises:
        HTTPException: 429.
    """
    station = station_of(request)
    entry = station.tokens.who(token)
    if entry is None:
        wait_s = station.guesses.wait_s(request.client.host if request.client else "")
        if wait_s > 0:
            raise too_many("too many wrong tokens", wait_s)
    return entry


async def operator(request: Request) -> Person:
    """Return who asks; anybody who has a token, within the rate.

    Raises:
        HTTPException: 401, 403, 429.
    """
    return _person(request, "operator")


async def viewer(request: Request) -> Person:
    """Return who asks for a picture, of which a page has many: ten count as one request."""
    return _person(request, "operator", cost=0.1)


async def engineer(request: Request) -> Person:
    """Return who asks; an engineer, within the rate."""
    return _person(request, "engineer")


def too_many(why: str, wait_s: float) -> HTTPException:
    """Return the refusal of a request that may be made again later."""
    return HTTPException(429, why, headers={"Retry-After": str(max(1, math.ceil(wait_s)))})


def _person(request: Request, role: Role, cost: float = 1.0) -> Person:
    person = caller_of(request)
    station = station_of(request)
    if person is None:
        station.metrics.refused.labels(why="token").inc()
        raise HTTPException(
            401, "a token is needed: Authorization: Bearer TOKEN", headers={"WWW-Authenticate": "Bearer"}
        )
    wait_s = station.rates.wait_s(person.name, cost)
    if wait_s > 0:
        station.metrics.refused.labels(why="rate").inc()
        raise too_many(f"more than {station.settings.limits.requests_per_minute} requests a minute", wait_s)
    if not person.may(role):
        station.metrics.refused.labels(why="role").inc()
        raise HTTPException(403, f"this takes the role {role}; {person.name} is {person.role}")
    return person


AtWork = Annotated[Station, Depends(at_work)]
Operator = Annotated[Person, Depends(operator)]
Viewer = Annotated[Person, Depends(viewer)]
Engineer = Annotated[Person, Depends(engineer)]
