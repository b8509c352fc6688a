"""Sizes of scans with strays near their surface: a box must not be laid around these."""

import pytest

from vlm_inspect.demo.generated_scans import Scanner, scan_at
from vlm_inspect.measurement.scan import box_sides


@pytest.mark.parametrize(("name", "number", "side"), [("tube", 0, 30.0), ("gear", 2, 8.0), ("plate", 0, 40.0)])
def test_strays_change_no_side(name: str, number: int, side: float) -> None:
    scanner = Scanner(points=(30_000, 30_001), noise_mm=(0.01,), partial=0.0, strays=0.004)
    scan = scan_at(name, 1000, 0, normal=1, scanner=scanner).cloud
    box_sides.cache_clear()
    assert box_sides(scan)[number] == pytest.approx(side, abs=0.15)
