"""Weights by name: a folder, an id in the hub's local cache, or an open_clip file. Nothing here reaches the network."""

from pathlib import Path

from vlm_inspect.errors import LocalizerError
from vlm_inspect.file_patterns import in_home
from vlm_inspect.localization.dual_encoder.encoder import DualEncoder
from vlm_inspect.real_path import real_path

OPEN_CLIP = "open_clip:"
EXAMPLE_ID = "openai/clip-vit-base-patch16"
"""Weights (MIT) that messages recommend: a good middle for all methods. None come with this package."""


def load_dual_encoder(name: str, device: str = "auto", *, half: bool = False) -> DualEncoder:
    """Return the pair of towers of that name, frozen and in evaluation mode.

    Args:
        name: a folder of a transformers `CLIPModel` (config.json, model.safetensors or pytorch_model.bin) or of an
            open_clip model (open_clip_config.json beside its weights), an id such as "openai/clip-vit-base-patch16"
            that is in the hub's local cache, or "open_clip:MODEL:FILE".
        device: "cpu", "cuda", "cuda:1", or "auto": CUDA where there is one.
        half: float16 weights, on CUDA only; float32 otherwise.

    Raises:
        LocalizerError: nothing of that name is on this disk, the weights are broken, incomplete or of another model or
            size, the tokenizer is missing, or there is no such device.
    """
    where = _device(device)
    if half and not where.startswith("cuda"):
        raise LocalizerError(f"half precision needs a CUDA device, not {where}")
    if name.startswith(OPEN_CLIP):
        from vlm_inspect.localization.dual_encoder.open_clip import load_open_clip

        model, separator, file = name.removeprefix(OPEN_CLIP).partition(":")
        if not (model and separator and file):
            raise LocalizerError(f"{name!r} is incomplete: write open_clip:MODEL:FILE, as in open_clip:ViT-B-16:w.pt")
        return load_open_clip(model, in_home(file), where, half=half)
    from vlm_inspect.localization.dual_encoder.clip_folder import load_clip_folder

    folder = find_folder(name)
    return load_clip_folder(folder, _short_name(name), where, half=half)


def find_folder(name: str) -> Path:
    """Return the folder of that path, or the snapshot of that id in the hub's local cache.

    Raises:
        LocalizerError: neither exists, or the path is a file.
    """
    folder = in_home(name)
    if name and folder.is_dir():
        return folder
    if folder.is_file():
        raise LocalizerError(
            f"{name} is a file: pass the folder that holds config.json and the weights, or open_clip:MODEL:{name}"
        )
    cached = _cached_folder(name)
    if cached is None:
        example = EXAMPLE_ID
        raise LocalizerError(
            f"no CLIP weights at {name!r}: not a folder, and not in the hub's cache; on a machine with a network run "
            f"'hf download {example} --local-dir FOLDER' once, then pass --clip FOLDER; without --clip the memory, or "
            "dapo-mini, makes the heatmaps"
        )
    return cached


def _cached_folder(name: str) -> Path | None:
    try:
        from huggingface_hub import try_to_load_from_cache
        from huggingface_hub.errors import HFValidationError
    except ImportError:
        return None
    try:
        found = (try_to_load_from_cache(name, file) for file in ("config.json", "open_clip_config.json"))
        return next((Path(one).parent for one in found if isinstance(one, str)), None)
    except HFValidationError:  # not an id but a path that does not exist
        return None


def _short_name(name: str) -> str:
    """Return what a result calls the weights: the id as it is, of a folder its last part."""
    folder = in_home(name)
    return real_path(folder).name if folder.is_dir() else name


def _device(device: str) -> str:
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(device)
    except RuntimeError as error:
        raise LocalizerError(f"unknown device {device!r}: use auto, cpu or cuda") from error
    if kind.type == "cuda" and (kind.index or 0) >= torch.cuda.device_count():
        raise LocalizerError(f"device {device!r} is not there: {torch.cuda.device_count()} CUDA devices were found")
    if kind.type not in ("cpu", "cuda"):
        raise LocalizerError(f"device {device!r} is not supported: use auto, cpu or cuda")
    return device
