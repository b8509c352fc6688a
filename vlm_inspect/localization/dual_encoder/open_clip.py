"""The two towers of an open_clip `CLIP` model, and its weights out of a local file.

open_clip fuses the three projections of an attention into one matrix, and has been batch-first since 2.26.1; code that
still swaps the axes attends across pictures without an error. Going over the weights avoids both.
"""

import hashlib
import json
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.dual_encoder.encoder import CLIP_NORMALISATION, DualEncoder, Normalisation
from vlm_inspect.localization.dual_encoder.tokens import TokenLists
from vlm_inspect.localization.dual_encoder.transformer import (
    Block,
    TextBlocks,
    VisionBlocks,
    check_pixels,
    embed_patches,
    rows_at,
)
from vlm_inspect.localization.dual_encoder.weights_file import (
    SuspectWeights,
    check_shapes,
    file_digest,
    one_line,
    read_weights,
)


class OpenClipVision(VisionBlocks):
    """`VisionTower` over the `visual` part of an open_clip model."""

    def __init__(self, visual: Any, normalisation: Normalisation = CLIP_NORMALISATION) -> None:
        self.module: nn.Module = visual
        self.width = int(visual.conv1.out_channels)
        self.patch = int(visual.conv1.kernel_size[0])
        self.side = int(visual.image_size[0])
        self.joint = int(visual.proj.shape[1])
        self.normalisation = normalisation
        self._visual = visual
        self._stack = [block_of(layer) for layer in visual.transformer.resblocks]
        self.blocks = len(self._stack)
        self.heads = self._stack[0].heads
        visual.eval().requires_grad_(False)

    def enter(self, pixels: Tensor) -> Tensor:
        """See `VisionTower.enter`."""
        check_pixels(pixels, self.patch)
        visual = self._visual
        patches = visual.conv1(pixels.to(visual.conv1.weight.dtype))
        tokens: Tensor = visual.ln_pre(embed_patches(patches, visual.class_embedding, visual.positional_embedding))
        return tokens

    def leave(self, tokens: Tensor) -> Tensor:
        """See `VisionTower.leave`."""
        result: Tensor = self._visual.ln_post(tokens) @ self._visual.proj
        return result


class OpenClipText(TextBlocks):
    """`TextTower` over the text part of an open_clip model, which lies in the model itself."""

    def __init__(self, model: Any, tokenize: TokenLists) -> None:
        self.module: nn.Module = nn.ModuleDict(
            {"token_embedding": model.token_embedding, "transformer": model.transformer, "ln_final": model.ln_final}
        )
        self.embeddings: Tensor = model.token_embedding.weight
        self.width = int(self.embeddings.shape[1])
        self.context = int(model.context_length)
        self.causal = model.attn_mask is not None
        self.module.register_parameter("positional_embedding", model.positional_embedding)
        self._positions: Tensor = model.positional_embedding
        self._last_norm = model.ln_final
        projection = model.text_projection
        if isinstance(projection, nn.Linear):
            self.module.add_module("text_projection", projection)
            self._project: Callable[[Tensor], Tensor] = projection
            self.joint = int(projection.out_features)
        else:
            self.module.register_parameter("text_projection", projection)
            self._project = projection.__rmatmul__
            self.joint = int(projection.shape[1])
        self._tokenize = tokenize
        self._stack = [block_of(layer) for layer in model.transformer.resblocks]
        self.blocks = len(self._stack)
        self.module.eval().requires_grad_(False)

    def leave(self, tokens: Tensor, ends: Tensor, mask: Tensor) -> Tensor:
        """See `TextTower.leave`: the end token's row; `mask` plays no part."""
        return self._project(self._last_norm(rows_at(tokens, ends)))


class OpenClipTokens:
    """`TokenLists` of open_clip's `SimpleTokenizer`."""

    padding = 0

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.end = int(tokenizer.eot_token_id)
        self.size = int(tokenizer.vocab_size)

    def __call__(self, texts: Sequence[str], most: int) -> list[list[int]]:
        """Return the ids of each text, none longer than `most`."""
        start = int(self._tokenizer.sot_token_id)
        bodies = ([int(one) for one in self._tokenizer.encode(text)][: most - 2] for text in texts)
        return [[start, *body, self.end] for body in bodies]


def load_open_clip(model_name: str, file: Path, device: str, *, half: bool = False) -> DualEncoder:
    """Return the towers of open_clip's MODEL with the weights of a local file; no tag is ever downloaded.

    Raises:
        LocalizerError: open_clip is not there, the model is unknown or no plain CLIP, or the file does not fit it.
    """
    library = import_open_clip()
    settings = plain_settings(library, model_name)
    if not file.is_file():
        raise LocalizerError(f"open_clip:{model_name}: there is no file {file}; download the weights, then name them")
    if "openai" in file.name.lower() and not settings.get("quick_gelu"):
        warnings.warn(
            f"{file.name} looks like OpenAI's weights, which need QuickGELU: use open_clip:{model_name}-quickgelu",
            SuspectWeights,
            stacklevel=2,
        )
    model = build_open_clip(library, settings, file, model_name)
    check_activations(model, model_name, quick=bool(settings.get("quick_gelu")))
    name = f"{model_name} ({file.name})"
    content = f"{file_digest(file)}\n{json.dumps(settings, sort_keys=True)}"
    identity = f"open_clip/{model_name}/{hashlib.sha256(content.encode()).hexdigest()[:16]}" + ("/half" if half else "")
    model = model.to(device=device, dtype=torch.float16 if half else torch.float32)
    return wrap_open_clip(model, OpenClipTokens(library.SimpleTokenizer()), identity=identity, name=name)


def wrap_open_clip(
    model: Any, tokens: TokenLists, *, identity: str, name: str, normalisation: Normalisation = CLIP_NORMALISATION
) -> DualEncoder:
    """Return the towers of an open_clip `CLIP`, frozen and in evaluation mode; see `wrap_clip` for the arguments.

    Raises:
        LocalizerError: it pools or attends in a way of its own.
    """
    blocks = [*model.visual.transformer.resblocks, *model.transformer.resblocks]
    plain = (
        all(isinstance(getattr(one, "attn", None), nn.MultiheadAttention) for one in blocks)
        and model.visual.attn_pool is None
        and getattr(model.visual, "pool_type", "tok") == "tok"
        and getattr(model, "text_pool_type", "argmax") == "argmax"
    )
    if not plain:
        raise LocalizerError(f"{name}: its towers attend or pool in their own way; use a plain CLIP such as ViT-B-16")
    text = OpenClipText(model, tokens)
    temperature = 1.0 if model.logit_scale.is_meta else float(torch.exp(-model.logit_scale.detach().float()))
    return DualEncoder(OpenClipVision(model.visual, normalisation), text, temperature, identity, name)


def import_open_clip() -> Any:
    """Return the module open_clip.

    Raises:
        LocalizerError: it is not installed, or what it needs is broken.
    """
    try:
        return import_module("open_clip")
    except (ImportError, RuntimeError, OSError) as error:  # a torchvision of another torch fails in all three ways
        raise LocalizerError(
            f"open_clip cannot be imported ({one_line(error)}): pip install 'vlm-inspect[open-clip]'"
        ) from error


def plain_settings(library: Any, model_name: str) -> dict[str, Any]:
    """Return open_clip's settings of a model with a plain vision transformer and a plain text transformer.

    Raises:
        LocalizerError: open_clip does not know the model, or it is of another kind.
    """
    if ":" in model_name or model_name not in library.list_models():
        raise LocalizerError(
            f"open_clip knows no model {model_name!r}: try ViT-B-16-plus-240, ViT-B-32 or ViT-L-14-336-quickgelu"
        )
    settings: dict[str, Any] = library.get_model_config(model_name)
    vision, text = settings["vision_cfg"], settings["text_cfg"]
    other = (
        settings.get("custom_text")
        or "multimodal_cfg" in settings
        or not isinstance(vision.get("layers", 12), int)
        or "timm_model_name" in vision
        or any(key.startswith(("hf_", "tokenizer_")) for key in text)
    )
    if other:
        raise LocalizerError(
            f"open_clip's {model_name} is not a plain CLIP: a ViT-* model with CLIP's own text is needed"
        )
    return settings


def build_open_clip(library: Any, settings: dict[str, Any], file: Path, model_name: str) -> Any:
    """Return an open_clip `CLIP` with exactly the weights of a file.

    Raises:
        LocalizerError: the file cannot be read, or its tensors are not those of the model.
    """
    state = read_weights(file)
    with torch.device("meta"):
        model = library.CLIP(**settings)
    wanted = model.state_dict()
    if "logit_scale" in state:
        state["logit_scale"] = state["logit_scale"].reshape(wanted["logit_scale"].shape)
    check_shapes({name: tuple(one.shape) for name, one in wanted.items()}, state, file, f"open_clip's {model_name}")
    model.load_state_dict(state, assign=True)
    if model.attn_mask is not None:  # not part of the weights, so still without values
        length = int(model.context_length)
        model.attn_mask = torch.full((length, length), -torch.inf).triu(1)
    return model.eval()


def check_activations(model: Any, name: str, *, quick: bool) -> None:
    """Check that both towers have the activation that the settings ask for.

    Raises:
        LocalizerError: they have another.
    """
    x = torch.linspace(-3, 3, 25)
    wanted = x * torch.sigmoid(1.702 * x) if quick else F.gelu(x)
    for block in (*model.visual.transformer.resblocks, *model.transformer.resblocks):
        if not torch.allclose(block.mlp.gelu(x), wanted, atol=1e-5):
            raise LocalizerError(f"open_clip built {name} without its {'QuickGELU' if quick else 'GELU'}; update it")


def block_of(layer: Any) -> Block:
    """Return a `ResidualAttentionBlock` as a `Block`."""
    attention = layer.attn

    def project(tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        fused = F.linear(layer.ln_1(tokens), attention.in_proj_weight, attention.in_proj_bias)
        queries, keys, values = fused.chunk(3, dim=-1)
        return queries, keys, values

    def merge(attended: Tensor) -> Tensor:
        result: Tensor = layer.ls_1(attention.out_proj(attended))
        return result

    def feed(tokens: Tensor) -> Tensor:
        result: Tensor = layer.ls_2(layer.mlp(layer.ln_2(tokens)))
        return result

    return Block(int(attention.num_heads), project, merge, feed)
