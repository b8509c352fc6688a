"""A photo nearly all of which is unlike its references may show another part; one with a large defect does not."""

import numpy as np
import pytest

from vlm_inspect.evidence import AnomalyMap
from vlm_inspect.localization.other_part import OTHER_PART, other_part
from vlm_inspect.tolerance import tolerance_from_normals

TOLERANCE = tolerance_from_normals((1.0, 1.1, 0.9, 1.0), overkill=0.05)


def heat(share: float, *, unit: str = "", bounded: bool = True) -> AnomalyMap:
    """A part on half of the view, of which a share is far beyond what normal places reach."""
    values = np.zeros((20, 20), np.float32)
    values[:10] = 0.5
    values.reshape(-1)[: round(200 * share)] = 5 * TOLERANCE.limit
    return AnomalyMap(0, values, 9.0, "memory", unit=unit, tolerance=TOLERANCE if bounded else None)


@pytest.mark.parametrize(
    ("maps", "said"),
    [
        ([heat(0.95)], OTHER_PART),
        ([heat(0.5)], ""),
        ([heat(1.0), heat(0.2)], ""),
        ([heat(1.0, unit="nats")], ""),
        ([heat(1.0, bounded=False)], ""),
        ([], ""),
    ],
)
def test_nearly_all_of_the_surface_has_to_be_unlike_the_references(maps: list[AnomalyMap], said: str) -> None:
    assert other_part(maps) == said
