"""Every configuration of docs/reproduce.md from end to end, over tiny random weights and a tiny data set."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from tests.backends.openai_server import OpenAIServer, answer
from tests.datasets.data_folders import mvtec
from tests.localization.tiny_clip import build_tiny_clip
from vlm_inspect import cli
from vlm_inspect.config import config_folder, load_config
from vlm_inspect.datasets.defect_words import word_of_folder
from vlm_inspect.errors import InspectError
from vlm_inspect.localization.prompt_bank.written_bank import WrittenBank

ROOT = Path(__file__).parents[2]
CONFIGS = sorted(path.stem for path in config_folder().glob("*.yaml"))
MVTEC = "bottle cable capsule carpet grid hazelnut leather metal_nut pill screw tile toothbrush transistor wood zipper"
VISA = "candle capsules cashew chewinggum fryum macaroni1 macaroni2 pcb1 pcb2 pcb3 pcb4 pipe_fryum"
QUICK = {"--epochs": 1, "--batch-size": 4, "--side": 32, "--device": "cpu", "--quiet": None}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_clip(tmp_path_factory.mktemp("clip") / "tiny", layers=4)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mvtec(tmp_path_factory.mktemp("data"), classes=("bottle",))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mvtec(tmp_path_factory.mktemp("other"), classes=("screw",))


def run(*arguments: object) -> Result:
    done = CliRunner().invoke(cli.cli, [str(one) for one in arguments])
    assert done.exit_code == 0, (done.output, done.exception)
    return done


def fails(*arguments: object) -> str:
    done = CliRunner().invoke(cli.cli, [str(one) for one in arguments])
    assert isinstance(done.exception, InspectError), (done.output, done.exception)
    return str(done.exception)


def bench(data: Path, out: Path, *arguments: object) -> dict[str, Any]:
    run("bench", data, "--out", out, *arguments, "--quiet")
    found: dict[str, Any] = json.loads((out / "results.json").read_text())
    return next(iter(found["categories"].values()))


def figure_size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def train(method: str, name: str, data: Path, clip: Path, out: Path) -> Path:
    options = [part for key, value in QUICK.items() for part in ((key,) if value is None else (key, value))]
    if method == "promptad":
        options = [one for one in options if one not in ("--side", 32)]
    run("train", method, "--data", data, "--clip", clip, "--config", name, "--out", out, *options)
    return out


def test_the_page_names_every_configuration_and_no_other() -> None:
    text = (ROOT / "docs" / "reproduce.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\b(?:winclip|alfa|dapo|promptad|prompting)(?:-[a-z]+)?(?:-\d)*\b", text))
    for name in CONFIGS:
        stem, _, last = name.rpartition("-")
        assert name in named or (last.isdigit() and stem in {one.rpartition("-")[0] for one in named}), name
    for name in re.findall(r"--config ([a-z0-9-]+)", text):
        assert name in CONFIGS


@pytest.mark.parametrize("name", CONFIGS)
def test_every_configuration_loads_by_its_name(name: str) -> None:
    config = load_config(Path(name))
    assert config == load_config(config_folder() / f"{name}.yaml")
    assert config.views.max_tiles == 0


def test_a_name_that_ships_not_is_one_line(tmp_path: Path) -> None:
    assert "wincl1p.yaml: no such file" in fails("ask", tmp_path / "a.png", "--config", "wincl1p")


@pytest.mark.parametrize("name", [one for one in CONFIGS if one.startswith(("winclip", "alfa"))])
def test_words_without_training(name: str, data: Path, clip: Path, tmp_path: Path) -> None:
    options = ("--config", name, "--clip", clip, "--shots", 0, "--limit", 4, "--localizer-batch", 4)
    found = bench(data, tmp_path / "out", *options, *(["--figures"] if name in ("winclip", "alfa") else []))
    if name in ("winclip", "alfa"):
        heights = {
            path.parent.name: figure_size(path)[1]
            for path in (tmp_path / "out").rglob("visualization_results/*/*/*.png")
        }
        assert len(heights) >= 2, "normal and anomalous"
        bare = 100  # pixels: a row of small pictures without bars; how many bars there are is up to the weights
        assert min(heights.values()) > bare if name == "alfa" else max(heights.values()) < bare, "bars of phrases"
    for metric in ("heatmap_auroc", "heatmap_ap", "heatmap_f1_max", "pixel_auroc", "pixel_accuracy", "aupro"):
        assert 0 <= found[metric] <= 1


@pytest.mark.parametrize("name", [one for one in CONFIGS if one.startswith("dapo")])
def test_dapo_trains_on_one_set_and_is_tested_on_another(
    name: str, data: Path, other: Path, clip: Path, tmp_path: Path
) -> None:
    weights = train("dapo", name, data, clip, tmp_path / "dapo.safetensors")
    options = ("--config", name, "--clip", clip, "--checkpoint", weights, "--shots", 0)
    found = bench(other, tmp_path / "out", *options)
    assert found["pixel_type_auroc"] is not None, "its words are told apart pixel by pixel"
    assert found["pixel_f1_threshold"] > 0
    assert "used to train" in fails("bench", data, "--out", tmp_path / "same", *options, "--quiet")


def test_promptad_of_a_class_in_light_and_shade(data: Path, clip: Path, tmp_path: Path) -> None:
    weights = train("promptad", "promptad", data / "bottle", clip, tmp_path / "bottle.safetensors")
    options = ("--config", "promptad", "--clip", clip, "--checkpoint", weights, "--shots", 0, "--keep-maps")
    whole = bench(data, tmp_path / "out", *options, "--figures")
    run("shift", data, tmp_path / "darker", "--by", "darker", "--quiet")
    darker = bench(tmp_path / "darker", tmp_path / "out2", *options)
    assert whole["n"] == darker["n"]
    assert list((tmp_path / "out" / "maps").glob("*.npz"))
    figures = sorted((tmp_path / "out" / "visualization_results").rglob("*.png"))
    assert len(figures) == whole["n"]
    assert {path.parents[1].name for path in figures} == {"bottle"}
    assert "good" in {path.parent.name for path in figures}
    widths = {figure_size(path)[0] for path in figures}
    assert min(widths) > 2 * figure_size(figures[0])[1], "picture, mask and heat side by side"


def test_the_ladder_of_prompts(data: Path, tmp_path: Path) -> None:
    said = {"reasoning": "A hole.", "anomalous": True, "probability": 0.7, "defects": []}
    with OpenAIServer([answer(said)]) as server:
        model = ("--model", "openai:tiny", "--base-url", server.base_url, "--limit", 2)
        assert bench(data, tmp_path / "one", "--config", "prompting", *model, "--shots", 1)["image_ap"] is not None
        run("ablate", data, "--out", tmp_path / "ladder", *model, "--shots", 1, "--quiet")
    assert (tmp_path / "ladder" / "ablation.json").is_file()


@pytest.mark.parametrize("shots", [0, 1])
def test_without_bounds_the_map_ranks_what_the_score_does_not(shots: int, tmp_path: Path) -> None:
    """Where the localizer sees the spot, and where there is nothing to be seen: the metrics of the map differ."""
    found = {}
    for name, shown in (("seen", True), ("unseen", False)):
        root = tmp_path / name / "plate"
        for split, count in (("train/good", 3), ("test/good", 3), ("test/spot", 3)):
            for at in range(count):
                picture = np.random.default_rng([at, len(split)]).normal(120, 2, (96, 96, 3))
                if shown and "spot" in split:
                    picture[20:44, 30:54] = (250, 20, 120)
                path = root / split / f"{at}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).save(path)
        options = ("--shots", shots, "--localizer", "memory" if shots else "dapo")
        found[name] = bench(tmp_path / name, tmp_path / f"{name}-out", *options)
    assert found["seen"]["heatmap_auroc"] == 1
    for metric in ("heatmap_auroc", "heatmap_ap", "heatmap_f1_max"):
        assert found["seen"][metric] > found["unseen"][metric]


def test_alfas_bank_describes_every_class_of_both_collections() -> None:
    for name in f"{MVTEC} {VISA}".split():
        described = WrittenBank().describe(name)
        assert not described.notes, name
        assert len(described.prompts.normal) >= 16
        assert len(described.prompts.abnormal) >= 20


@pytest.mark.parametrize(
    ("class_name", "folder", "word"),
    [("metal_plate", "total_rust", "rust"), ("tubes", "anomalous", "flattening"), ("Gorilla", "Burrs", "burrs"),
     ("audiojack", "BX", "deformed"), ("zipper", "YW", "contamination"), ("zipper", "rough", "rough")],
)  # fmt: skip
def test_words_of_further_collections(class_name: str, folder: str, word: str) -> None:
    assert word_of_folder(class_name, folder) == word
