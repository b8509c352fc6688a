"""What the reference memory can be told."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

EyeChoice = Literal["auto", "fast", "fine"]
Pixels = Annotated[int, Field(ge=64 * 64, le=2048 * 2048)]


class MemorySettings(BaseModel):
    """What trades quality for time; docs/results.md says what the defaults cost."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    eye: EyeChoice = "auto"
    """"fast", "fine", or "auto": fine for photos, fast for the many views of scans and the frames of clips."""
    backbone: Annotated[str, Field(min_length=1)] | None = None
    """One network instead of the eye's: "lite0", "dinov2", or a vision model of the transformers library, by its folder
    or id."""
    least_pixels: Pixels = 256 * 256
    most_pixels: Pixels = 384 * 384
    """What a framed picture has for Lite0: the least, or the most where the references' pictures themselves have
    clearly more than the least: a crop to the part spends them on the part. To the fine eye a part whose crop is less
    than half of such pictures has 16/9 of the most."""
    large_pixels: Pixels = 640 * 640
    """What it has for Lite0 of the fine eye where the crop to the part has as many by itself."""
    fine_pixels: Pixels = 448 * 448
    """What it has for DINOv2."""
    capacity: Annotated[int, Field(ge=100, le=1_000_000)] = 6000
    """Most patches of one bank."""
    place_weight: Annotated[float, Field(ge=0.0, le=100.0)] = 3.0
    """Weight of the place of a patch where parts are framed alike."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.least_pixels > self.most_pixels:
            raise ValueError("least_pixels must not be above most_pixels")
        return self
