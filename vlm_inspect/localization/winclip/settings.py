"""What WinCLIP can be told."""

from dataclasses import dataclass
from typing import Literal

from vlm_inspect.errors import LocalizerError

Fusion = Literal["mean", "harmonic"]
"""How the map of the words and the map of the memory become one."""


@dataclass(frozen=True)
class WindowSettings:
    """What WinCLIP and ALFA share."""

    scales: tuple[int, ...] = (2, 3)
    """Sides of the windows in patches."""
    temperature: float = 0.07
    """tau: similarities are cosine / tau."""
    side: int | None = None
    """Side in pixels of what the tower sees; None: what its weights were made for."""
    least: float = 1e-6
    """Smaller window scores count as this in a harmonic mean."""
    fusion: Fusion = "mean"
    most_tokens: int = 20_000
    """Most window tokens in one batch; bounds memory (0.3 GB on ViT-B/16+)."""

    def __post_init__(self) -> None:
        if not self.scales or min(self.scales) < 1 or len(set(self.scales)) < len(self.scales):
            raise LocalizerError(f"window scales are different whole numbers from 1, not {self.scales}")
        if self.temperature <= 0 or not 0 < self.least < 1:
            raise LocalizerError("the temperature must be above 0, and the least score between 0 and 1")


@dataclass(frozen=True)
class WinClipSettings(WindowSettings):
    """WinCLIP."""

    with_picture: bool = True
    """Whether the score of the whole picture is one more scale of the map."""
