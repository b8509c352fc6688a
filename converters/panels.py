"""`PanelOrigin`: several pictures of one place of a scan in one view; a box in any of them is found on the scan."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from converters.projection import ScanOrigin
from converters.view import BoxXyxyn, Pane, Place


@dataclass(frozen=True, eq=False)
class PanelOrigin:
    """Maps a box in a panel to the part: all panels show the same place through the same window."""

    panes: tuple[Pane, ...]
    size_hw: tuple[int, int]
    """Of the view."""
    origin: ScanOrigin
    """Of one panel."""

    def locate(self, box_xyxyn: BoxXyxyn) -> Place:
        """Return the place of a box; the panel that its middle lies in, or nearest to, counts."""
        height, width = self.size_hw
        sides = (width, height, width, height)
        x0, y0, x1, y1 = (share * side for share, side in zip(box_xyxyn, sides, strict=True))
        middle = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
        left, top, right, bottom = min((pane.box_xyxy for pane in self.panes), key=lambda box: _beside(box, middle))
        wide, high = right - left, bottom - top
        inside = ((x0 - left) / wide, (y0 - top) / high, (x1 - left) / wide, (y1 - top) / high)
        x0, y0, x1, y1 = (min(1.0, max(0.0, value)) for value in inside)
        return self.origin.locate((x0, y0, x1, y1))


def _beside(box_xyxy: tuple[int, int, int, int], point: NDArray[np.float64]) -> float:
    """Return how far a point lies outside a box."""
    left, top, right, bottom = box_xyxy
    return float(np.maximum(0.0, np.maximum([left, top] - point, point - [right, bottom])).sum())
