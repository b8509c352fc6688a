"""Towers that several of DAPO's tests share; nothing changes them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.localization.dapo.painted_plates import Plates, overfit, paint_plates
from tests.localization.tiny_clip import tiny_encoder
from vlm_inspect.array_cache import ArrayCache
from vlm_inspect.localization.dapo.predictor import DapoPredictor
from vlm_inspect.localization.dapo.settings import DapoSettings
from vlm_inspect.localization.dual_encoder.encoder import DualEncoder
from vlm_inspect.training.methods.dapo import DapoMethod

WORDS = ("scratch", "hole", "stain")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> DualEncoder:
    """Four vision blocks, three text blocks, 32 px, 16 patches."""
    return tiny_encoder(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def sharp_encoder(tmp_path_factory: pytest.TempPathFactory) -> DualEncoder:
    """Three blocks, 48 px, 144 patches: enough places to learn where a defect is."""
    return tiny_encoder(tmp_path_factory.mktemp("sharp"), side=48, patch=4, layers=3, text_layers=2)


@pytest.fixture
def cache(tmp_path: Path) -> ArrayCache:
    return ArrayCache(tmp_path / "states")


@pytest.fixture
def method(encoder: DualEncoder) -> DapoMethod:
    """Fresh tensors, two prompts a state."""
    return DapoMethod.over(encoder, WORDS, DapoSettings(prompts=2), side=32)


@pytest.fixture
def predictor(method: DapoMethod, cache: ArrayCache) -> DapoPredictor:
    return DapoPredictor(method.model, cache)


@pytest.fixture(scope="session")
def plates() -> Plates:
    return paint_plates(WORDS)


@pytest.fixture(scope="session")
def trained(sharp_encoder: DualEncoder, plates: Plates) -> DapoMethod:
    """DAPO after 30 steps on the eight painted plates."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    method = DapoMethod.over(sharp_encoder, WORDS, DapoSettings(prompts=2), side=48)
    overfit(method, plates, steps=30)
    torch.set_num_threads(before)
    return method
