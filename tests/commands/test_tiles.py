"""`--tiles off`: a large picture is judged whole, on the command line, in a configuration and in a benchmark."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vlm_inspect.cli import main
from vlm_inspect.config import InspectorConfig, load_config


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four photographs of 1300 x 1200 pixels, in the layout of a benchmark too."""
    folder = tmp_path_factory.mktemp("photos")
    for place in ("train/good/0", "train/good/11", "test/good/2", "test/spot/333"):
        pixels = np.full((1200, 1300, 3), 150, np.uint8)
        pixels[0, 0] = len(place)  # no two of them are the same file
        if "spot" in place:
            pixels[500:560, 600:680] = 20
        path = folder / "plate" / f"{place}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return folder


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(one) for one in arguments])
        return int(ended.value.code or 0), capsys.readouterr().out

    return call


def views_of(run: Run, photo: Path, *options: object) -> list[str]:
    """Return the labels of what was shown of a photograph."""
    _, told = run("ask", photo, "--localizer", "none", "--json", "-", "--quiet", *options)
    return [view["label"] for view in json.loads(told)["views"]]


def test_a_large_picture_is_judged_whole_or_in_tiles_too(run: Run, photos: Path, tmp_path: Path) -> None:
    photo = photos / "plate" / "test" / "spot" / "333.png"
    assert len(views_of(run, photo)) == len(views_of(run, photo, "--tiles", "auto")) == 5
    (whole,) = views_of(run, photo, "--tiles", "off")
    assert "1300 x 1200 px" in whole
    settings = tmp_path / "settings.yaml"
    settings.write_text("views: {max_tiles: 0}\n")
    assert views_of(run, photo, "--config", settings) == [whole]
    assert len(views_of(run, photo, "--config", settings, "--tiles", "auto")) == 5, "what is typed counts more"
    assert load_config(settings) == InspectorConfig().with_changes(views={"max_tiles": 0})


def test_a_benchmark_judges_whole_pictures(run: Run, photos: Path, tmp_path: Path) -> None:
    arguments = ["bench", photos, "--out", tmp_path / "out", "--shots", "2", "--localizer", "none", "--quiet"]
    assert run(*arguments, "--tiles", "off")[0] == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["settings"]["inspector"]["views"]["max_tiles"] == 0
    assert results["coverage"] == 1.0
    assert run(*arguments, "--resume", "--tiles", "auto")[0] == 2, "a run goes on as it began"
