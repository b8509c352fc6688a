"""Towers over open_clip equal its own calls; needs open_clip, which needs torchvision, so it is skipped without."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.localization.dual_encoder.test_conversion import SETTINGS
from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.dual_encoder import DualEncoder, load_dual_encoder
from vlm_inspect.localization.dual_encoder.clip_vocabulary import build_tokenizer, bundled_file, read_bundled
from vlm_inspect.localization.dual_encoder.conversion import convert_weights, transformers_settings
from vlm_inspect.localization.dual_encoder.hugging_face import HuggingFaceTokens, wrap_clip
from vlm_inspect.localization.dual_encoder.image_features import encode_image, last_values
from vlm_inspect.localization.dual_encoder.open_clip import import_open_clip
from vlm_inspect.localization.dual_encoder.text_features import CutPrompt, encode_texts
from vlm_inspect.localization.dual_encoder.weights_file import SuspectWeights

MODEL = {**SETTINGS["model_cfg"], "text_cfg": {**SETTINGS["model_cfg"]["text_cfg"], "vocab_size": 49408}}
TEXTS = ["a photo of a Scratched screw, 12.5 mm", "normal nut", "it's a close-up of the flawless Größe"]


@pytest.fixture(scope="module")
def library() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = import_open_clip()
    except LocalizerError as error:
        pytest.skip(str(error))
    plain = {key: value for key, value in MODEL.items() if key != "quick_gelu"}
    known = {"tiny-quickgelu": MODEL, "tiny": plain}
    module.factory._MODEL_CONFIGS.update(known)  # what add_model_config does with a file
    return module


@pytest.fixture(scope="module")
def model(library: Any) -> Any:
    torch.manual_seed(3)
    made = library.CLIP(**MODEL).eval().requires_grad_(False)
    for name, tensor in made.named_parameters():
        if tensor.ndim == 1:
            tensor.add_(0.1 * torch.randn_like(tensor))
        elif "in_proj" in name or "mlp" in name:
            tensor.normal_(0, tensor.shape[1] ** -0.5)
    return made


@pytest.fixture(scope="module")
def file(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("open_clip") / "epoch_31.pt"
    torch.save({"epoch": 31, "state_dict": {f"module.{name}": one for name, one in model.state_dict().items()}}, path)
    return path


@pytest.fixture(scope="module")
def towers(file: Path, library: Any) -> DualEncoder:
    return load_dual_encoder(f"open_clip:tiny-quickgelu:{file}", "cpu")


def test_layers_and_cls_are_those_of_open_clip(towers: DualEncoder, model: Any, pixels: torch.Tensor) -> None:
    theirs = model.visual.forward_intermediates(
        pixels, indices=[0, 1, 2, 3], output_fmt="NLC", output_extra_tokens=True
    )
    ours = encode_image(towers.vision, pixels, range(1, 5), drop_cls=False)
    pairs = zip(theirs["image_intermediates_prefix"], theirs["image_intermediates"], strict=True)
    for number, (first, patches) in enumerate(pairs, start=1):
        torch.testing.assert_close(ours.layers[number], torch.cat([first, patches], dim=1), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours.cls, model.encode_image(pixels), atol=1e-5, rtol=1e-5)


def test_values_are_the_last_third_of_the_fused_projection(
    towers: DualEncoder, model: Any, pixels: torch.Tensor
) -> None:
    before_last = encode_image(towers.vision, pixels, [3], drop_cls=False).layers[3]
    last = model.visual.transformer.resblocks[-1]
    weight, bias = last.attn.in_proj_weight[128:], last.attn.in_proj_bias[128:]
    values = last.ln_1(before_last) @ weight.T + bias
    theirs = model.visual.ln_post(last.attn.out_proj(values)) @ model.visual.proj
    torch.testing.assert_close(last_values(towers.vision, before_last), theirs, atol=1e-5, rtol=1e-5)


def test_texts_are_those_of_open_clip(towers: DualEncoder, model: Any, library: Any) -> None:
    theirs = model.encode_text(library.SimpleTokenizer()(TEXTS))
    torch.testing.assert_close(encode_texts(towers.text, TEXTS), theirs, atol=1e-5, rtol=1e-5)
    with pytest.warns(CutPrompt):
        ours = encode_texts(towers.text, ["bent " * 90])
    torch.testing.assert_close(ours, model.encode_text(library.SimpleTokenizer()(["bent " * 90])), atol=1e-5, rtol=1e-5)


def test_the_converted_weights_are_the_same_model(towers: DualEncoder, model: Any, pixels: torch.Tensor) -> None:
    from transformers import CLIPConfig, CLIPModel

    twin = CLIPModel(CLIPConfig.from_dict(transformers_settings(MODEL))).eval()
    twin.load_state_dict(convert_weights(model.state_dict()))
    path = bundled_file()
    assert path is not None
    tokens = HuggingFaceTokens(build_tokenizer(*read_bundled(path)))
    other = wrap_clip(twin, tokens, identity="twin", name="twin")
    large = torch.nn.functional.interpolate(pixels, (72, 72))
    for pictures in (pixels, large):
        ours, theirs = encode_image(towers.vision, pictures, [4]), encode_image(other.vision, pictures, [4])
        torch.testing.assert_close(ours.cls, theirs.cls, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(ours.layers[4], theirs.layers[4], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(encode_texts(towers.text, TEXTS), encode_texts(other.text, TEXTS), atol=1e-5, rtol=1e-5)


def test_pictures_do_not_interact(towers: DualEncoder, pixels: torch.Tensor) -> None:
    together = encode_image(towers.vision, pixels).cls
    torch.testing.assert_close(encode_image(towers.vision, pixels[1:2]).cls[0], together[1], atol=1e-5, rtol=1e-5)


def test_gelu_and_quickgelu_differ(file: Path, towers: DualEncoder, pixels: torch.Tensor) -> None:
    plain = load_dual_encoder(f"open_clip:tiny:{file}", "cpu")
    assert plain.identity != towers.identity
    assert (encode_image(plain.vision, pixels).cls - encode_image(towers.vision, pixels).cls).abs().max() > 1e-3


def test_openai_weights_without_quickgelu_are_suspect(file: Path, library: Any) -> None:
    renamed = file.with_name("vit_openai.pt")
    renamed.write_bytes(file.read_bytes())
    with pytest.warns(SuspectWeights, match="use open_clip:tiny-quickgelu"):
        load_dual_encoder(f"open_clip:tiny:{renamed}", "cpu")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("open_clip:ViT-B-16:{file}", "of another size than open_clip's ViT-B-16"),
        ("open_clip:ViT-X:{file}", "open_clip knows no model 'ViT-X'"),
        ("open_clip:RN50:{file}", "is not a plain CLIP"),
        ("open_clip:roberta-ViT-B-32:{file}", "is not a plain CLIP"),
        ("open_clip:ViT-B-16:{file}.gone", "there is no file"),
    ],
)
def test_what_does_not_fit_is_one_line(name: str, message: str, file: Path, library: Any) -> None:
    with pytest.raises(LocalizerError, match=message):
        load_dual_encoder(name.format(file=file), "cpu")


def test_the_bundled_vocabulary_is_open_clips(library: Any) -> None:
    path = bundled_file()
    assert path is not None
    ours, theirs = HuggingFaceTokens(build_tokenizer(*read_bundled(path))), library.SimpleTokenizer()
    assert (ours.size, ours.end) == (49408, 49407)
    for text in [*TEXTS, "printed_circuit-board; 50% worn!", "don't   scratch\nit"]:
        assert ours([text], 77)[0][1:-1] == theirs.encode(text)
