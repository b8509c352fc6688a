"""`DemoTruth`: what is wrong with every demo part, and where; the content of `truth.json`."""

from typing import Self

from pydantic import BaseModel, ConfigDict, RootModel, model_validator

from converters.view import BoxXyxyn
from vlm_inspect.inspection import Outcome


class DemoDefect(BaseModel):
    """One defect of a demo part, with one kind of place."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str
    point_mm: tuple[float, float, float] | None = None
    """Centre of the defect in the scan file's own coordinates."""
    box_xyxyn: BoxXyxyn | None = None
    """Box on the whole photograph."""
    time_s: float | None = None
    """Second of the clip, or of the curve, at the middle of the defect."""
    size_mm: float | None = None
    """Longest extent of what shows the defect on a scan, where that is known."""
    depth_mm: float | None = None
    """How deep or high it was made, where it was made so."""

    @model_validator(mode="after")
    def _has_one_place(self) -> Self:
        if sum(place is not None for place in (self.point_mm, self.box_xyxyn, self.time_s)) != 1:
            raise ValueError("a demo defect has exactly one of point_mm, box_xyxyn and time_s")
        return self


class DemoCase(BaseModel):
    """One demo part: its file, its rule book, its references and the right answer; paths relative to the demo."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    rules: str
    references: tuple[str, ...]
    outcome: Outcome
    defects: tuple[DemoDefect, ...] = ()


class DemoTruth(RootModel[tuple[DemoCase, ...]]):
    """Every demo part, in the order of `truth.json`."""

    model_config = ConfigDict(frozen=True)

    def case(self, source: str) -> DemoCase:
        """Return the case of that source.

        Raises:
            KeyError: no case has it.
        """
        for case in self.root:
            if case.source == source:
                return case
        raise KeyError(source)
