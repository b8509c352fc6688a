"""Processor and model from a folder, without the network and without pickles."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any, get_args

from vlm_inspect.backends.hf.folder import ModelFolder
from vlm_inspect.backends.settings import Dtype, Placement, Quantization
from vlm_inspect.errors import BackendError

_LOADING_FAILURES = (OSError, ValueError, ImportError, TypeError, KeyError, AttributeError, RuntimeError)
"""What transformers raises on files that do not belong together."""


def check_placement(folder: ModelFolder, placement: Placement) -> str:
    """Return the device that is meant: "auto" is every GPU where there is one, else the CPU.

    Raises:
        BackendError: an unknown device, number type or quantization, or one that this machine does not have.
    """
    import torch

    if placement.dtype not in get_args(Dtype):
        raise BackendError(f"{folder.name}: unknown dtype {placement.dtype!r}; use one of {', '.join(get_args(Dtype))}")
    if placement.quantize not in (None, *get_args(Quantization)):
        raise BackendError(f"{folder.name}: unknown quantization {placement.quantize!r}; use 8bit or 4bit")
    if placement.quantize and find_spec("bitsandbytes") is None:
        raise BackendError(f"{folder.name}: quantization needs bitsandbytes: pip install bitsandbytes")
    if placement.device == "auto":
        return "auto" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(placement.device)
    except RuntimeError:
        raise BackendError(
            f"{folder.name}: unknown device {placement.device!r}; use auto, cpu, cuda or cuda:0"
        ) from None
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not present.get(kind.type, False) or (kind.index or 0) >= max(1, torch.cuda.device_count()):
        raise BackendError(f"{folder.name}: this machine has no device {placement.device!r}; use auto or cpu")
    return placement.device


def load_processor(folder: ModelFolder, placement: Placement) -> Any:
    """Load what turns text and pictures into tensors.

    Raises:
        BackendError: its files are missing or wrong, or it takes no pictures.
    """
    from transformers import AutoProcessor

    options = {"local_files_only": True, "trust_remote_code": placement.trust_remote_code}
    with quiet():
        try:
            known = _class_of(folder)
            if known is not None and "video_processor" in known.get_attributes():
                processor = _load_for_pictures(known, folder, options)
            else:
                processor = AutoProcessor.from_pretrained(folder.path, **options)
        except _LOADING_FAILURES as error:
            raise BackendError(f"{folder.name}: its processor cannot be loaded: {_first_line(error)}") from error
    if not hasattr(processor, "image_processor") or not hasattr(processor, "tokenizer"):
        raise BackendError(f"{folder.name}: the folder holds no processor for pictures (preprocessor_config.json)")
    if not hasattr(processor, "image_token") or not hasattr(processor, "image_token_id"):
        raise BackendError(f"{folder.name}: a {type(processor).__name__} has no token for pictures; use another family")
    return processor


def load_model(folder: ModelFolder, placement: Placement, device: str) -> Any:
    """Load the weights, in evaluation mode.

    Raises:
        BackendError: the weights do not fit the configuration, or not into memory.
    """
    import torch
    from transformers import AutoModelForImageTextToText

    options: dict[str, Any] = {"dtype": placement.dtype, "device_map": "auto" if device == "auto" else {"": device}}
    if placement.quantize:
        options["quantization_config"] = _quantization(placement.quantize)
    with quiet():
        try:
            model, report = AutoModelForImageTextToText.from_pretrained(
                folder.path,
                local_files_only=True,
                trust_remote_code=placement.trust_remote_code,
                use_safetensors=True,
                output_loading_info=True,
                **options,
            )
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise BackendError(
                f"{folder.name}: out of memory on {device}; use --quantize 4bit or a smaller model"
            ) from error
        except _LOADING_FAILURES as error:
            raise BackendError(f"{folder.name}: its model cannot be loaded: {_first_line(error)}") from error
    if report["missing_keys"]:  # transformers would fill them with random numbers
        missing = sorted(report["missing_keys"])
        raise BackendError(f"{folder.name}: its weights lack {len(missing)} tensors, such as {missing[0]}")
    if model.config.is_encoder_decoder:
        raise BackendError(f"{folder.name} is a {folder.model_type}, which holds no conversation; use a chat model")
    return model.eval()


def _quantization(bits: Quantization) -> Any:
    import torch
    from transformers import BitsAndBytesConfig

    if bits == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16)


def _class_of(folder: ModelFolder) -> Any:
    """Return the processor class of a type that transformers knows, or None."""
    from transformers import CONFIG_MAPPING
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING

    if folder.model_type not in CONFIG_MAPPING:
        return None
    config_class = CONFIG_MAPPING[folder.model_type]
    return PROCESSOR_MAPPING.get(config_class, None)


def _load_for_pictures(known: Any, folder: ModelFolder, options: dict[str, Any]) -> Any:
    """Load a processor without its part for videos, which needs torchvision; clips arrive here as pictures."""
    from transformers import AutoImageProcessor, AutoTokenizer

    if known.__name__ == "SmolVLMProcessor":
        spare_number_words()
    settings, _ = known.get_processor_dict(folder.path, local_files_only=True)
    settings.pop("video_processor", None)
    parts = {
        "image_processor": AutoImageProcessor.from_pretrained(folder.path, backend="pil", **options),
        "tokenizer": AutoTokenizer.from_pretrained(folder.path, **options),
    }
    return for_pictures(known).from_args_and_dict([parts.get(name) for name in known.get_attributes()], settings)


def for_pictures(processor_class: Any) -> Any:
    """Return a processor class that asks for no video processor; its arguments stay where they are."""

    def get_attributes(cls: Any) -> list[str]:
        return [name for name in processor_class.get_attributes() if name != "video_processor"]

    added = {
        "get_attributes": classmethod(get_attributes),
        "video_processor": SimpleNamespace(num_frames=None, fps=None),
    }
    return type(processor_class.__name__, (processor_class,), added)


def spare_number_words() -> None:
    """Let SmolVLM's processor start without num2words, which spells the number of a video's frames for it."""
    from transformers.models.smolvlm import processing_smolvlm

    if processing_smolvlm.num2words is None:
        processing_smolvlm.num2words = str


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{lines[0][:300]}" if lines else type(error).__name__


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars and remarks of the library on stderr."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
