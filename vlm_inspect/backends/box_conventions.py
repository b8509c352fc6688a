"""How families of models write boxes: data of `prompts/words/boxes.yaml`, and boxes written and read by it."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from converters.view import BoxXyxyn
from vlm_inspect.prompt_files import fill_text, prompt_folder, read_prompt_file

BoxUnit = Literal["per_mille", "pixels", "fraction"]


class BoxConvention(BaseModel):
    """How a model is asked for boxes, and reads those of the prompt."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str = "box"
    """Name of the box in the answer."""
    unit: BoxUnit = "per_mille"
    multiple: int = Field(default=1, ge=1)
    """Pixels count in a picture whose sides were rounded to a multiple of so many."""
    rows_first: bool = False
    """y before x."""
    form: str
    """What stands for a box in the asked answer."""
    words: str
    """What the prompt says of a box."""

    def sides_of(self, size_hw: tuple[int, int]) -> tuple[float, float]:
        """Return what the whole height and width of a picture are in this unit.

        Args:
            size_hw: height and width in pixels of the picture as it is sent.
        """
        if self.unit == "pixels":
            height, width = (max(self.multiple, round(side / self.multiple) * self.multiple) for side in size_hw)
            return float(height), float(width)
        return (1.0, 1.0) if self.unit == "fraction" else (1000.0, 1000.0)

    def write(self, box_xyxyn: BoxXyxyn, size_hw: tuple[int, int]) -> list[float]:
        """Return a box as this convention writes it; `size_hw` as in `sides_of`."""
        high, wide = self.sides_of(size_hw)
        x0, y0, x1, y1 = (share * side for share, side in zip(box_xyxyn, (wide, high, wide, high), strict=True))
        told = (y0, x0, y1, x1) if self.rows_first else (x0, y0, x1, y1)
        if self.unit == "fraction":
            return [round(min(1.0, max(0.0, side)), 3) for side in told]
        most = (high, wide, high, wide) if self.rows_first else (wide, high, wide, high)
        return [min(round(limit), max(0, round(side))) for side, limit in zip(told, most, strict=True)]


@dataclass(frozen=True)
class BoxFrame:
    """The boxes of one request: their convention, and the size in which each view was sent."""

    convention: BoxConvention
    sizes_hw: tuple[tuple[int, int], ...] = ()
    """Height and width in pixels, one a view; a view beyond them was sent as it is."""

    def size_of(self, view: int, size_hw: tuple[int, int]) -> tuple[int, int]:
        """Return the size in which a view was sent, of `size_hw` by itself."""
        return self.sizes_hw[view] if view < len(self.sizes_hw) else size_hw

    def within(self, side: int | None) -> "BoxFrame":
        """Return the boxes of the same request where no picture was sent longer than `side` pixels; None: as it is."""
        if side is None:
            return self
        return BoxFrame(self.convention, tuple(_fit(size_hw, side) for size_hw in self.sizes_hw))


class _Family(BoxConvention):
    families: tuple[str, ...] = Field(min_length=1)
    source: str


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    conventions: tuple[_Family, ...] = Field(min_length=1)
    found: dict[BoxUnit, str]


def _fit(size_hw: tuple[int, int], side: int) -> tuple[int, int]:
    scale = min(1.0, side / max(size_hw))
    return max(1, round(size_hw[0] * scale)), max(1, round(size_hw[1] * scale))


def find_convention(model: str) -> BoxConvention:
    """Return the convention of the family that a model's name belongs to.

    Raises:
        PromptError: the file of conventions is missing or wrong.
    """
    plain = model.lower()
    for family in _load().conventions:
        if any(fnmatchcase(plain, pattern) for pattern in family.families):
            return BoxConvention.model_validate(family.model_dump(exclude={"families", "source"}))
    return usual_convention()


def usual_convention() -> BoxConvention:
    """Return what is asked of a model of no known family: per mille, x first."""
    return BoxConvention.model_validate(_load().conventions[-1].model_dump(exclude={"families", "source"}))


def convention_of_habit(model: str, unit: BoxUnit, *, rows_first: bool) -> BoxConvention:
    """Return the convention of a model whose habit was found out; that of its family, where it is the same."""
    known = find_convention(model)
    if (known.unit, known.rows_first) == (unit, rows_first):
        return known
    words = fill_text(_load().found[unit], {"rows_first": rows_first}, "boxes.yaml")
    form = "[y0, x0, y1, x1]" if rows_first else "[x0, y0, x1, y1]"
    return BoxConvention(unit=unit, rows_first=rows_first, form=form, words=words)


@cache
def _load() -> _File:
    return read_prompt_file(_File, prompt_folder() / "words" / "boxes.yaml")
