"""`ask` with every localizer, through the command line, over a tiny CLIP in the published layout."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.localization.tiny_clip import build_tiny_clip
from vlm_inspect import cli

Ask = Callable[..., tuple[int, str, str]]
RULES = "class_name: metal_plate\ndefects: [scratch, stain]\nrules:\n  - {id: clean, text: The plate is clean.}\n"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_clip(tmp_path_factory.mktemp("clip") / "tiny-clip")


@pytest.fixture
def plates(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    for name in ("normal_0", "normal_1", "normal_2", "odd"):
        picture = generator.normal(120, 4, (48, 64, 3))
        if name == "odd":
            picture[10:26, 30:50] = (250, 20, 20)
        Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).save(tmp_path / f"{name}.png")
    (tmp_path / "rules.yaml").write_text(RULES)
    return tmp_path


@pytest.fixture
def ask(plates: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ask:
    monkeypatch.chdir(plates)
    monkeypatch.setenv("VLM_INSPECT_CACHE", str(plates / "cache"))
    for name in ("VLM_INSPECT_CLIP", "VLM_INSPECT_MODEL"):
        monkeypatch.delenv(name, raising=False)

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            cli.main(["ask", "odd.png", *map(str, arguments)])
        out, err = capfd.readouterr()
        return int(str(left.value.code)), out, err

    return call


def asked(answer: tuple[int, str, str]) -> dict[str, Any]:
    code, out, err = answer
    assert code in (0, 1, 3), err
    found: dict[str, Any] = json.loads(out)
    return found


@pytest.mark.parametrize("name", ["winclip", "alfa"])
def test_without_references_the_outcome_is_review_and_the_place_is_shown(ask: Ask, clip: Path, name: str) -> None:
    options = ("--rules", "rules.yaml", "--localizer", name, "--clip", clip, "--json", "-", "--html", "part.html")
    inspection = asked(ask(*options))
    assert inspection["localizer"] == name
    assert inspection["outcome"] == "REVIEW"
    if name == "alfa":
        assert any("phrases nearest to the picture" in note for note in inspection["notes"])
    assert ('class="phrases"' in Path("part.html").read_text(encoding="utf-8")) == (name == "alfa")


@pytest.mark.parametrize("name", ["winclip", "memory+alfa"])
def test_with_references_it_is_calibrated(ask: Ask, plates: Path, clip: Path, name: str) -> None:
    options = ("--rules", "rules.yaml", "--reference", "normal_*.png", "--clip", clip, "--json", "-")
    odd = asked(ask("--localizer", name, *options))
    (plates / "normal_2.png").rename(plates / "odd.png")
    normal = asked(ask("--localizer", name, *options))
    assert odd["localizer"] == normal["localizer"] == name
    assert not any("no reference" in reason for reason in odd["review_reasons"])
    assert odd["score"] > normal["score"]  # words mean nothing to random weights; likeness to the references does
    assert name == "winclip" or odd["score"] > 0.5 > normal["score"]


@pytest.mark.parametrize("name", ["winclip", "alfa", "promptad", "memory+winclip"])
def test_without_weights_the_line_says_how_to_get_them(ask: Ask, name: str) -> None:
    code, out, err = ask("--localizer", name)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "--c" in err  # --clip FOLDER, or --checkpoint FILE
    assert ("hf download" in err) or ("vlm-inspect train" in err)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--localizer", "memory+memory"), "once"),
        (("--localizer", "none+alfa"), "none stands alone"),
        (("--localizer", "alfa+magic"), "magic"),
        (("--localizer", "alfa", "--clip", "nowhere"), "nowhere"),
        (("--localizer", "dapo", "--clip", "x"), "checkpoint"),
        (("--localizer", "promptad", "--clip", "x"), "checkpoint"),
    ],
)
def test_wrong_options_are_one_line(ask: Ask, options: tuple[str, ...], said: str) -> None:
    code, out, err = ask(*options)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1
    assert "Traceback" not in err
