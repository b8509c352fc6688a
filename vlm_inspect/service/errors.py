"""Errors as answers: one JSON object with one line, never a traceback and never a path."""

import logging
from collections.abc import Callable

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from converters.errors import ConversionError
from vlm_inspect.errors import BackendError, DateError, InspectError, StoreError, UnknownCaseError
from vlm_inspect.service.path_free import PathFree
from vlm_inspect.service.rule_books import UnknownBookError
from vlm_inspect.service.spool import QueueFullError

_LOG = logging.getLogger("vlm_inspect.service")
_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (QueueFullError, 429),
    (UnknownBookError, 404),
    (UnknownCaseError, 404),
    (DateError, 422),
    (StoreError, 503),
    (BackendError, 502),
    (InspectError, 422),
    (ConversionError, 422),
)


ErrorPage = Callable[[Request, int, str], Response]
"""Draws an error, by its status and its line, for a person who reads pages."""


def add_error_answers(app: FastAPI, path_free: PathFree, error_page: ErrorPage | None = None) -> None:
    """Answer everything that can be raised: as JSON, to a browser that asked for a page as one."""

    def answer(request: Request, status: int, message: str, headers: object = None) -> Response:
        line = " ".join(message.split())
        given = {str(name): str(value) for name, value in headers.items()} if isinstance(headers, dict) else None
        if error_page is None or not _wants_page(request):
            return JSONResponse({"error": line}, status, headers=given)
        return error_page(request, status, line)

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return answer(request, error.status_code, str(error.detail), error.headers)

    async def wrong(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return answer(request, 422, f"{place}: {first['msg']}")

    async def failed(request: Request, error: Exception) -> Response:
        status = status_of(error)
        return answer(request, status, path_free.message(str(error)), {"Retry-After": "5"} if status == 429 else None)

    async def broken(request: Request, error: Exception) -> Response:
        _LOG.error("%s %r", request.method, request.url.path, exc_info=error)
        return answer(request, 500, "internal error, please report it; the service's log tells more")

    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(RequestValidationError, wrong)
    app.add_exception_handler(InspectError, failed)
    app.add_exception_handler(ConversionError, failed)
    app.add_exception_handler(Exception, broken)


def status_of(error: Exception) -> int:
    """Return the HTTP status of an error that was raised on purpose."""
    return next(status for kind, status in _STATUS if isinstance(error, kind))


def _wants_page(request: Request) -> bool:
    """Return whether a person asked for a page, and no program for a part of the API."""
    path = request.url.path
    return request.method == "GET" and not path.startswith("/v1/") and "text/html" in request.headers.get("accept", "")
