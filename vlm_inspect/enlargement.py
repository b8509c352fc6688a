"""`Enlargement`: a place that a look shows larger, and the same place of a reference."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.view import BoxXyxyn


@dataclass(frozen=True, eq=False)
class Enlargement:
    """One place, larger, and the same place of a reference."""

    view: int
    box_xyxyn: BoxXyxyn
    reasons: tuple[tuple[str, Mapping[str, Any]], ...]
    """Why: keys of `Reasons` (prompting/second_request.py), each with the values of its text."""
    picture: NDArray[np.uint8]
    """uint8, HWC, RGB."""
    from_source: bool
    """False where it is a piece of the view."""
    reference: int | None = None
    """Number of the reference, from 0."""
    twin: NDArray[np.uint8] | None = None
    """The same place of it."""
