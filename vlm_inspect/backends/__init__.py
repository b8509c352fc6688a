"""Models, however they are reached: `load_backend("openai:gpt-4o")`.

`PROVIDERS` is the whole registry. A provider's module is imported when it is chosen, so that naming a model loads no
library of another one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlm_inspect.errors import BackendError

if TYPE_CHECKING:
    from vlm_inspect.backends.backend import Backend

DEFAULT_MODEL = "evidence"


@dataclass(frozen=True)
class Connection:
    """How a model that is reached over a network is reached."""

    base_url: str | None = None
    """None: the provider's own default."""
    timeout_s: float = 120.0
    """Longest wait for one answer in seconds."""
    max_retries: int = 3
    """Further attempts after one that failed for a passing reason."""


def load_backend(
    model: str = DEFAULT_MODEL,
    *,
    base_url: str | None = None,
    timeout_s: float = Connection.timeout_s,
    max_retries: int = Connection.max_retries,
) -> "Backend":
    """Return the backend that `model` names, as PROVIDER:NAME or `evidence`. Nothing is sent yet.

    Raises:
        BackendError: the provider is unknown, or the name or the connection cannot be right.
    """
    provider, _, name = model.strip().partition(":")
    if provider not in PROVIDERS:
        raise BackendError(f"unknown model provider {provider!r} in {model!r}; known: {', '.join(_USAGE.values())}")
    return PROVIDERS[provider](name, Connection(base_url, timeout_s, max_retries))


def _load_evidence(name: str, connection: Connection) -> "Backend":
    from vlm_inspect.backends.offline import EvidenceBackend

    if name or connection.base_url:
        raise BackendError("the model evidence works offline; it takes neither a name nor a base URL")
    return EvidenceBackend()


def _load_openai(name: str, connection: Connection) -> "Backend":
    from vlm_inspect.backends.openai_compatible import OpenAICompatible

    if not name:
        raise BackendError("the model has no name; write openai:NAME, such as openai:gpt-4o")
    return OpenAICompatible(
        name, base_url=connection.base_url, timeout_s=connection.timeout_s, max_retries=connection.max_retries
    )


PROVIDERS: Mapping[str, Callable[[str, Connection], "Backend"]] = {
    "evidence": _load_evidence,
    "openai": _load_openai,
}
_USAGE = {"evidence": "evidence", "openai": "openai:NAME"}
