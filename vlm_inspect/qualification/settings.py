"""Which errors a class is qualified for."""

from pydantic import BaseModel, ConfigDict, Field

from vlm_inspect.sensitivity.bounds import MISSED, OVERKILL


class QualificationSettings(BaseModel):
    """The two errors that are controlled, and the defects that are planted to do so."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    overkill: float = Field(default=OVERKILL, gt=0.0, lt=0.5)
    """Share of normal parts that may be called NG."""
    missed: float = Field(default=MISSED, gt=0.0, lt=0.5)
    """Share of planted defects, of the size that matters, that may be called OK."""
    planted: int | None = Field(default=None, ge=0, le=2000)
    """How many defects are planted; None: what suits the kind of sample; 0: none, and the bound
    of normal parts decides alone."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Of the planted defects."""
