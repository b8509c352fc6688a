"""Names become weights without a network: folders, the hub's cache, open_clip files; the rest says what to do."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from vlm_inspect.errors import InspectWarning, LocalizerError
from vlm_inspect.localization.dual_encoder import load_dual_encoder
from vlm_inspect.localization.dual_encoder.loading import find_folder
from vlm_inspect.localization.dual_encoder.text_features import CutPrompt
from vlm_inspect.localization.dual_encoder.weights_file import SuspectWeights, file_digest


@pytest.fixture
def cache(openai_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub cache that holds maker/tiny in its own layout: blobs by digest, a snapshot of links."""
    repo = tmp_path / "models--maker--tiny"
    snapshot = repo / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("0" * 40)
    (repo / "blobs").mkdir()
    for file in openai_folder.iterdir():
        blob = repo / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest()
        shutil.copy(file, blob)
        (snapshot / file.name).symlink_to(blob)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    return snapshot


def test_an_id_is_found_in_the_hubs_cache(cache: Path, openai_folder: Path) -> None:
    encoder = load_dual_encoder("maker/tiny", "cpu")
    assert encoder.name == "maker/tiny"
    assert find_folder("maker/tiny") == cache
    linked, plain = cache / "model.safetensors", openai_folder / "model.safetensors"
    assert file_digest(linked) == file_digest(plain) == hashlib.sha256(plain.read_bytes()).hexdigest()
    assert encoder.identity.split("/")[-1] == load_dual_encoder(str(openai_folder), "cpu").identity.split("/")[-1]


@pytest.mark.parametrize("name", ["maker/other", "no-such-folder", "/no/such/folder", "a/b/c", "", "bad name!"])
def test_what_is_not_here_says_how_to_get_weights(cache: Path, name: str) -> None:
    with pytest.raises(LocalizerError, match=r"hf download openai/.* --local-dir FOLDER.* --clip FOLDER") as caught:
        load_dual_encoder(name, "cpu")
    assert "\n" not in str(caught.value)


def test_a_file_is_not_a_folder(openai_folder: Path) -> None:
    with pytest.raises(LocalizerError, match="is a file: pass the folder"):
        load_dual_encoder(str(openai_folder / "model.safetensors"), "cpu")


def test_a_folder_is_called_by_its_last_part(openai_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_dual_encoder(str(openai_folder), "cpu").name == "tiny-openai"
    monkeypatch.chdir(openai_folder)
    assert load_dual_encoder(".", "cpu").name == "tiny-openai"


@pytest.mark.parametrize(
    ("device", "message"),
    [("tpu", "unknown device 'tpu'"), ("mps", "is not supported"), ("cuda:99", "is not there")],
)
def test_a_device_that_is_not_there_is_an_error(openai_folder: Path, device: str, message: str) -> None:
    with pytest.raises(LocalizerError, match=message):
        load_dual_encoder(str(openai_folder), device)


def test_auto_is_cuda_where_there_is_one(openai_folder: Path) -> None:
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert load_dual_encoder(str(openai_folder)).device.startswith(expected)


def test_half_precision_needs_cuda(openai_folder: Path) -> None:
    with pytest.raises(LocalizerError, match="half precision needs a CUDA device"):
        load_dual_encoder(str(openai_folder), "cpu", half=True)


@pytest.mark.parametrize("name", ["open_clip:", "open_clip:ViT-B-16", "open_clip::w.pt", "open_clip:ViT-B-16:"])
def test_open_clip_names_have_three_parts(name: str) -> None:
    with pytest.raises(LocalizerError, match="write open_clip:MODEL:FILE"):
        load_dual_encoder(name, "cpu")


def test_open_clip_missing_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(LocalizerError, match=r"pip install 'vlm-inspect\[open-clip\]'"):
        load_dual_encoder("open_clip:ViT-B-16:weights.pt", "cpu")


def test_the_command_line_shows_our_warnings() -> None:
    """It shows no others, so a cut prompt or suspect weights would pass in silence."""
    assert issubclass(CutPrompt, InspectWarning)
    assert issubclass(SuspectWeights, InspectWarning)


def test_the_package_is_light() -> None:
    code = (
        "import sys, vlm_inspect.localization.dual_encoder, vlm_inspect.localization.dual_encoder.loading;"
        "print(sorted({'torch', 'transformers', 'cv2', 'open_clip'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
