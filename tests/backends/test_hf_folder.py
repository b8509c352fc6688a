"""What is wrong with a folder, a device or a request is said in one line, mostly before loading."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText

from converters.view import BoxXyxyn, Place, View
from tests.backends.tiny_vlms import build
from vlm_inspect.backends import Placement, load_backend
from vlm_inspect.backends.hf import folder as hf_folder
from vlm_inspect.backends.hf import memory
from vlm_inspect.backends.hf.families import SINGLE_PICTURE, find_manner
from vlm_inspect.backends.hf.folder import open_folder
from vlm_inspect.backends.hf.loading import load_processor
from vlm_inspect.backends.hf.sheet import compose_sheet, square
from vlm_inspect.errors import BackendError
from vlm_inspect.evidence import Evidence
from vlm_inspect.prompting import build_request, load_template
from vlm_inspect.rules import RuleBook


class Nowhere:
    def locate(self, box_xyxyn: BoxXyxyn) -> Place:
        return Place()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("llava", tmp_path_factory.mktemp("whole"))


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "model"))


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nothing may ask; nothing would answer


def change(folder: Path, **values: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def _cut_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def _pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _index_without_shard(folder: Path) -> None:
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-00001-of-00002.safetensors"}}')


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda f: (f / "config.json").unlink(), "holds no config.json"),
        (lambda f: (f / "config.json").write_text("{"), "config.json cannot be read"),
        (lambda f: (f / "config.json").write_text("[]"), "not a JSON object"),
        (lambda f: change(f, model_type="llama"), "is a llama, which answers no questions about pictures"),
        (lambda f: change(f, model_type="own", auto_map={"AutoModel": "own.Own"}), "--trust-remote-code"),
        (lambda f: change(f, model_type="of-2031"), "does not know; upgrade"),
        (lambda f: (f / "model.safetensors").unlink(), "incomplete, model.safetensors is missing"),
        (_pickled, "pickles"),
        (_index_without_shard, "model-00001-of-00002.safetensors is missing"),
        (_cut_weights, "cut short"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\xff" * 64), "not a whole safetensors file"),
    ],
)
def test_unusable_folder_is_refused_before_loading(copy: Path, damage: Callable[[Path], Any], said: str) -> None:
    damage(copy)
    with pytest.raises(BackendError, match=said) as caught:
        load_backend(f"hf:{copy}")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"hf:{copy}")


def test_code_of_its_own_that_is_no_vlm_is_refused_even_if_trusted(copy: Path) -> None:
    change(copy, model_type="own", auto_map={"AutoModel": "own.Own"})
    with pytest.raises(BackendError, match="ends in -hf"):
        open_folder(str(copy), trust_remote_code=True)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("hf:", "write hf:FOLDER"),
        ("hf:./nowhere/at/all", "no such folder"),
        ("hf:someone/not-there", "download it once with: hf download someone/not-there"),
        ("hf:not-there", "neither a folder nor in this machine's cache"),
    ],
)
def test_unknown_name_is_one_line(model: str, said: str) -> None:
    with pytest.raises(BackendError, match=said) as caught:
        load_backend(model)
    assert "\n" not in str(caught.value)


def test_file_is_no_folder(whole: Path) -> None:
    with pytest.raises(BackendError, match="is a file"):
        load_backend(f"hf:{whole / 'config.json'}")


def test_cached_repository_is_found(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    place = tmp_path / "models--someone--tiny"
    shutil.copytree(whole, place / "snapshots" / "0")
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("0")
    assert load_backend("hf:someone/tiny").name == "hf:someone/tiny"


@pytest.mark.parametrize(
    ("placement", "said"),
    [
        (Placement(device="cuda"), "no device 'cuda'"),
        (Placement(device="toaster"), "unknown device 'toaster'"),
        (Placement(dtype="float8"), "unknown dtype 'float8'"),  # type: ignore[arg-type]  # that is the test
        (Placement(quantize="2bit"), "unknown quantization '2bit'"),  # type: ignore[arg-type]  # that is the test
    ],
)
def test_wrong_placement_is_one_line(whole: Path, placement: Placement, said: str) -> None:
    if "cuda" in said and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(BackendError, match=said):
        load_backend(f"hf:{whole}", placement=placement)


def test_quantization_needs_its_library(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vlm_inspect.backends.hf.loading.find_spec", lambda name: None)
    with pytest.raises(BackendError, match="pip install bitsandbytes"):
        load_backend(f"hf:{whole}", placement=Placement(quantize="4bit"))


def test_missing_library_names_the_extra(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        BackendError, match=r"needs transformers, accelerate, llguidance: pip install 'vlm-inspect\[hf\]'"
    ):
        hf_folder.open_folder(str(whole))


def test_old_library_is_one_line(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hf_folder, "version", lambda name: "5.9.1.dev0")
    with pytest.raises(BackendError, match=r"needs transformers 5\.23 or newer, not 5\.9\.1"):
        load_backend(f"hf:{whole}")


@pytest.mark.parametrize("model", ["evidence", "openai:x", "langchain:a:b"])
def test_placement_belongs_to_local_models(model: str) -> None:
    with pytest.raises(BackendError, match="does not run here"):
        load_backend(model, placement=Placement())


def test_base_url_belongs_to_servers(whole: Path) -> None:
    with pytest.raises(BackendError, match="takes no base URL"):
        load_backend(f"hf:{whole}", base_url="http://127.0.0.1:1/v1")


def test_need_follows_weights_and_form(whole: Path) -> None:
    folder = open_folder(str(whole))
    stored = memory.estimate_need(folder)
    tensors = sum(t.numel() * 4 for t in load_file(whole / "model.safetensors").values())
    assert stored.weights == pytest.approx(1.05 * tensors, rel=1e-3)
    assert memory.estimate_need(folder, dtype="bfloat16").weights == pytest.approx(stored.weights / 2, rel=1e-3)
    assert memory.estimate_need(folder, quantize="4bit").weights < memory.estimate_need(folder, quantize="8bit").weights
    assert stored.prompt == 2 * 2 * 2 * 8 * 8192 * 4  # keys and values, layers, heads, head size, tokens, float32


def test_too_little_memory_is_said_before_loading(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_free_main_memory", lambda: 1000)
    with pytest.raises(BackendError, match=r"needs about 0\.0 GiB for its weights .* free on cpu; use --quantize 4bit"):
        load_backend(f"hf:{whole}")
    assert memory.free_bytes("cpu") == 1000


def test_free_memory_is_plausible() -> None:
    assert 2**20 < memory.free_bytes("cpu") < 2**50


def test_weights_that_lack_tensors_are_not_filled_with_noise(copy: Path) -> None:
    weights = load_file(copy / "model.safetensors")
    lost = next(name for name in weights if "multi_modal_projector" in name)
    del weights[lost]
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    backend = load_backend(f"hf:{copy}")
    with pytest.raises(BackendError, match="its weights lack 1 tensors"):
        backend._loaded()  # type: ignore[attr-defined]  # nothing needs to be asked for this


@pytest.mark.parametrize("missing", ["processor_config.json", "tokenizer.json"])
def test_missing_processor_is_one_line(copy: Path, missing: str) -> None:
    (copy / missing).unlink()
    with pytest.raises(BackendError, match=r"processor") as caught:
        load_processor(open_folder(str(copy)), Placement())
    assert "\n" not in str(caught.value)


def test_model_without_a_conversation_gets_a_plain_one(copy: Path) -> None:
    (copy / "chat_template.jinja").unlink()
    processor = load_processor(open_folder(str(copy)), Placement())
    manner = find_manner("llava", processor, "hf:x")
    assert manner.system_role
    assert manner.interleaved
    told = processor.apply_chat_template(
        [
            {"role": "system", "content": [{"type": "text", "text": "S"}]},
            {"role": "user", "content": [{"type": "text", "text": "U"}, {"type": "image"}]},
        ],
        chat_template=manner.chat_template,
        tokenize=False,
    )
    assert told == "SYSTEM: S\nUSER: U<image>\nASSISTANT:"


def test_template_that_refuses_a_system_role(copy: Path) -> None:
    template = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    (copy / "chat_template.jinja").write_text(template + (copy / "chat_template.jinja").read_text())
    manner = find_manner("llava", load_processor(open_folder(str(copy)), Placement()), "hf:x")
    assert not manner.system_role


def test_template_without_pictures_is_one_line(copy: Path) -> None:
    (copy / "chat_template.jinja").write_text("{% for message in messages %}{{ message['role'] }}{% endfor %}")
    with pytest.raises(BackendError, match="places no picture"):
        find_manner("llava", load_processor(open_folder(str(copy)), Placement()), "hf:x")


def test_families_of_one_picture_are_known_to_the_library() -> None:
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    assert set(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES) >= SINGLE_PICTURE


@pytest.mark.parametrize("count", [2, 3, 5, 12])
def test_sheet_shows_every_picture_whole_in_its_field(count: int) -> None:
    colours = [(20 * n + 10, 255 - 20 * n, 90) for n in range(count)]
    sizes = [(60, 20) if n % 2 else (20, 60) for n in range(count)]
    pictures = [Image.new("RGB", size, colour) for size, colour in zip(sizes, colours, strict=True)]
    sheet = compose_sheet(pictures, 600)
    assert sheet.size == (600, 600)
    pixels = np.asarray(sheet)
    columns = int(np.ceil(np.sqrt(count)))
    for number, (colour, (wide, high)) in enumerate(zip(colours, sizes, strict=True)):
        rows, cols = np.nonzero((pixels == colour).all(-1))
        cell = 600 // columns
        assert {int(r) // cell for r in rows} == {number // columns}
        assert {int(c) // cell for c in cols} == {number % columns}
        seen = (cols.max() - cols.min() + 1) / (rows.max() - rows.min() + 1)
        assert seen == pytest.approx(wide / high, rel=0.1), "neither cut nor squeezed"


def test_square_keeps_the_edges() -> None:
    picture = Image.new("RGB", (90, 30), (0, 0, 255))
    picture.paste((255, 0, 0), (0, 0, 9, 30))
    squeezed = np.asarray(square(picture))
    assert squeezed.shape == (90, 90, 3)
    assert squeezed[45, 2, 0] > 200, "the left tenth is still the left tenth"


OWN_CODE = """
from pathlib import Path
from transformers import LlavaConfig, LlavaForConditionalGeneration
Path({marker!r}).touch()

class OwnConfig(LlavaConfig):
    model_type = "own"

class OwnModel(LlavaForConditionalGeneration):
    config_class = OwnConfig
"""


def test_code_of_its_own_runs_only_when_trusted(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marker = tmp_path / "ran"
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr("sys.path", [str(tmp_path / "modules"), *sys.path])
    (copy / "own.py").write_text(OWN_CODE.format(marker=str(marker)))
    tensors = AutoModelForImageTextToText.from_pretrained(copy).state_dict()  # as a type of no history stores them
    save_file({name: t.clone() for name, t in tensors.items()}, copy / "model.safetensors", metadata={"format": "pt"})
    code = {"AutoConfig": "own.OwnConfig", "AutoModelForImageTextToText": "own.OwnModel"}
    change(copy, model_type="own", auto_map=code)
    with pytest.raises(BackendError, match="wants to run code of its own repository, which is refused"):
        load_backend(f"hf:{copy}")
    assert not marker.exists()
    backend = load_backend(f"hf:{copy}", placement=Placement(trust_remote_code=True))
    assert type(backend._loaded().model).__name__ == "OwnModel"  # type: ignore[attr-defined]  # loads without asking
    assert marker.exists()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried\nto allocate"), "out of memory .*use --quantize 4bit"),
        (RuntimeError("mat1 and mat2\nshapes"), "the model failed: mat1 and mat2$"),
    ],
)
def test_failure_while_answering_is_one_line(
    whole: Path, monkeypatch: pytest.MonkeyPatch, error: RuntimeError, said: str
) -> None:
    def fail(*arguments: object) -> None:
        raise error

    view = View(np.zeros((40, 40, 3), dtype=np.uint8), "image", "part", Nowhere())
    request = build_request(load_template("benchmark"), [view], RuleBook(class_name="nut"), [], Evidence(), None)
    backend = load_backend(f"hf:{whole}")
    monkeypatch.setattr("vlm_inspect.backends.hf.engine.Engine.answer", fail)
    with pytest.raises(BackendError, match=said) as caught:
        backend.generate(request)
    assert "\n" not in str(caught.value)
