"""What each tool takes. Boxes and points are in per mille of a view, as in everything that models read and write."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

BoxPermille = Annotated[list[int], Field(min_length=4, max_length=4)]
Word = Annotated[str, Field(min_length=2, max_length=60)]
PointPermille = Annotated[list[int], Field(min_length=2, max_length=2)]


class Arguments(BaseModel):
    """Root of the arguments: nothing unknown is taken."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Zoom(Arguments):
    """A box of a view."""

    view: int
    box: BoxPermille


class Compare(Arguments):
    """A box of a view, and with how many references."""

    view: int
    box: BoxPermille
    references: int = Field(default=2, ge=1, le=4)


class Direction(Arguments):
    """Where to look at a scan from."""

    yaw_deg: float = Field(ge=-360, le=360, allow_inf_nan=False)
    pitch_deg: float = Field(default=0.0, ge=-90, le=90, allow_inf_nan=False)


class Moment(Arguments):
    """A stretch of time around a second."""

    time_s: float = Field(allow_inf_nan=False)
    frames: int = Field(default=9, ge=1, le=16)
    step: int = Field(default=1, ge=1, le=1000)


class Heatmap(Arguments):
    """The view, and who makes the map."""

    view: int
    localizer: str | None = None
    words: list[Word] | None = Field(default=None, min_length=1, max_length=8)
    """Kinds of defects that a map is made for; None: those of the rule book."""


class Distance(Arguments):
    """Two points, on one view or on two."""

    view: int
    from_point: PointPermille
    to_point: PointPermille
    to_view: int | None = None


class OfRule(Arguments):
    """A rule by its id."""

    rule: str


class Similar(Arguments):
    """How many cases."""

    count: int = Field(default=3, ge=1, le=8)
