"""Models, however they are reached: `load_backend("openai:gpt-4o")`.

`PROVIDERS` is the whole registry. A provider's module is imported when it is chosen, so that naming a model loads no
library of another one.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from vlm_inspect.backends.settings import DEFAULT_RETRIES, DEFAULT_TIMEOUT_S, Connection, Dtype, Placement, Quantization
from vlm_inspect.errors import BackendError

if TYPE_CHECKING:
    from vlm_inspect.backends.backend import Backend

__all__ = ["DEFAULT_MODEL", "PROVIDERS", "Connection", "Dtype", "Placement", "Quantization", "load_backend"]

DEFAULT_MODEL = "evidence"


def load_backend(
    model: str = DEFAULT_MODEL,
    *,
    base_url: str | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    max_retries: int = DEFAULT_RETRIES,
    placement: Placement | None = None,
    connection: Connection | None = None,
) -> "Backend":
    """Return the backend that `model` names, as PROVIDER:NAME or `evidence`. Nothing is sent yet.

    Args:
        model: PROVIDER:NAME.
        base_url: server of an `openai:` model.
        timeout_s: longest wait of an `openai:` model for one answer in seconds.
        max_retries: further attempts of an `openai:` or `langchain:` model after a passing failure.
        placement: how an `hf:` model is loaded; None: on what this machine has, as stored.
        connection: all of how a model is reached, in place of the three settings above.

    Raises:
        BackendError: the provider is unknown, or the name or the connection cannot be right.
    """
    provider, _, name = model.strip().partition(":")
    if provider not in PROVIDERS:
        raise BackendError(f"unknown model provider {provider!r} in {model!r}; known: {', '.join(_USAGE.values())}")
    if placement is not None and provider != "hf":
        raise BackendError(f"the model {model} does not run here: device, dtype and quantization belong to hf:NAME")
    reached = connection or Connection(base_url, timeout_s, max_retries)
    if provider in {"hf", "langchain"}:
        _refuse_server_settings(model, reached)
    if provider == "langchain" and reached.max_tokens is not None:
        raise BackendError(f"the model {model} takes no --max-tokens; set the limit in the factory that makes it")
    return PROVIDERS[provider](name.strip(), reached, placement or Placement())


def _refuse_server_settings(model: str, connection: Connection) -> None:
    """Raise where something is asked for that only a server of an `openai:` model can have."""
    asked = {
        "base URL": connection.base_url,
        "header": connection.headers,
        "file of certificates": connection.ca_file,
        "reasoning effort": connection.reasoning_effort,
    }
    for what, value in asked.items():
        if value:
            raise BackendError(f"the model {model} takes no {what}; that belongs to openai:NAME")


def is_offline(model: str) -> bool:
    """Return whether a name, in `--model` or in a record, is that of the report that words measurements."""
    return model.strip() == DEFAULT_MODEL


def is_loaded_here(model: str) -> bool:
    """Return whether a model's weights are loaded on this machine, so that it has a `Placement`."""
    return model.strip().partition(":")[0] == "hf"


def asks_a_server(model: str) -> bool:
    """Return whether a model is reached over HTTP, at an address that can be chosen."""
    return model.partition(":")[0] == "openai"


def is_local(model: str) -> bool:
    """Return whether a model runs on this machine, so that it waits for no server and costs nothing."""
    return is_offline(model) or is_loaded_here(model)


def _load_evidence(name: str, connection: Connection, placement: Placement) -> "Backend":
    from vlm_inspect.backends.offline import EvidenceBackend

    if name or connection.base_url:
        raise BackendError("the model evidence works offline; it takes neither a name nor a base URL")
    return EvidenceBackend()


def _load_hf(name: str, connection: Connection, placement: Placement) -> "Backend":
    from vlm_inspect.backends.hf.model import HuggingFaceModel

    if not name:
        raise BackendError("the model has no name; write hf:FOLDER or hf:REPOSITORY, such as hf:models/smolvlm")
    if connection.max_tokens is not None:
        return HuggingFaceModel(name, placement, max_tokens=connection.max_tokens)
    return HuggingFaceModel(name, placement)


def _load_langchain(name: str, connection: Connection, placement: Placement) -> "Backend":
    from vlm_inspect.backends.langchain_chat import LangChainModel

    return LangChainModel(name, max_retries=connection.max_retries)


def _load_openai(name: str, connection: Connection, placement: Placement) -> "Backend":
    from vlm_inspect.backends.openai_compatible import OpenAICompatible

    if not name:
        raise BackendError("the model has no name; write openai:NAME, such as openai:gpt-4o")
    return OpenAICompatible(name, connection)


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
