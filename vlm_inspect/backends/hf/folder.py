"""A name to a folder that can be loaded, or the one line that says why not. No weight is read here."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from vlm_inspect.errors import BackendError
from vlm_inspect.file_patterns import in_home

LEAST_TRANSFORMERS = (5, 23)
"""The first one that this was tried with: earlier processors do not tell where a picture's tokens stand."""
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
_INDEX = "model.safetensors.index.json"


@dataclass(frozen=True)
class ModelFolder:
    """A folder with a vision-language model, as far as its small files tell."""

    name: str
    """hf:NAME as the user wrote it, for messages."""
    path: Path
    config: Mapping[str, Any]
    model_type: str
    weights: tuple[Path, ...]
    """The safetensors files."""


def open_folder(name: str, *, trust_remote_code: bool = False) -> ModelFolder:
    """Find the folder of a model and check that it can be used.

    Args:
        name: a folder, or the id of a repository that is in the hub's cache on this machine.
        trust_remote_code: whether code that comes with the model may run.

    Raises:
        BackendError: no such folder, nothing cached, no vision model, weights missing, or code of its own wanted.
    """
    shown = f"hf:{name}"
    _require_library(shown)
    path = _find(name, shown)
    config = _read_json(path / "config.json", shown)
    model_type = str(config.get("model_type", ""))
    _check_kind(config, model_type, shown, trust_remote_code=trust_remote_code)
    return ModelFolder(shown, path, config, model_type, _find_weights(path, shown))


def _require_library(shown: str) -> None:
    from importlib.util import find_spec

    missing = [name for name in ("transformers", "accelerate", "llguidance") if find_spec(name) is None]
    if missing:
        raise BackendError(f"{shown} needs {', '.join(missing)}: pip install 'vlm-inspect[hf]'")
    found = version("transformers")
    if tuple(int(part) for part in re.findall(r"\d+", found)[:2]) < LEAST_TRANSFORMERS:
        least = ".".join(map(str, LEAST_TRANSFORMERS))
        raise BackendError(
            f"{shown} needs transformers {least} or newer, not {found}: pip install -U 'vlm-inspect[hf]'"
        )


def _find(name: str, shown: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    path = in_home(name)
    if path.is_dir():
        return path
    if path.exists():
        raise BackendError(f"{shown} is a file; give the folder of a transformers model")
    if not _REPOSITORY.fullmatch(name):
        raise BackendError(f"{shown}: there is no such folder")
    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, OSError, ValueError) as error:
        raise BackendError(
            f"{shown} is neither a folder nor in this machine's cache; download it once with: hf download {name}"
        ) from error


def _read_json(path: Path, shown: str) -> Mapping[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BackendError(f"{shown}: {path.parent} holds no {path.name} of a transformers model") from None
    except (OSError, ValueError) as error:
        raise BackendError(f"{shown}: {path.name} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise BackendError(f"{shown}: {path.name} is not a JSON object")
    return data


def _check_kind(config: Mapping[str, Any], model_type: str, shown: str, *, trust_remote_code: bool) -> None:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    if model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        return
    own_code = config.get("auto_map")
    if own_code and not trust_remote_code:
        raise BackendError(
            f"{shown} wants to run code of its own repository, which is refused; read that code, then add "
            "--trust-remote-code, or use a model that transformers knows"
        )
    if own_code and "AutoModelForImageTextToText" in own_code:
        return
    if own_code:
        raise BackendError(
            f"{shown}: its code offers no AutoModelForImageTextToText; use the repository that was converted for "
            "transformers, whose name often ends in -hf"
        )
    if model_type in CONFIG_MAPPING_NAMES:
        raise BackendError(f"{shown} is a {model_type}, which answers no questions about pictures; use a VLM")
    raise BackendError(f"{shown} is of the type {model_type!r}, which this transformers does not know; upgrade it")


def _find_weights(path: Path, shown: str) -> tuple[Path, ...]:
    if (path / _INDEX).is_file():
        index = _read_json(path / _INDEX, shown).get("weight_map")
        if not isinstance(index, dict) or not index:
            raise BackendError(f"{shown}: {_INDEX} has no weight_map")
        files = tuple(path / str(name) for name in sorted(set(index.values())))
    else:
        files = (path / "model.safetensors",)
    missing = [file.name for file in files if not file.is_file()]
    if missing and any(path.glob("*.bin")):
        raise BackendError(f"{shown} has its weights as pickles (.bin), which are not loaded; convert to safetensors")
    if missing:
        raise BackendError(f"{shown}: its weights are incomplete, {missing[0]} is missing; download it again")
    return files
