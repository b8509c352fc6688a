"""Why a server did not answer, from what it said: tried again, given way to, or told with what to do."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from vlm_inspect.backends.backend import Reply
from vlm_inspect.backends.endpoint import KEY_VARIABLE, Endpoint
from vlm_inspect.backends.picture_count import refuses_pictures

if TYPE_CHECKING:
    from openai import APIStatusError

_PASSING = frozenset({408, 409, 425, 429})
ADVICE = {
    401: f"set {KEY_VARIABLE} to a key that this server accepts",
    402: "the account has no credit left",
    403: f"the key in {KEY_VARIABLE} may not use this model",
    404: "check the model's name, and that the base URL ends in /v1",
    413: "send fewer or smaller pictures: --max-pictures, --detail low",
    429: "wait, or ask for a higher limit",
}
SEES_NOTHING = (
    "this model, or its server, takes no picture: name a vision model, or give the server the part of the model that "
    "reads pictures (llama.cpp: --mmproj)"
)
CERTIFICATE = "name the certificate of the authority that the server is signed by with --ca-file FILE"
_CERTIFICATE_SIGNS = ("certificate_verify_failed", "certificate verify failed", "self-signed", "self signed")


@dataclass(frozen=True)
class Failure:
    """Why one attempt failed. It holds no exception: those carry the request, and with it the key."""

    message: str
    advice: str
    status: int | None = None
    """HTTP status; None: there was no answer, or it was none of the protocol."""
    parameter: str = ""
    """The option that the server blames."""
    passing: bool = False
    """True where a further attempt may succeed."""
    wait_s: float | None = None
    """What the server asks to wait in seconds."""
    replies: tuple[Reply, ...] = ()
    """What came all the same, where the failure was in the middle of an answer."""


def read_failure(error: "APIStatusError", endpoint: Endpoint) -> Failure:
    """Read an answer of status 3xx, 4xx or 5xx."""
    status, headers = error.status_code, error.response.headers
    body = error.body if error.body is not None else error.message
    final = headers.get("x-should-retry") == "false" or error.code == "insufficient_quota"
    failure = failure_of(body, endpoint, status)
    parameter = failure.parameter or str(error.param or "")
    if 300 <= status < 400:
        place = endpoint.clear(headers.get("location", "") or "nowhere")
        return Failure(f"it redirects to {place}", "name that address with --base-url", status=status)
    return Failure(
        failure.message,
        failure.advice,
        status=status,
        parameter=parameter,
        passing=failure.passing and not final,
        wait_s=_retry_after_s(headers),
    )


def failure_of(body: object, endpoint: Endpoint, status: int) -> Failure:
    """Read the body of an error, which servers write in many forms, under the status that it belongs to."""
    message = endpoint.clear(told_by(body))
    if refuses_pictures(message):
        return Failure(message, SEES_NOTHING, status=status)
    usual = "try again later" if status >= 500 else "the request does not fit this model"
    return Failure(
        message,
        ADVICE.get(status, usual),
        status=status,
        parameter=str(_inner(body).get("param") or ""),
        passing=status in _PASSING or status >= 500,
    )


def error_within(told: object, endpoint: Endpoint) -> Failure:
    """Read an error that came with status 200: routers pass on so what happened to a server behind them."""
    code = _inner(told).get("code")
    known = isinstance(code, int) and not isinstance(code, bool) and 400 <= code < 600
    failure = failure_of({"error": told}, endpoint, code if known and isinstance(code, int) else 500)
    return Failure(failure.message, failure.advice, None, failure.parameter, failure.passing)


def lost_connection(error: BaseException, endpoint: Endpoint) -> Failure:
    """Read why a server could not be reached; a certificate does not become right by trying again."""
    cause = error.__cause__ or error
    reason = endpoint.clear(str(cause)) or type(cause).__name__
    if any(sign in str(cause).lower() for sign in _CERTIFICATE_SIGNS):
        return Failure(reason, CERTIFICATE)
    if "redirects to" in reason:
        return Failure(reason, "name that address with --base-url")
    return Failure(reason, "is the server up at this URL?", passing=True)


def told_by(body: object) -> str:
    """Return the message of an error body, the reason inside it included.

    Servers write {"error": {"message": …}}, {"error": …}, {"detail": …}, a list of one of these, or a list of
    complaints with the place of each; routers put what the server behind them said into `metadata`.
    """
    if isinstance(body, list):
        return "; ".join(told_by(one) for one in body[:5])
    if not isinstance(body, Mapping):
        return str(body)
    inner = next((body[key] for key in ("error", "message", "detail", "msg") if body.get(key)), None)
    if inner is None:
        return str(dict(body))
    told = told_by(inner)
    if body.get("loc") and isinstance(body["loc"], (list, tuple)):
        told = f"{'.'.join(map(str, body['loc']))}: {told}"
    if isinstance(body.get("code"), str) and body["code"] not in told:
        told = f"{told} ({body['code']})"
    metadata = body.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, Mapping) else None
    return f"{told}: {told_by(raw)}" if raw else told


def _inner(body: object) -> Mapping[str, Any]:
    """Return the mapping that holds the details of an error."""
    while isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, Mapping):
        return {}
    inner = body.get("error")
    return inner if isinstance(inner, Mapping) else body


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return what `Retry-After` asks for in seconds: a number of seconds or a date (RFC 9110, section 10.2.3)."""
    asked = headers.get("retry-after", "")
    try:
        seconds = float(asked)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(asked).timestamp() - time.time()
        except (ValueError, OverflowError, OSError):
            return None
    return None if math.isnan(seconds) else max(0.0, seconds)
