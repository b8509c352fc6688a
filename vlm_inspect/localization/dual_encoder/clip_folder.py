"""A transformers `CLIPModel` out of a folder in the published layout: config, weights, tokenizer, image settings."""

import hashlib
import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.dual_encoder import conversion
from vlm_inspect.localization.dual_encoder.clip_vocabulary import FILES, load_tokenizer
from vlm_inspect.localization.dual_encoder.encoder import CLIP_NORMALISATION, DualEncoder, Normalisation
from vlm_inspect.localization.dual_encoder.weights_file import (
    SuspectWeights,
    check_shapes,
    file_digest,
    files_of,
    one_line,
    read_weights,
)

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = (
    *("model.safetensors", "model.safetensors.index.json"),
    *("pytorch_model.bin", "pytorch_model.bin.index.json"),
)
"""Names of the file of weights, or of the index of several, the preferred one first."""


@dataclass(frozen=True, eq=False)
class Layout:
    """What a folder says of itself, before its weights are read."""

    config: Any
    """`CLIPConfig`."""
    normalisation: Normalisation
    weights: Path
    foreign: bool
    """Whether the weights have open_clip's names."""


def load_clip_folder(folder: Path, name: str, device: str, *, half: bool = False) -> DualEncoder:
    """Return the towers of a folder; see `load_dual_encoder` for the arguments.

    Raises:
        LocalizerError: transformers is not installed, or the folder holds no whole CLIP model of the size it states.
    """
    _require_transformers(name)
    import torch

    from vlm_inspect.localization.dual_encoder.hugging_face import HuggingFaceTokens, wrap_clip

    layout = read_layout(folder, name)
    tokens = HuggingFaceTokens(load_tokenizer(folder, name))
    state = read_weights(layout.weights)
    model = build_model(layout.config, conversion.convert_weights(state) if layout.foreign else state, layout.weights)
    check_activations(model, name)
    identity = f"clip/{_digest(folder, layout)}" + ("/half" if half else "")
    model = model.to(device=device, dtype=torch.float16 if half else torch.float32)
    return wrap_clip(model, tokens, identity=identity, name=name, normalisation=layout.normalisation)


def read_layout(folder: Path, name: str) -> Layout:
    """Return what a folder says of itself; warns where its activation contradicts its name.

    Raises:
        LocalizerError: a file is missing or cannot be read, or it is of another architecture.
    """
    settings = _read_json(folder / "config.json") if (folder / "config.json").is_file() else {}
    kind = settings.get("model_type")
    foreign = kind != "clip" and (folder / conversion.SETTINGS).is_file()
    if foreign:
        settings, pictures = conversion.read_open_clip_folder(folder)
    elif not settings:
        raise LocalizerError(f"{folder} holds no CLIP model: there is no config.json in it")
    elif kind != "clip":
        raise LocalizerError(f"{folder} holds a {kind or 'model of unknown type'}, not a CLIP model with both towers")
    else:
        path = folder / "preprocessor_config.json"
        pictures = _read_json(path) if path.is_file() else {}
    config = _config(settings, folder)
    _warn_of_activation(config, f"{name} {settings.get('_name_or_path', '')}", name)
    files = conversion.WEIGHTS if foreign else WEIGHTS
    weights = next((folder / file for file in files if (folder / file).is_file()), None)
    if weights is None:
        names = " or ".join(file for file in files if not file.endswith(".json"))
        raise LocalizerError(f"{folder} holds a configuration but no weights: {names} is missing")
    return Layout(config, _normalisation(pictures, folder), weights, foreign)


def build_model(config: Any, state: "Mapping[str, Tensor]", path: Path) -> Any:
    """Return a `CLIPModel` with exactly these weights.

    Raises:
        LocalizerError: a tensor is missing, left over, not finite, or of another shape than the configuration says.
    """
    import torch
    from transformers import CLIPModel

    try:
        with torch.device("meta"):
            wanted = {name: tuple(one.shape) for name, one in CLIPModel(config).state_dict().items()}
    except (ValueError, TypeError, KeyError, RuntimeError, ZeroDivisionError) as error:
        raise LocalizerError(f"the configuration beside {path} describes no CLIP model: {one_line(error)}") from error
    # older versions of transformers saved the counting numbers 0, 1, 2, ... too
    tensors = {name: one for name, one in state.items() if not name.endswith("position_ids")}
    check_shapes(wanted, tensors, path, "its configuration")
    with _no_progress_bar():
        return CLIPModel.from_pretrained(None, config=config, state_dict=tensors, dtype=torch.float32).eval()


def check_activations(model: Any, name: str) -> None:
    """Check that both towers were built with the activation that the configuration names.

    GELU in place of QuickGELU (or the other way) loads without complaint and spoils every feature.

    Raises:
        LocalizerError: they were not.
    """
    import torch
    import torch.nn.functional as F

    x = torch.linspace(-3, 3, 25)
    known = {"gelu": F.gelu(x), "quick_gelu": x * torch.sigmoid(1.702 * x)}
    for tower in (model.text_model, model.vision_model):
        wanted = tower.config.hidden_act
        for layer in tower.encoder.layers:
            if wanted in known and not torch.allclose(layer.mlp.activation_fn(x), known[wanted], atol=1e-5):
                raise LocalizerError(f"{name}: transformers built the model without its {wanted}; update transformers")


def _config(settings: Mapping[str, Any], folder: Path) -> Any:
    from huggingface_hub.errors import StrictDataclassError
    from transformers import CLIPConfig

    try:
        return CLIPConfig.from_dict(dict(settings))
    except (StrictDataclassError, ValueError, TypeError, KeyError, AttributeError, ZeroDivisionError) as error:
        raise LocalizerError(f"{folder} has no usable CLIP configuration: {one_line(error)}") from error


def _warn_of_activation(config: Any, names: str, name: str) -> None:
    activations = {config.text_config.hidden_act, config.vision_config.hidden_act}
    if "openai" in names.lower() and activations != {"quick_gelu"}:
        warnings.warn(
            f"{name}: OpenAI's weights were trained with quick_gelu, the configuration says "
            f"{', '.join(sorted(activations))}; unless these are other weights, every score will be off",
            SuspectWeights,
            stacklevel=4,
        )


def _normalisation(pictures: Mapping[str, Any], folder: Path) -> Normalisation:
    try:
        red, green, blue = (float(one) for one in pictures.get("image_mean") or CLIP_NORMALISATION.mean)
        deviations = [float(one) for one in pictures.get("image_std") or CLIP_NORMALISATION.std]
        if len(deviations) != 3 or not all(0 < one < 1e6 for one in deviations):
            raise ValueError(f"deviations {deviations}")
    except (ValueError, TypeError) as error:
        raise LocalizerError(f"{folder}: its image settings need three means and deviations: {error}") from error
    return Normalisation((red, green, blue), (deviations[0], deviations[1], deviations[2]))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise LocalizerError(f"{path} is not JSON: {one_line(error)}") from error
    if not isinstance(content, dict):
        raise LocalizerError(f"{path} is not a JSON object")
    return content


def _digest(folder: Path, layout: Layout) -> str:
    """Return a short digest of all that decides the features: weights, configuration, tokenizer, normalisation."""
    keys = ("hidden_act", "num_attention_heads", "layer_norm_eps", "image_size", "patch_size", "eos_token_id")
    towers = (layout.config.vision_config, layout.config.text_config)
    parts = [*(file_digest(file) for file in files_of(layout.weights)), repr(layout.normalisation)]
    parts.extend(f"{key}={getattr(tower, key, None)}" for tower in towers for key in keys)
    files = (folder / file for file in FILES)
    parts.extend(f"{file.name}:{file_digest(file)}" for file in files if file.is_file())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    """Keep transformers from drawing its own bar; ours are the only ones on stderr."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _require_transformers(name: str) -> None:
    from importlib.util import find_spec

    if find_spec("transformers") is None:
        raise LocalizerError(f"the CLIP weights {name} need transformers: pip install 'vlm-inspect[hf]'")
