"""Names and places of defects of a scan: what fills a hole is no burr, and a dent makes no part shorter."""

from dataclasses import replace

import numpy as np

from converters.pose import ScanFrame
from converters.projection import ScanOrigin
from converters.view import Place, View
from tests.localization.scan_views import depth_views
from tests.measurement.screw_parts import cloud
from vlm_inspect.decision.defects import collect_defects
from vlm_inspect.decision.ends import lies_at_end
from vlm_inspect.evidence import Evidence, Measurement, Region
from vlm_inspect.rules import Check, Rule, RuleBook
from vlm_inspect.vocabulary import Circumstances, kinds_of, name_region

BOOK = RuleBook(
    class_name="plate",
    rules=(Rule(id="length", text="40 mm long.", severity="critical", check=Check(measure="length", min=39.7)),),
    defects=("missing hole", "dent", "burr", "wrong length"),
)
ABOVE = Region(
    0,
    (0.4, 0.4, 0.5, 0.5),
    (0.45, 0.45),
    0.99,
    0.01,
    "deviation",
    True,
    Place(size_mm=4.7),
    note="1 mm above the reference",
)


def plate() -> tuple[View, ...]:
    points = np.random.default_rng(0).uniform([0, 0, 0], [39.0, 24, 3], (4000, 3))
    return tuple(depth_views(cloud(points), 64, ScanFrame(np.eye(4), 22.0)))


def test_what_may_fill_a_hole_is_called_a_burr_only_where_the_holes_were_counted() -> None:
    assert set(kinds_of(ABOVE, BOOK, Circumstances(part_size=49.0))) == {"burr", "missing hole"}
    assert name_region(ABOVE, BOOK, Circumstances(part_size=49.0)) == "surface above the reference"
    assert name_region(ABOVE, BOOK, Circumstances(part_size=49.0, holes_hold=True)) == "burr"


def test_a_failed_length_lends_its_place_to_a_lost_end_and_to_nothing_else() -> None:
    views = plate()
    short = Measurement("length", "length", 39.0, "mm", False, "39 mm < 39.7 mm")

    def places(point: tuple[float, float, float], depth: float) -> list[tuple[str, bool]]:
        place = Place(point_mm=point, size_mm=3.0, depth_mm=depth)
        side = "below" if depth < 0 else "above"
        region = replace(ABOVE, place=place, note=f"1 mm {side} the reference")
        found = collect_defects(None, Evidence(regions=(region,), measurements=(short,)), BOOK, views)
        return [(one.type, one.point_mm is not None) for one in found.defects]

    assert places((38.8, 12.0, 1.0), -1.0) == [("wrong length", True)]
    assert places((20.0, 12.0, 3.0), -1.0) == [("wrong length", False), ("dent", True)]
    assert places((38.8, 12.0, 1.0), 1.0) == [("wrong length", False), ("surface above the reference", True)]


def test_an_end_is_one_of_the_axis_that_was_measured() -> None:
    views = plate()
    assert isinstance(views[0].origin, ScanOrigin)
    assert lies_at_end((0.5, 12.0, 1.5), "length", views)
    assert not lies_at_end((0.5, 12.0, 1.5), "width", views)
    assert lies_at_end((20.0, 0.3, 1.5), "width", views)
    assert not lies_at_end((20.0, 12.0, 1.5), "length", views)
