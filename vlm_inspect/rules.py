"""`RuleBook`, `Rule`, `Check`: what normal means for a class of parts, from YAML."""

import hashlib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

Severity = Literal["critical", "major", "minor"]
Unit = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Check(_Strict):
    """A measurable rule: the value of `measure` must lie in [min, max]; a bound that is None does not count."""

    measure: str
    min: float | None = Field(default=None, allow_inf_nan=False)
    max: float | None = Field(default=None, allow_inf_nan=False)
    channel: str | None = None
    """Series only: which channel, by name; None: every channel, the worst one counts."""

    @model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("a check needs min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        return self


class Rule(_Strict):
    """One sentence about a normal part; with a `check` it is measured, without one the model judges it."""

    id: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    text: str = Field(min_length=1, max_length=2000)
    severity: Severity = "major"
    check: Check | None = None


class RuleBook(_Strict):
    """What normal means for a class of parts."""

    class_name: str = Field(min_length=1, max_length=200)
    description: str = Field(default="", max_length=4000)
    unit: str = Field(default="mm", max_length=16)
    rules: tuple[Rule, ...] = ()
    defects: tuple[Annotated[str, Field(min_length=1, max_length=100)], ...] = ()
    references: tuple[str, ...] = ()
    ignore: tuple[tuple[Unit, Unit, Unit, Unit], ...] = ()

    _folder: Path = PrivateAttr(default_factory=Path.cwd)
    _sha256: str = PrivateAttr(default="")

    @property
    def folder(self) -> Path:
        """Folder that `references` are relative to."""
        return self._folder

    @property
    def sha256(self) -> str:
        """Digest of the YAML bytes, or of the canonical JSON of a book made in code."""
        return self._sha256 or hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def rule(self, rule_id: str) -> Rule | None:
        """Return the rule of that id, or None."""
        return next((rule for rule in self.rules if rule.id == rule_id), None)
