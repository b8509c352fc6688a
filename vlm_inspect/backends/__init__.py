"""Models, however they are reached: `load_backend("openai:gpt-4o")`.

`PROVIDERS` is the whole registry. A provider's module is imported when it is chosen, so that naming a model loads no
library of another one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vlm_inspect.errors import BackendError

if TYPE_CHECKING:
    from vlm_inspect.backends.backend import Backend

DEFAULT_MODEL = "evidence"
Dtype = Literal["auto", "float32", "float16", "bfloat16"]
Quantization = Literal["8bit", "4bit"]


@dataclass(frozen=True)
class Connection:
    """How a model that is reached over a network is reached."""

    base_url: str | None = None
    """None: the provider's own default."""
    timeout_s: float = 120.0
    """Longest wait for one answer in seconds."""
    max_retries: int = 3
    """Further attempts after one that failed for a passing reason."""


@dataclass(frozen=True)
class Placement:
    """How a model that runs on this machine is loaded."""

    device: str = "auto"
    """"auto" (every GPU where there is one, else the CPU), "cpu", "cuda", "cuda:0", "mps"."""
    dtype: Dtype = "auto"
    """Number type of the weights; "auto": as stored."""
    quantize: Quantization | None = None
    """Fewer bits a weight, by bitsandbytes."""
    trust_remote_code: bool = False
    """Whether Python code that comes with the model may run."""


def load_backend(
    model: str = DEFAULT_MODEL,
    *,
    base_url: str | None = None,
    timeout_s: float = Connection.timeout_s,
    max_retries: int = Connection.max_retries,
    placement: Placement | None = None,
) -> "Backend":
    """Return the backend that `model` names, as PROVIDER:NAME or `evidence`. Nothing is sent yet.

    Args:
        model: PROVIDER:NAME.
        base_url: server of an `openai:` model.
        timeout_s: longest wait of an `openai:` model for one answer in seconds.
        max_retries: further attempts of an `openai:` or `langchain:` model after a passing failure.
        placement: how an `hf:` model is loaded; None: on what this machine has, as stored.

    Raises:
        BackendError: the provider is unknown, or the name or the connection cannot be right.
    """
    provider, _, name = model.strip().partition(":")
    if provider not in PROVIDERS:
        raise BackendError(f"unknown model provider {provider!r} in {model!r}; known: {', '.join(_USAGE.values())}")
    if placement is not None and provider != "hf":
        raise BackendError(f"the model {model} does not run here: device, dtype and quantization belong to hf:NAME")
    if base_url and provider in {"hf", "langchain"}:
        raise BackendError(f"the model {model} takes no base URL; that belongs to openai:NAME")
    return PROVIDERS[provider](name.strip(), Connection(base_url, timeout_s, max_retries), placement or Placement())


def _load_evidence(name: str, connection: Connection, placement: Placement) -> "Backend":
    from vlm_inspect.offline.report import EvidenceBackend

    if name or connection.base_url:
        raise BackendError("the model evidence works offline; it takes neither a name nor a base URL")
    return EvidenceBackend()


def _load_hf(name: str, connection: Connection, placement: Placement) -> "Backend":
    from vlm_inspect.backends.hf.model import HuggingFaceModel

    if not name:
        raise BackendError("the model has no name; write hf:FOLDER or hf:REPOSITORY, such as hf:models/smolvlm")
    return HuggingFaceModel(name, placement)


def _load_langchain(name: str, connection: Connection, placement: Placement) -> "Backend":
    from vlm_inspect.backends.langchain_chat import LangChainModel

    return LangChainModel(name, max_retries=connection.max_retries)


def _load_openai(name: str, connection: Connection, placement: Placement) -> "Backend":
    from vlm_inspect.backends.openai_compatible import OpenAICompatible

    if not name:
        raise BackendError("the model has no name; write openai:NAME, such as openai:gpt-4o")
    return OpenAICompatible(
        name, base_url=connection.base_url, timeout_s=connection.timeout_s, max_retries=connection.max_retries
    )


PROVIDERS: Mapping[str, Callable[[str, Connection, Placement], "Backend"]] = {
    "evidence": _load_evidence,
    "openai": _load_openai,
    "hf": _load_hf,
    "langchain": _load_langchain,
}
_USAGE = {
    "evidence": "evidence",
    "openai": "openai:NAME",
    "hf": "hf:FOLDER",
    "langchain": "langchain:MODULE:FACTORY",
}
