"""A finding read back from its words, of which a case keeps no numbers: depth, extent, area and volume."""

import re
from dataclasses import dataclass
from typing import Literal

OTHER_SIDE = "the other side"
"""What the words of a finding say where it lies on both sides of the reference: ", the other side above"."""
_NUMBER = r"(\d[\d.]*(?:e[+-]?\d+)?)"
_SIDE = re.compile(
    rf"{_NUMBER} \S+ (above|below) the reference"
    rf"(?: over {_NUMBER} \S+ \({_NUMBER} \S+, {_NUMBER} \S+ (?:extra|missing)\))?"
)
_UNSEEN = re.compile(rf"material missing, nearest surface {_NUMBER} \S+ away, over {_NUMBER} \S+")


@dataclass(frozen=True)
class ToldFinding:
    """What `Finding.told` said; lengths in the scan's unit."""

    side: Literal["above", "below", "missing"]
    depth: float
    """Height or depth; of missing material, how far the nearest surface lies."""
    extent: float | None = None
    """None: not told."""
    area: float | None = None
    volume: float | None = None


def read_told(words: str) -> ToldFinding | None:
    """Return the finding that some words tell of; None where they tell of none."""
    if unseen := _UNSEEN.search(words):
        return ToldFinding("missing", float(unseen[1]), float(unseen[2]))
    told = _SIDE.search(words)
    if told is None:
        return None
    side: Literal["above", "below"] = "above" if told[2] == "above" else "below"
    if told[3] is None:
        return ToldFinding(side, float(told[1]))
    return ToldFinding(side, float(told[1]), float(told[3]), float(told[4]), float(told[5]))
