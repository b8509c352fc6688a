"""START: `make_app`, a service put together from its settings."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import APIRouter, FastAPI
from filelock import FileLock, Timeout

from vlm_inspect.errors import StoreError
from vlm_inspect.service.access import is_known
from vlm_inspect.service.audit import AuditTrail
from vlm_inspect.service.deliveries import Deliveries
from vlm_inspect.service.errors import ErrorPage, add_error_answers
from vlm_inspect.service.gate import Gate
from vlm_inspect.service.judging import Judges
from vlm_inspect.service.metrics import Metrics
from vlm_inspect.service.path_free import PathFree
from vlm_inspect.service.rates import Rates
from vlm_inspect.service.routes import artifacts, health, inspections, learning, rules, sessions, talk, timeline
from vlm_inspect.service.rule_books import RuleBooks
from vlm_inspect.service.sessions import Sessions
from vlm_inspect.service.settings import ServiceSettings
from vlm_inspect.service.spool import Spool
from vlm_inspect.service.staged_references import StagedReferences
from vlm_inspect.service.station import Proposals, Shares, Station, Talks
from vlm_inspect.service.tokens import Tokens
from vlm_inspect.store import CaseStore
from vlm_inspect.store.files import make_private
from vlm_inspect.version import VERSION

_LOG = logging.getLogger("vlm_inspect.service")
_GUESSES_PER_MINUTE = 20
_ROUTERS = (health, inspections, artifacts, timeline, talk, learning, rules, sessions)


def make_app(
    settings: ServiceSettings,
    tokens: Tokens,
    *,
    further: Sequence[APIRouter] = (),
    error_page: ErrorPage | None = None,
) -> FastAPI:
    """Return the application; it judges from its start to its stop.

    Args:
        settings: what it is started with.
        tokens: who may use it.
        further: routes beside those of the API.
        error_page: draws errors for who reads pages; None: they are JSON like those of the API.

    Raises:
        InspectError: a rule book, the store or the data folder cannot be used, or another service uses it.
    """
    station, lock = _open_station(settings, tokens)

    @asynccontextmanager
    async def at_work(app: FastAPI) -> AsyncIterator[None]:
        del app
        try:
            with station.deliveries:
                station.judges.start()
                try:
                    yield
                finally:
                    station.judges.stop()
        finally:
            station.store.close()
            lock.release()

    app = FastAPI(
        title="vlm-inspect",
        version=VERSION,
        summary="Parts in, inspections out: OK, NG or REVIEW, rule by rule, with places and reasons.",
        lifespan=at_work,
        docs_url=None,  # FastAPI's own pages load scripts from elsewhere
        redoc_url=None,
    )
    app.state.station = station
    for module in _ROUTERS:
        app.include_router(module.router)
    for router in further:
        app.include_router(router)
    add_error_answers(app, station.path_free, error_page)
    app.add_middleware(Gate, hosts=settings.hosts, uploads=[inspections.router.prefix], knows=is_known)
    return app


def _open_station(settings: ServiceSettings, tokens: Tokens) -> tuple[Station, FileLock]:
    lock = _hold(settings.data)
    try:
        store = CaseStore(settings.store)
        books = RuleBooks(settings.rules, settings.config)
        staged = StagedReferences(books, settings.data / "staged")
        staged.clear()
        spool = Spool(settings.data / "parts", most_waiting=settings.limits.waiting)
    except OSError as error:
        lock.release()
        raise StoreError(f"{settings.data} cannot be used: {error.strerror or error}") from error
    except BaseException:
        lock.release()
        raise
    metrics = Metrics()
    metrics.watch_queue(lambda: spool.counts()["waiting"], lambda: spool.counts()["failed"])
    folders: list[Path] = [settings.data, books.folder, store.files.folder, Path.cwd(), Path.home()]
    path_free = PathFree([*folders, *books.reference_folders()])
    deliveries = Deliveries(
        store.outbox,
        settings.receivers,
        settings.folders,
        model=settings.config.model.name,
        path_free=path_free,
        log=_LOG,
    )
    metrics.watch_messages(deliveries.sender.left)
    station = Station(
        settings=settings,
        spool=spool,
        books=books,
        staged=staged,
        store=store,
        judges=Judges(settings, spool, books, store, metrics, deliveries, path_free),
        deliveries=deliveries,
        tokens=tokens,
        sessions=Sessions(settings.data / "session.key", tokens),
        audit=AuditTrail(settings.data / "audit.jsonl"),
        metrics=metrics,
        path_free=path_free,
        rates=Rates(settings.limits.requests_per_minute),
        guesses=Rates(_GUESSES_PER_MINUTE),
        talks=Talks(settings.limits.talks),
        followed=Shares(settings.limits.streams),
        arriving=Shares(settings.limits.uploads),
        proposals=Proposals(),
        calibrations=Proposals(),
    )
    return station, lock


def _hold(folder: Path) -> FileLock:
    """Hold the data folder for the life of the service: two would judge the same parts."""
    try:
        make_private(folder)
        lock = FileLock(folder / ".lock", timeout=0)
        lock.acquire()
    except Timeout as error:
        raise StoreError(f"{folder} is in use by another service; name another folder with --data") from error
    except OSError as error:
        raise StoreError(f"{folder} cannot be used: {error.strerror or error}") from error
    return lock
