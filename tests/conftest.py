"""Fixtures that more than one part's tests use."""

import gc
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

from tests.browsing import started_browser
from tests.store.postgres import OWNER, find_binaries, serve

if TYPE_CHECKING:
    from playwright import sync_api as playwright

if "PYTEST_XDIST_WORKER" in os.environ:  # the processors are shared out already, to as many processes
    os.environ.setdefault("OMP_NUM_THREADS", "1")


settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")  # how fast a machine draws examples says nothing of the program

gc.disable()  # until the tests are collected: a quarter of that time went into looking for garbage
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background of a shell; tests interrupt processes
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slowest files: begun last, one of them leaves every other process waiting."""
    seconds: Counter[Path] = Counter()
    for item in items:
        seconds[item.path] += sum(mark.args[0] for mark in item.iter_markers("slow"))
    items.sort(key=lambda item: -seconds[item.path])


def pytest_collection_finish() -> None:
    """Begin to collect garbage, but for modules and tests, which stay as long as the process."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real data; the test is skipped, with the reason, where it is absent."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("VLM_INSPECT_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"real data not found at {folder}; set VLM_INSPECT_DATA to its folder")
    return folder


@pytest.fixture(autouse=True)
def few_planted_defects(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plant fewer defects than otherwise, to save time; the tests of a trial ask for their own."""
    from vlm_inspect.qualification.trial import PLANTED

    for kind, count in {"image": 32, "series": 32, "point_cloud": 8, "video": 12}.items():
        monkeypatch.setitem(PLANTED, kind, count)


@pytest.fixture(autouse=True, scope="session")
def _no_lines_by_time() -> None:
    """Say nothing by time, in processes of their own neither: what is written must not depend on the machine."""
    os.environ["VLM_INSPECT_PROGRESS_S"] = "3600"


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep what tests cache and learn of servers out of the user's folder, unless one is named.

    The processes of one run share it: what one has learned of references, no other learns again.
    """
    shared = _run_folder(tmp_path_factory) / "shared-cache"
    shared.mkdir(exist_ok=True)
    os.environ.setdefault("VLM_INSPECT_CACHE", str(shared))


def _run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that the processes of one run share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the demo, written once a run, for reading alone."""
    from vlm_inspect.demo import write_demo

    run = _run_folder(tmp_path_factory)
    with FileLock(run / "demo.lock"):
        if not (run / "demo").exists():
            write_demo(run / "demo")
    return run / "demo"


@pytest.fixture(scope="session")
def postgres_socket() -> Iterator[Path]:
    """Folder of the socket of a running server."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    if os.geteuid() == 0 and not Path("/usr/sbin/runuser").exists():
        pytest.skip("PostgreSQL does not run as root, and there is no runuser")
    pytest.importorskip("pg8000", reason="the driver is not installed: pip install 'vlm-inspect[postgresql]'")
    with serve(binaries) as folder:
        yield folder


@pytest.fixture
def postgres_url(postgres_socket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of a database that is empty again; its files go to the test's folder."""
    import pg8000.native

    socket = str(postgres_socket / ".s.PGSQL.5432")
    connection = pg8000.native.Connection(OWNER, unix_sock=socket, database="postgres")
    connection.run("DROP SCHEMA public CASCADE")
    connection.run("CREATE SCHEMA public")
    connection.close()
    monkeypatch.setenv("VLM_INSPECT_STORE_FILES", str(tmp_path / "server.files"))
    return f"postgresql://{OWNER}@/postgres?unix_sock={socket}"


@pytest.fixture(params=["sqlite", "postgresql"])
def store_name(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Name of an empty store, of either kind."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    return str(tmp_path / "cases.db")


@pytest.fixture(scope="module")
def _module_browser() -> Iterator["playwright.Browser"]:
    """One browser for a file's tests; no longer, because its driver keeps an event loop running in this thread."""
    with started_browser() as browser:
        yield browser


@pytest.fixture
def browser(_module_browser: "playwright.Browser") -> Iterator["playwright.Browser"]:
    """Give a browser without a page; those that a test opens are closed."""
    yield _module_browser
    for context in _module_browser.contexts:
        context.close()
