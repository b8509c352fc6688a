"""What WinCLIP can be told."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Fusion = Literal["mean", "harmonic"]
"""How the map of the words and the map of the memory become one."""
Scale = Annotated[int, Field(ge=1, le=64)]


class WindowSettings(BaseModel):
    """What WinCLIP and ALFA share."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    scales: Annotated[tuple[Scale, ...], Field(min_length=1)] = (2, 3)
    """Sides of the windows in patches."""
    temperature: Annotated[float, Field(gt=0.0)] = 0.07
    """tau: similarities are cosine / tau."""
    side: Annotated[int, Field(ge=8, le=4096)] | None = None
    """Side in pixels of what the tower sees; None: what its weights were made for."""
    least: Annotated[float, Field(gt=0.0, lt=1.0)] = 1e-6
    """Smaller window scores count as this in a harmonic mean."""
    fusion: Fusion = "mean"
    most_tokens: Annotated[int, Field(ge=1)] = 20_000
    """Most window tokens in one batch; bounds memory (0.3 GB on ViT-B/16+)."""

    @field_validator("scales")
    @classmethod
    def _differ(cls, scales: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(scales)) < len(scales):
            raise ValueError(f"window scales differ from each other; {list(scales)} names one twice")
        return scales


class WinClipSettings(WindowSettings):
    """WinCLIP."""

    with_picture: bool = True
    """Whether the score of the whole picture is one more scale of the map."""
