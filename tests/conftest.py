"""Fixtures that more than one part's tests use."""

import os
from pathlib import Path

import pytest


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
    """Plant a third of the defects that are planted otherwise, to save time; the tests of a trial ask for their own."""
    from vlm_inspect.qualification.trial import PLANTED

    for kind, count in {"image": 32, "series": 32, "point_cloud": 8, "video": 8}.items():
        monkeypatch.setitem(PLANTED, kind, count)


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep what tests cache and learn of servers out of the user's folder, unless one is named."""
    os.environ.setdefault("VLM_INSPECT_CACHE", str(tmp_path_factory.mktemp("cache")))
