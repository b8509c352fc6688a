import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.localization.tiny_clip import tiny_encoder
from vlm_inspect.array_cache import ENVIRONMENT
from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.checkpoint import Header, encoder_facts, save_weights
from vlm_inspect.localization.dapo.loading import load_dapo
from vlm_inspect.localization.dapo.predictor import identity_of
from vlm_inspect.localization.dapo.settings import DapoChoices
from vlm_inspect.localization.dapo.towers import DapoTowers, towers_of
from vlm_inspect.localization.dual_encoder.encoder import DualEncoder
from vlm_inspect.localization.subject import Subject
from vlm_inspect.training.methods.dapo import DapoMethod


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, "off")


def save(method: DapoMethod, path: Path, encoder: DualEncoder | None, /, **changes: Any) -> Path:
    """Write what the training loop writes, with some of it changed."""
    header = Header(
        method=method.name,
        settings=dict(method.settings()),
        encoder=None if encoder is None else encoder_facts(encoder),
        words=method.words,
    )
    save_weights(path, method.learnable.state_dict(), header.model_copy(update=changes))
    return path


def test_a_file_gives_the_same_predictions(trained: DapoMethod, sharp_encoder: DualEncoder, tmp_path: Path) -> None:
    judge = load_dapo(save(trained, tmp_path / "dapo.safetensors", sharp_encoder), sharp_encoder)
    model = judge.predictor.model
    assert identity_of(model) == identity_of(trained.model)
    assert model.towers.path.side == 48
    assert model.settings == trained.model.settings
    for name, tensor in trained.learnable.state_dict().items():
        assert torch.equal(model.learnables.state_dict()[name], tensor)


def test_another_vocabulary_and_another_side_need_no_training(
    trained: DapoMethod, sharp_encoder: DualEncoder, tmp_path: Path
) -> None:
    path = save(trained, tmp_path / "dapo.safetensors", sharp_encoder)
    judge = load_dapo(path, sharp_encoder, DapoChoices(side=64, words=("worn", "bent")))
    scores = judge.fit(Subject()).judge([np.zeros((30, 30, 3), np.uint8)])[0]
    assert scores.words == ("worn", "bent")
    assert scores.heat.shape == (64, 64)  # 16 patches of 4 px


def test_towers_of_ones_own(trained: DapoMethod, sharp_encoder: DualEncoder, tmp_path: Path) -> None:
    path = save(trained, tmp_path / "dapo.safetensors", None)
    towers = towers_of(sharp_encoder, trained.model.settings, side=48)
    assert load_dapo(path, towers).predictor.identity == identity_of(trained.model)
    with pytest.raises(LocalizerError, match="side 64: these towers take pictures of 48 px"):
        load_dapo(path, towers, DapoChoices(side=64))
    other = DapoTowers(towers.path, towers.text, "other weights", "other")
    with pytest.raises(LocalizerError, match=r"was trained over sharp.*, not over other \(other weights\)"):
        load_dapo(path, other)


def test_what_the_file_was_trained_with_is_not_changed_at_use(
    trained: DapoMethod, sharp_encoder: DualEncoder, tmp_path: Path
) -> None:
    path = save(trained, tmp_path / "dapo.safetensors", sharp_encoder)
    assert load_dapo(path, sharp_encoder, DapoChoices(prompts=2)).name == "dapo"
    with pytest.raises(LocalizerError, match=r"^dapo\.prompts: 4 is asked for, and dapo\.safetensors was trained"):
        load_dapo(path, sharp_encoder, DapoChoices(prompts=4))


def one_line(path: Path, encoder: DualEncoder, says: str) -> None:
    with pytest.raises(LocalizerError, match=says) as caught:
        load_dapo(path, encoder)
    assert "\n" not in str(caught.value)


def test_other_towers_are_refused(
    trained: DapoMethod, sharp_encoder: DualEncoder, encoder: DualEncoder, tmp_path: Path
) -> None:
    path = save(trained, tmp_path / "dapo.safetensors", sharp_encoder)
    one_line(path, encoder, "was trained over sharp.*vision_blocks 3 and not 4")
    same_size = tiny_encoder(tmp_path / "seed", side=48, patch=4, layers=3, text_layers=2, seed=1)
    one_line(path, same_size, "was trained over sharp")
    one_line(save(trained, path, None), same_size, "was trained over sharp")


def test_another_method_is_refused(trained: DapoMethod, sharp_encoder: DualEncoder, tmp_path: Path) -> None:
    path = save(trained, tmp_path / "dapo.safetensors", sharp_encoder, method="promptad")
    one_line(path, sharp_encoder, "holds weights of promptad, not of dapo")


def test_another_size_is_refused(trained: DapoMethod, sharp_encoder: DualEncoder, tmp_path: Path) -> None:
    settings = json.loads(json.dumps(trained.settings()))
    settings["dapo"]["prompts"] = 7
    path = save(trained, tmp_path / "dapo.safetensors", sharp_encoder, settings=settings)
    one_line(path, sharp_encoder, r"prompts.*\(2, 5, 48\), here it must be \(7, 5, 48\)")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"side": 48_000_000}, "settings.side"),
        ({"dapo": {"prompts": 10**9}}, "settings.dapo.prompts"),
        ({"dapo": {"wording": {"normal": "x"}}}, "settings.dapo.wording"),
        ({"surprise": 1}, "settings.surprise"),
    ],
)
def test_damaged_settings_are_refused(
    trained: DapoMethod, sharp_encoder: DualEncoder, tmp_path: Path, change: dict[str, object], says: str
) -> None:
    settings = {**trained.settings(), **change}
    path = save(trained, tmp_path / "dapo.safetensors", sharp_encoder, settings=settings)
    one_line(path, sharp_encoder, f"header is wrong at {says}")


def test_damaged_files_are_refused(trained: DapoMethod, sharp_encoder: DualEncoder, tmp_path: Path) -> None:
    path = save(trained, tmp_path / "dapo.safetensors", sharp_encoder)
    path.write_bytes(path.read_bytes()[:-100])
    one_line(path, sharp_encoder, "is not a whole safetensors file")
    path.write_bytes(b"PK\x03\x04 some pickle")
    one_line(path, sharp_encoder, "is not a whole safetensors file")
    one_line(tmp_path / "absent.safetensors", sharp_encoder, "no such file")
