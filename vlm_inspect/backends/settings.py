"""How a model is reached, or loaded."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Dtype = Literal["auto", "float32", "float16", "bfloat16"]
Quantization = Literal["8bit", "4bit"]
DEFAULT_TIMEOUT_S = 120.0
DEFAULT_RETRIES = 3


@dataclass(frozen=True)
class Connection:
    """How a model that is reached over a network is reached, and what every request to it asks for."""

    base_url: str | None = None
    """None: the provider's own default."""
    timeout_s: float = DEFAULT_TIMEOUT_S
    """Longest wait for one answer in seconds."""
    max_retries: int = DEFAULT_RETRIES
    """Further attempts after one that failed for a passing reason."""
    max_tokens: int | None = None
    """Longest answer in tokens, thinking included; None: the provider's usual bound."""
    reasoning_effort: str | None = None
    """How much the model shall think, in the server's words ("low", "high"); None: as it does by itself."""
    most_pictures: int | None = None
    """Most pictures of one request, by the user; None: as many as the server was met to take."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Further headers of every request; they may hold secrets."""
    ca_file: Path | None = None
    """Certificates of the authorities to trust, as PEM; None: those of the system."""


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
