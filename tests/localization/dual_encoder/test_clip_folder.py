"""Folders in the published layout load; each way in which one can be broken is one line that says what is wrong."""

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.localization.tiny_clip import build_tiny_clip, merges
from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.dual_encoder import load_dual_encoder
from vlm_inspect.localization.dual_encoder.clip_folder import check_activations
from vlm_inspect.localization.dual_encoder.encoder import CLIP_NORMALISATION, Normalisation
from vlm_inspect.localization.dual_encoder.image_features import encode_image
from vlm_inspect.localization.dual_encoder.text_features import encode_texts
from vlm_inspect.localization.dual_encoder.weights_file import SuspectWeights

Change = Callable[[Path], object]


@pytest.fixture
def folder(openai_folder: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(openai_folder, tmp_path / "clip"))


def edit_config(folder: Path, *keys: str, value: object) -> None:
    path = folder / "config.json"
    settings = part = json.loads(path.read_text())
    for key in keys[:-1]:
        part = part[key]
    part[keys[-1]] = value
    path.write_text(json.dumps(settings))


def edit_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    state = load_file(folder / "model.safetensors")
    change(state)
    save_file(state, folder / "model.safetensors")


def test_both_files_of_weights_give_the_same_features(tmp_path: Path) -> None:
    first = load_dual_encoder(str(build_tiny_clip(tmp_path / "a", weights="safetensors")), "cpu")
    second = load_dual_encoder(str(build_tiny_clip(tmp_path / "b", weights="bin")), "cpu")
    pixels = torch.ones(1, 3, 32, 32)
    torch.testing.assert_close(encode_image(first.vision, pixels).cls, encode_image(second.vision, pixels).cls)
    torch.testing.assert_close(encode_texts(first.text, ["bent"]), encode_texts(second.text, ["bent"]))


def test_old_files_with_counting_numbers_load(folder: Path) -> None:
    edit_weights(folder, lambda state: state.update({"vision_model.embeddings.position_ids": torch.arange(17)[None]}))
    assert load_dual_encoder(str(folder), "cpu").name == "clip"


def test_identity_follows_weights_settings_and_tokenizer(folder: Path) -> None:
    seen = {load_dual_encoder(str(folder), "cpu").identity}
    assert seen == {load_dual_encoder(str(folder), "cpu").identity}
    edit_weights(folder, lambda state: state["vision_model.post_layernorm.weight"].add_(0.1))
    seen.add(load_dual_encoder(str(folder), "cpu").identity)
    edit_config(folder, "vision_config", "num_attention_heads", value=8)
    seen.add(load_dual_encoder(str(folder), "cpu").identity)
    edit_config(folder, "text_config", "hidden_act", value="gelu")
    seen.add(load_dual_encoder(str(folder), "cpu").identity)
    (folder / "merges.txt").write_text("#version: 0.2\n")
    seen.add(load_dual_encoder(str(folder), "cpu").identity)
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.5] * 3, "image_std": [0.5] * 3}))
    seen.add(load_dual_encoder(str(folder), "cpu").identity)
    assert len(seen) == 6


def test_normalisation_is_the_folders_own(folder: Path) -> None:
    assert load_dual_encoder(str(folder), "cpu").vision.normalisation == CLIP_NORMALISATION
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps({"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.1]}))
    assert load_dual_encoder(str(folder), "cpu").vision.normalisation == Normalisation((0.5, 0.4, 0.3), (0.2, 0.2, 0.1))
    path.unlink()
    assert load_dual_encoder(str(folder), "cpu").vision.normalisation == CLIP_NORMALISATION


def test_temperature_is_that_of_the_weights(folder: Path) -> None:
    edit_weights(folder, lambda state: state.update(logit_scale=torch.tensor(4.6052)))
    assert load_dual_encoder(str(folder), "cpu").temperature == pytest.approx(0.01, rel=1e-3)


def cut_short(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])


def only_bin(folder: Path, content: object) -> None:
    (folder / "model.safetensors").unlink()
    torch.save(content, folder / "pytorch_model.bin")


class Intruder:
    """What a hostile pickle holds: an object that would be called when it is read."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('the pickle was run')",))


BROKEN: dict[str, tuple[Change, str]] = {
    "no config": (lambda f: (f / "config.json").unlink(), "there is no config.json in it"),
    "config not JSON": (lambda f: (f / "config.json").write_text("{"), "config.json is not JSON"),
    "config a list": (lambda f: (f / "config.json").write_text("[]"), "is not a JSON object"),
    "other model": (lambda f: edit_config(f, "model_type", value="siglip"), "holds a siglip, not a CLIP model"),
    "odd config": (
        lambda f: edit_config(f, "text_config", "hidden_size", value="wide"),
        "no usable CLIP configuration: .*'hidden_size' expected int",
    ),
    "odd heads": (
        lambda f: edit_config(f, "vision_config", "num_attention_heads", value=0),
        "no usable CLIP configuration",
    ),
    "unknown activation": (lambda f: edit_config(f, "text_config", "hidden_act", value="wave"), "describes no CLIP"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "model.safetensors or pytorch_model.bin is missing"),
    "cut short": (cut_short, "cannot be read as weights"),
    "empty": (lambda f: (f / "model.safetensors").write_bytes(b""), "cannot be read as weights"),
    "not tensors": (lambda f: only_bin(f, {"epoch": 3}), "no plain dictionary of tensors"),
    "a list": (lambda f: only_bin(f, [torch.zeros(2)]), "no plain dictionary of tensors"),
    "a pickle": (lambda f: only_bin(f, {"x": Intruder()}), "no plain dictionary of tensors"),
    "of no CLIP": (lambda f: only_bin(f, {"fc.weight": torch.zeros(2, 2)}), "not one tensor has a known name"),
    "part missing": (
        lambda f: edit_weights(f, lambda state: state.pop("text_projection.weight")),
        "is incomplete: 1 of .* missing: text_projection.weight",
    ),
    "more layers than stated": (
        lambda f: edit_config(f, "vision_config", "num_hidden_layers", value=2),
        "of another size than its configuration: 32 tensors too many",
    ),
    "fewer layers than stated": (
        lambda f: edit_config(f, "vision_config", "num_hidden_layers", value=5),
        "is incomplete: 16 of",
    ),
    "other width": (
        lambda f: edit_config(f, "vision_config", "image_size", value=64),
        r"of another size .*position_embedding.weight is \(17, 64\), should be \(65, 64\)",
    ),
    "not finite": (
        lambda f: edit_weights(f, lambda state: state["visual_projection.weight"].fill_(torch.nan)),
        "visual_projection.weight holds values that are not finite",
    ),
    "no vocabulary": (lambda f: (f / "vocab.json").unlink(), "the tokenizer is missing: put vocab.json"),
    "vocabulary not JSON": (lambda f: (f / "vocab.json").write_text("["), "the tokenizer in .* cannot be used"),
    "vocabulary too small": (lambda f: (f / "vocab.json").write_text('{"a": 0}'), "of tokens that the vocabulary"),
    "vocabulary a list": (lambda f: (f / "vocab.json").write_text('["a"]'), "the tokenizer in .* cannot be used"),
    "image settings": (
        lambda f: (f / "preprocessor_config.json").write_text('{"image_std": [0.2, 0, 0.2]}'),
        "need three means and deviations",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_folder_is_one_line(case: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vlm_inspect.localization.dual_encoder.clip_vocabulary.find_spec", lambda _name: None)
    change, message = BROKEN[case]
    change(folder)
    with pytest.raises(LocalizerError, match=message) as caught:
        load_dual_encoder(str(folder), "cpu")
    assert "\n" not in str(caught.value)


def test_tokenizer_json_alone_is_enough(folder: Path) -> None:
    before = encode_texts(load_dual_encoder(str(folder), "cpu").text, ["a scratched nut"])
    vocabulary = json.loads((folder / "vocab.json").read_text())
    lines = (folder / "merges.txt").read_text().splitlines()[1:]
    for pairs in (lines, [line.split() for line in lines]):  # both notations are about
        model = {"type": "BPE", "vocab": vocabulary, "merges": pairs}
        (folder / "tokenizer.json").write_text(json.dumps({"model": model}))
        (folder / "vocab.json").unlink(missing_ok=True)
        torch.testing.assert_close(
            before, encode_texts(load_dual_encoder(str(folder), "cpu").text, ["a scratched nut"])
        )


def test_openai_weights_that_say_gelu_are_suspect(folder: Path) -> None:
    edit_config(folder, "_name_or_path", value="openai/clip-vit-base-patch16")
    load_dual_encoder(str(folder), "cpu")
    edit_config(folder, "vision_config", "hidden_act", value="gelu")
    with pytest.warns(SuspectWeights, match="trained with quick_gelu, the configuration says gelu, quick_gelu"):
        load_dual_encoder(str(folder), "cpu")


def test_a_model_built_with_another_activation_is_refused(reference: Any) -> None:
    check_activations(reference, "tiny")
    mlp = reference.vision_model.encoder.layers[2].mlp
    before, mlp.activation_fn = mlp.activation_fn, torch.nn.GELU()
    try:
        with pytest.raises(LocalizerError, match="built the model without its quick_gelu"):
            check_activations(reference, "tiny")
    finally:
        mlp.activation_fn = before


def test_a_config_of_2022_loads(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """As in OpenAI's folders: settings of generation everywhere, copies under a second name, a wrong end token."""
    before = load_dual_encoder(str(folder), "cpu")
    path = folder / "config.json"
    settings = json.loads(path.read_text())
    legacy = {
        "_name_or_path": "",
        "add_cross_attention": False,
        "architectures": None,
        "attention_dropout": 0.0,
        "bos_token_id": 0,
        "dropout": 0.0,
        "eos_token_id": 2,
        "num_beams": 1,
        "pad_token_id": 1,
        "return_dict": True,
        "torch_dtype": None,
        "torchscript": False,
        "transformers_version": "4.16.0.dev0",
    }
    settings["text_config"] |= legacy
    settings["vision_config"] |= {key: value for key, value in legacy.items() if not key.endswith("_id")}
    settings |= {"text_config_dict": None, "vision_config_dict": None, "torch_dtype": "float32"}
    for text, vision in ((None, None), (settings["text_config"], settings["vision_config"])):
        path.write_text(json.dumps(settings | {"text_config_dict": text, "vision_config_dict": vision}))
        after = load_dual_encoder(str(folder), "cpu")
        prompts = ["a bent pin", "a nut"]
        torch.testing.assert_close(encode_texts(after.text, prompts), encode_texts(before.text, prompts))
        pixels = torch.ones(1, 3, 32, 32)
        torch.testing.assert_close(encode_image(after.vision, pixels).cls, encode_image(before.vision, pixels).cls)
    assert capfd.readouterr().err == ""


def test_a_missing_tokenizer_is_taken_from_open_clips_package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only its vocabulary file: the package below cannot be imported, as it cannot without torchvision."""
    before = encode_texts(load_dual_encoder(str(folder), "cpu").text, ["a scratched nut"])
    package = folder.parent / "site" / "open_clip"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('no torchvision')")
    lines = ['"bpe_simple_vocab_16e6.txt#version: 0.2', *(" ".join(pair) for pair in merges())]
    with gzip.open(package / "bpe_simple_vocab_16e6.txt.gz", "wt", encoding="utf-8") as stream:
        stream.write("\n".join(lines) + "\n")
    (folder / "vocab.json").unlink()
    monkeypatch.syspath_prepend(str(package.parent))
    torch.testing.assert_close(before, encode_texts(load_dual_encoder(str(folder), "cpu").text, ["a scratched nut"]))


def test_transformers_missing_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(LocalizerError, match=r"need transformers: pip install 'vlm-inspect\[hf\]'"):
        load_dual_encoder(str(folder), "cpu")


def test_nothing_is_drawn_while_loading(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load_dual_encoder(str(folder), "cpu")
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")
