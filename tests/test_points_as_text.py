"""A scan as text: its points evenly spread, in a prompt without pictures; the original cloud beside converted views."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from trimesh import PointCloud

from converters.registry import convert
from tests.backends.openai_server import Behaviour, OpenAIServer, Response, answer
from tests.datasets.data_folders import plain_folder
from vlm_inspect import cli
from vlm_inspect.errors import InspectError, PromptError
from vlm_inspect.evidence import Evidence
from vlm_inspect.prompting import build_request, load_template
from vlm_inspect.prompting.point_text import POINTS, point_facts, thin
from vlm_inspect.rules import RuleBook

PLATE = RuleBook(class_name="plate", unit="mm")


def plate(path: Path, seed: int, *, bump: bool = False) -> Path:
    """Write a plate of 40 x 30 mm as .ply, with a bump of 6 mm or without."""
    x, y = np.meshgrid(np.arange(0, 40, 0.5), np.arange(0, 30, 0.5))
    z = np.random.default_rng(seed).normal(0, 0.02, x.shape)
    if bump:
        z += 6.0 * np.exp(-(((x - 25) / 3) ** 2) - ((y - 12) / 3) ** 2)
    path.parent.mkdir(parents=True, exist_ok=True)
    PointCloud(np.stack([x, y, z], axis=-1).reshape(-1, 3)).export(path)
    return path


@pytest.fixture(scope="module")
def plates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("plates")
    for at in range(2):
        plate(root / "references" / f"r{at}.ply", at)
        plate(root / "normal" / f"n{at}.ply", 10 + at)
        plate(root / "anomalous" / "bump" / f"b{at}.ply", 20 + at, bump=True)
    return root


def told_heights(text: str) -> list[float]:
    """Return z of every row of the last list of points in a text."""
    _, points, rest = text.rpartition("<points>\n")
    rows = rest.partition("</points>")[0].split("\n") if points else []
    return [float(row.split()[2]) for row in rows if len(row.split()) == 3]


def texts_and_pictures(body: dict[str, Any]) -> tuple[str, int]:
    """Return what a request says, and how many pictures it holds."""
    contents = [message["content"] for message in body["messages"]]
    parts = [one for content in contents if not isinstance(content, str) for one in content]
    told = [content for content in contents if isinstance(content, str)]
    told += [str(one["text"]) for one in parts if one["type"] == "text"]
    return "\n".join(told), sum(one["type"] == "image_url" for one in parts)


def reads_coordinates() -> Behaviour:
    """A model that is sure of a bump where it is given heights, and of nothing where it is shown pictures."""

    def respond(body: dict[str, Any]) -> Response:
        heights = told_heights(texts_and_pictures(body)[0])
        high = bool(heights) and max(heights) > 3
        p = 0.5 if not heights else 0.9 if high else 0.1
        return answer({"reasoning": "By the heights.", "anomalous": high, "probability": p, "defects": []})(body)

    return respond


def test_points_are_few_evenly_spread_and_always_the_same() -> None:
    dense = np.random.default_rng(0).uniform(0, 10, (50_000, 3)) * (1, 1, 0.1)
    dense[:40_000, 0] *= 0.1  # most of the points lie on one tenth
    few = thin(dense, 200)
    assert 120 < len(few) <= 200
    assert (few[:, 0] < 1).mean() < 0.3
    assert (thin(dense, 200) == few).all()
    assert {tuple(row) for row in few} <= {tuple(row) for row in dense}
    assert len(thin(dense[:50], 200)) == 50
    assert len(thin(np.zeros((500, 3)), 200)) == 1


def test_a_scan_becomes_rows_and_a_photo_is_refused(tmp_path: Path) -> None:
    views = convert(plate(tmp_path / "p.ply", 0, bump=True))
    facts = point_facts(views)
    assert facts is not None
    assert facts["count"] == 4800
    assert 0.5 * POINTS < facts["shown"] <= POINTS
    assert facts["size"].startswith("39.5 x 29.5 x ")
    rows = np.array([[float(one) for one in row.split()] for row in facts["rows"]])
    assert rows.min() == 0
    assert rows[:, 2].max() > 4
    request = build_request(load_template("points"), views, PLATE, [views], Evidence(), "What is wrong?")
    assert "\n".join(str(message.text) for message in request.messages).count("<points>\n") == 2
    parts = [one for one in request.messages[-1].content if isinstance(one, dict)]
    assert not [one for one in parts if one["type"] == "image_url"]
    Image.new("RGB", (64, 64), (90, 90, 90)).save(tmp_path / "photo.png")
    with pytest.raises(PromptError, match="shows the points of a scan, and this part is none"):
        build_request(load_template("points"), convert(tmp_path / "photo.png"), PLATE, [], Evidence(), None)


def run(*arguments: object) -> str:
    done = CliRunner().invoke(cli.cli, [str(one) for one in arguments])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def test_the_original_cloud_beside_converted_views(plates: Path, tmp_path: Path) -> None:
    found = {}
    for name in ("prompting-points", "prompting"):
        with OpenAIServer([reads_coordinates()]) as server:
            options = ("--base-url", server.base_url, "--shots", 1, "--quiet")
            run("bench", plates, "--out", tmp_path / name, "--config", name, "--model", "openai:tiny", *options)
            seen = [texts_and_pictures(one.body) for one in server.requests]
        assert len(seen) == 4
        assert all((pictures == 0) == (name == "prompting-points") for _, pictures in seen)
        results = json.loads((tmp_path / name / "results.json").read_text())
        found[name] = next(iter(results["categories"].values()))["image_ap"]
    assert found == {"prompting-points": 1.0, "prompting": 0.5}
    compared = run("compare", tmp_path / "prompting", tmp_path / "prompting-points", "--json")
    assert "image_ap" in compared


def test_bench_over_photos_says_what_the_template_is_for(tmp_path: Path) -> None:
    data = plain_folder(tmp_path / "photos")
    with OpenAIServer([reads_coordinates()]) as server:
        arguments = ["bench", data, "--out", tmp_path / "out", "--config", "prompting-points", "--shots", 0, "--quiet"]
        arguments += ["--model", "openai:tiny", "--base-url", server.base_url]
        done = CliRunner().invoke(cli.cli, [str(one) for one in arguments])
    assert isinstance(done.exception, InspectError), done.output
    assert "template points shows the points of a scan" in str(done.exception)
