"""Whether a service is alive and ready, and its figures."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from vlm_inspect.errors import StoreError
from vlm_inspect.service.access import AtWork, Operator, caller_of

router = APIRouter(tags=["operation"])


@router.get("/healthz")
def is_alive() -> dict[str, str]:
    """Say that the service answers."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"description": "Not ready; the body says why."}})
def is_ready(request: Request, station: AtWork) -> JSONResponse:
    """Say whether parts are judged at once: the judges are at work, the store opens, the references are learned."""
    why = {}
    if not station.judges.is_alive:
        why["judges"] = "a thread that judges has ended; restart the service"
    try:
        station.store.count()
    except StoreError as error:
        why["store"] = station.path_free.message(str(error))
    cold = dict(station.judges.cold)
    if cold:
        why["rules"] = ", ".join(f"{name}: {reason}" for name, reason in cold.items())
    told = why if caller_of(request) is not None else {}  # strangers learn no names of rule books
    return JSONResponse({"status": "not ready" if why else "ready", **told}, 503 if why else 200)


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def get_metrics(station: AtWork, person: Operator) -> Response:
    """Return the figures in the text format of Prometheus."""
    del person
    content, media_type = station.metrics.render()
    return Response(content, media_type=media_type)
