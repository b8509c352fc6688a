"""`ablation.json`: what each part of the prompt is worth, as `ablate` writes it and reports read it."""

from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from evaluation.runs.results import Interval, Number


class AblationRow(BaseModel):
    """One run of the ablation."""

    model_config = ConfigDict(frozen=True, extra="allow")

    model: str
    variant: str = Field(validation_alias=AliasChoices("variant", "rung"))
    """What the prompt holds; files of version 0.1 call it rung."""
    image_auroc: Number | None = None
    interval: Interval | None = None
    gain: dict[str, Number] | None = None


class AblationDocument(BaseModel):
    """All of it."""

    model_config = ConfigDict(frozen=True, extra="allow")

    dataset: str
    left_out: dict[str, Any] = {}
    rows: list[AblationRow]
