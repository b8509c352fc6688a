"""A service on loopback, with a rule book of checks alone, so that a part is judged in milliseconds."""

import contextlib
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn
from fastapi import APIRouter, FastAPI
from PIL import Image

from tests.waiting import LONGEST_S
from vlm_inspect.config import InspectorConfig
from vlm_inspect.service.app import make_app
from vlm_inspect.service.errors import ErrorPage
from vlm_inspect.service.settings import LOCAL_HOSTS, Limits, ServiceSettings
from vlm_inspect.service.tokens import Tokens

BOOK = """class_name: plate
rules:
  - {id: exposure, text: It is neither too dark nor too bright., check: {measure: brightness, min: 40, max: 140}}
defects: [scratch]
"""


def photo(level: int = 100, *, seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(level - 10, level + 10, (48, 64, 3)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def part(level: int = 100, *, seed: int = 0, name: str = "plate.png") -> dict[str, Any]:
    return {"file": (name, photo(level, seed=seed), "image/png")}


def settings_in(folder: Path, *, limits: Limits | None = None, hosts: tuple[str, ...] = LOCAL_HOSTS) -> ServiceSettings:
    rules = folder / "rules"
    rules.mkdir(exist_ok=True)
    if not list(rules.iterdir()):
        (rules / "plate.yaml").write_text(BOOK)
    config = InspectorConfig().with_changes(localizer={"name": "none"})
    return ServiceSettings(
        rules, folder / "data", config, store=str(folder / "cases.db"), hosts=hosts, limits=limits or Limits()
    )


@contextlib.contextmanager
def listening(app: FastAPI, *, http: Any = "auto") -> Iterator[str]:
    """Serve an application on a free port of loopback; gives its address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(
            uvicorn.Config(
                app, http=http, log_level="warning", timeout_graceful_shutdown=1, ws="none", server_header=False
            )
        )
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(LONGEST_S)


class Held:
    """Keeps the judges of a service from getting on, by the lock under which they make an inspector."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()

    def __call__(self, app: FastAPI) -> None:
        self.station = app.state.station
        self.station.books.inspector("plate")
        self._stack.enter_context(self.station.books._making["plate"])

    def let_go(self) -> None:
        self._stack.close()


@pytest.fixture
def held() -> Iterator[Held]:
    made = Held()
    yield made
    made.let_go()


Starter = Callable[..., httpx.Client]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    """Start a service and give a client of it; both end with the test."""
    with contextlib.ExitStack() as stack:

        def begin(
            *,
            tokens: Tokens | None = None,
            settings: ServiceSettings | None = None,
            further: Sequence[APIRouter] = (),
            error_page: ErrorPage | None = None,
            prepare: Callable[[FastAPI], None] = lambda app: None,
            headers: dict[str, str] | None = None,
        ) -> httpx.Client:
            app = make_app(
                settings or settings_in(tmp_path), tokens or Tokens(), further=further, error_page=error_page
            )
            prepare(app)
            address = stack.enter_context(listening(app))
            return stack.enter_context(httpx.Client(base_url=address, timeout=LONGEST_S, headers=headers))

        yield begin
