"""One tiny CLIP of each style, built once, and transformers' own model beside it."""

from pathlib import Path
from typing import Any

import pytest

from tests.localization.tiny_clip import build_tiny_clip
from vlm_inspect.localization.dual_encoder import DualEncoder, load_dual_encoder

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def openai_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_clip(tmp_path_factory.mktemp("openai") / "tiny-openai", style="openai")


@pytest.fixture(scope="session")
def laion_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_clip(tmp_path_factory.mktemp("laion") / "tiny-laion", style="laion", weights="bin")


@pytest.fixture(scope="session")
def encoder(openai_folder: Path) -> DualEncoder:
    return load_dual_encoder(str(openai_folder), "cpu")


@pytest.fixture(scope="session")
def reference(openai_folder: Path) -> Any:
    """transformers' own `CLIPModel` of the same folder."""
    from transformers import CLIPModel

    return CLIPModel.from_pretrained(openai_folder).eval()


@pytest.fixture(scope="session")
def pixels() -> Any:
    """(3, 3, 32, 32): three different pictures."""
    return torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
