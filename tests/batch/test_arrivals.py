"""Parts that arrive in a folder: each once, when it is complete, by content."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from converters.digest import sha256_of
from tests.waiting import LONGEST_S
from vlm_inspect.batch.arrivals import FolderArrivals
from vlm_inspect.errors import InspectError


@pytest.fixture
def stop() -> Iterator[threading.Event]:
    event = threading.Event()
    timer = threading.Timer(LONGEST_S, event.set)  # no test waits for ever
    timer.start()
    yield event
    timer.cancel()


def take(arrivals: Iterator[Path | None], count: int) -> list[str]:
    found: list[str] = []
    for path in arrivals:
        if path is not None:
            found.append(path.name)
            if len(found) == count:
                break
    return found


def quiet_for(arrivals: Iterator[Path | None], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    return all(path is None or time.monotonic() > deadline for path in _until(arrivals, deadline))


def _until(arrivals: Iterator[Path | None], deadline: float) -> Iterator[Path | None]:
    for path in arrivals:
        yield path
        if time.monotonic() > deadline:
            return


def test_what_is_there_and_what_comes(tmp_path: Path, stop: threading.Event) -> None:
    (tmp_path / "first.png").write_bytes(b"1")
    (tmp_path / "copy.png").write_bytes(b"1")
    (tmp_path / "known.png").write_bytes(b"known")
    (tmp_path / ".hidden.png").write_bytes(b"2")
    (tmp_path / "apart").mkdir()
    (tmp_path / "apart" / "x.png").write_bytes(b"3")
    known = sha256_of(tmp_path / "known.png")
    watched = FolderArrivals(tmp_path, stop, lambda digest: digest == known, [tmp_path / "apart"], settle_s=0.1)
    arrivals = iter(watched)
    assert take(arrivals, 1) == ["copy.png"]  # of two files with one content, one
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "second.png").write_bytes(b"second")
    (tmp_path / "third.png.part").write_bytes(b"half of the th")
    assert take(arrivals, 1) == ["second.png"]
    (tmp_path / "third.png.part").rename(tmp_path / "third.png")
    assert take(arrivals, 1) == ["third.png"]
    (tmp_path / "third.png").write_bytes(b"another part of the same name")
    assert take(arrivals, 1) == ["third.png"]
    assert quiet_for(arrivals, 0.6)
    stop.set()
    assert [path for path in arrivals if path is not None] == []


def test_a_half_written_file_is_waited_for(tmp_path: Path, stop: threading.Event) -> None:
    arrivals = iter(FolderArrivals(tmp_path, stop, settle_s=2.0))
    next(arrivals)
    began = time.monotonic()

    def write_slowly() -> None:
        with (tmp_path / "slow.png").open("wb") as file:
            for _ in range(8):
                file.write(b"x" * 100)
                file.flush()
                time.sleep(0.1)

    writer = threading.Thread(target=write_slowly)
    writer.start()
    assert take(arrivals, 1) == ["slow.png"]
    assert time.monotonic() - began >= 0.8
    writer.join()
    assert (tmp_path / "slow.png").stat().st_size == 800


def test_an_empty_file_waits_longer_and_one_that_goes_is_none(tmp_path: Path, stop: threading.Event) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "gone.png").write_bytes(b"x")
    arrivals = iter(FolderArrivals(tmp_path, stop, settle_s=0.1))
    next(arrivals)
    (tmp_path / "gone.png").unlink()
    began = time.monotonic()
    assert take(arrivals, 1) == ["empty.png"]
    assert time.monotonic() - began >= 0.8


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path, stop: threading.Event) -> None:
    with pytest.raises(InspectError, match="cannot be watched"):
        next(iter(FolderArrivals(tmp_path / "none", stop)))


def test_a_part_that_failed_comes_again_after_a_while_or_when_written_anew(
    tmp_path: Path, stop: threading.Event
) -> None:
    part, failed = tmp_path / "a.png", True
    part.write_bytes(b"a part")
    arrivals = FolderArrivals(tmp_path, stop, settle_s=0.05, has_failed=lambda digest: failed, again_s=0.3)
    given: list[float] = []
    for path in arrivals:
        if path is not None:
            given.append(time.monotonic())
        if len(given) == 3:  # at once, after 0.3 s, after 0.6 s more
            break
    assert given[1] - given[0] >= 0.3
    assert given[2] - given[1] >= 0.6
    arrivals.again_s = 1000.0
    os.utime(part, (1.0, 1.0))  # written anew, with the same content
    assert take(iter(arrivals), 1) == ["a.png"]
    failed = False
    os.utime(part, (2.0, 2.0))
    arrivals.again_s = 0.0
    threading.Timer(1.0, stop.set).start()
    assert [path for path in arrivals if path is not None] == []
