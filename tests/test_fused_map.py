"""Heat and a model's places in one map: the formula, what is left out, and where it is drawn."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.image import ImageOrigin
from converters.view import BoxXyxyn, View
from tests.test_words_and_heat import CORNER, PLACE, examine, plate, says  # noqa: F401  # plate is a fixture
from vlm_inspect.evidence import AnomalyMap, Evidence
from vlm_inspect.fused_map import (
    INSIDE,
    LOWEST,
    OUTSIDE,
    PLACED,
    UNKNOWN_MODEL,
    UNKNOWN_P,
    agreements_of,
    belief,
    below_hottest,
    box_evidence,
    fuse_maps,
    heat_log_odds,
    in_nats,
    learn_trust,
)
from vlm_inspect.report.overlay import render_overlay
from vlm_inspect.rules import RuleBook
from vlm_inspect.tolerance import Tolerance
from vlm_inspect.verdict import Defect, Verdict

BOOK = RuleBook(class_name="plate")
HOT: BoxXyxyn = (0.5, 0.5, 0.7, 0.7)
COLD: BoxXyxyn = (0.1, 0.1, 0.3, 0.3)
TOLERANCE = Tolerance(limit=2.0, centre=1.0, n=8, overkill=0.01)


def view_of(window: tuple[int, int, int, int] = (0, 0, 100, 100)) -> View:
    return View(np.zeros((100, 100, 3), np.uint8), "image", "whole", ImageOrigin(window, page=0))


def heat(tolerance: Tolerance | None = None, unit: str = "nats", view: int = 0) -> AnomalyMap:
    values = np.full((100, 100), 0.1, np.float32) + np.random.default_rng(0).random((100, 100)).astype(np.float32) * 0.1
    values[50:70, 50:70] = 3.0
    return AnomalyMap(view, values, 3.0, "dapo-mini", unit=unit, tolerance=tolerance)


def opinion(*boxes: BoxXyxyn, p: float | None = 0.9) -> Verdict:
    defects = tuple(Defect("dent", view=0, box_xyxyn=box) for box in boxes)
    return Verdict(anomalous=True, reasoning="", probability=p, defects=defects)


def fused(verdict: Verdict | None, *maps: AnomalyMap, book: RuleBook = BOOK) -> np.ndarray:
    (found,) = fuse_maps(verdict, Evidence(maps=maps), (view_of(),), book)
    assert found.source == "fused"
    assert found.score == found.values.max()
    return found.values


def test_without_a_box_the_order_is_that_of_the_heat() -> None:
    values = fused(opinion(), heat())
    assert np.allclose(values, heat().values, atol=1e-6)  # in nats already
    assert np.array_equal(values, fused(None, heat()))


def test_a_box_that_the_heat_bears_out_counts_and_another_does_not() -> None:
    plain, agreed, denied = (fused(opinion(*boxes), heat()) for boxes in ((), (HOT,), (COLD,)))
    assert agreed[60, 60] > plain[60, 60] + 2
    assert agreed[20, 20] < plain[20, 20]
    assert denied[20, 20] - plain[20, 20] < 0.5 * (agreed[60, 60] - plain[60, 60])
    assert np.unravel_index(denied.argmax(), denied.shape) == np.unravel_index(plain.argmax(), plain.shape)


def test_the_mixture_is_the_formula() -> None:
    log_odds = heat_log_odds([heat()])[0]
    (q,) = agreements_of(log_odds, None, [HOT])
    assert q > 0.99
    r = belief(0.9, q)
    added = box_evidence(log_odds, None, [(HOT, 0.9)], trust=PLACED)
    assert added[60, 60] == pytest.approx(math.log(1 - r + r * INSIDE), rel=1e-4)
    assert added[5, 5] == pytest.approx(math.log(1 - r + r * OUTSIDE), rel=1e-3)
    assert added[60, 72] < added[60, 69]  # a soft edge
    assert not box_evidence(log_odds, None, [(HOT, 0.9)], trust=0).any()


def test_of_a_model_that_nothing_is_known_of_a_box_counts_where_the_heat_is_hottest() -> None:
    log_odds = heat_log_odds([heat()])[0]
    (near, far) = below_hottest(log_odds, None, [HOT, COLD])
    assert near == pytest.approx(0, abs=1e-3)
    assert far > 2
    (q,) = agreements_of(log_odds, None, [HOT])
    r, (inside, outside) = belief(0.9, q), UNKNOWN_MODEL
    added = box_evidence(log_odds, None, [(HOT, 0.9)])
    assert added[60, 60] == pytest.approx(math.log(1 - r + r * inside), rel=1e-2)
    assert added[5, 5] == pytest.approx(math.log(1 - r + r * outside), rel=1e-2)
    assert np.abs(box_evidence(log_odds, None, [(COLD, 0.9)])).max() < 0.1
    beside: BoxXyxyn = (0.72, 0.5, 0.92, 0.7)  # roughly there, and widened for that
    assert below_hottest(log_odds, None, [beside])[0] < 0.1
    part = np.zeros((100, 100), bool)
    part[:40] = True  # the hot place lies off the part
    assert below_hottest(log_odds, part, [COLD])[0] < 1.5


def test_boxes_that_the_heat_never_bears_out_add_nothing() -> None:
    steep = np.tile(np.linspace(-12, 12, 96, dtype=np.float32), (96, 1))
    assert not box_evidence(steep, None, [((0.0, 0.4, 0.1, 0.6), 0.9)]).any()


def test_belief_grows_with_probability_and_agreement() -> None:
    assert belief(0.9, 1.0) > belief(0.5, 1.0) > belief(0.5, 0.5) > belief(0.0, 0.5)
    assert belief(1.0, 0.0) < 1e-6
    assert 0 < belief(1.0, 1.0, 1.0) < 1


def test_a_map_that_says_nothing_leaves_a_box_undecided() -> None:
    flat = np.zeros((40, 40), np.float32)
    assert agreements_of(flat, None, [HOT, COLD]) == [0.5, 0.5]
    nowhere = np.zeros((40, 40), bool)
    assert agreements_of(flat, nowhere, [HOT]) == [0.5]


@pytest.mark.parametrize(("tolerance", "unit"), [(TOLERANCE, ""), (None, "nats"), (None, "")])
def test_log_odds_keep_the_order_of_every_kind_of_map(tolerance: Tolerance | None, unit: str) -> None:
    one = heat(tolerance, unit)
    log_odds = heat_log_odds([one])[0]
    assert log_odds.min() >= LOWEST
    assert (log_odds[50:70, 50:70] > log_odds[:40].max()).all()
    if tolerance is not None:
        for value in (1.0, 2.0, 4.0):
            made = heat_log_odds([replace(one, values=np.full((2, 2), value, np.float32))])[0]
            p = tolerance.probability(value)
            assert made[0, 0] == pytest.approx(math.log(p / (1 - p)), abs=1e-4)


def test_of_several_maps_of_a_view_the_highest_counts() -> None:
    other = replace(heat(TOLERANCE), values=np.full((100, 100), 2.0, np.float32), source="deviation")
    both = heat_log_odds([heat(TOLERANCE), other])[0]
    assert both.min() == pytest.approx(0.0, abs=1e-5)
    assert both[60, 60] == heat_log_odds([heat(TOLERANCE)])[0][60, 60]


def test_a_calibrated_map_keeps_a_limit_at_one_half() -> None:
    (made,) = fuse_maps(opinion(HOT), Evidence(maps=(heat(TOLERANCE),)), (view_of(),), BOOK)
    assert made.tolerance is not None
    assert made.tolerance.probability(float(in_nats(np.float32(0.0)))) == pytest.approx(0.5)
    assert made.tolerance.centre == pytest.approx(-math.log(1 - UNKNOWN_P))


def test_a_box_without_heat_makes_a_map_of_its_own() -> None:
    (made,) = fuse_maps(opinion(HOT), Evidence(), (view_of(),), BOOK)
    assert made.values[60, 60] > made.values[10, 10]


def test_ignored_vast_and_unusable_boxes_name_no_place() -> None:
    book = RuleBook(class_name="plate", ignore=((0.45, 0.45, 0.75, 0.75),))
    assert np.array_equal(fused(opinion(HOT), heat(), book=book), fused(opinion(), heat(), book=book))
    vast = replace(opinion(), defects=(Defect("dent", view=0, box_xyxyn=(0.0, 0.0, 1.0, 0.9)), Defect("dent", view=7)))
    assert np.array_equal(fused(vast, heat()), fused(opinion(), heat()))


def test_the_evidence_model_has_nothing_to_fuse() -> None:
    assert fuse_maps(replace(opinion(HOT), source="evidence"), Evidence(maps=(heat(),)), (view_of(),), BOOK) == ()


def test_a_box_on_a_photo_counts_on_its_tiles_too() -> None:
    views = (view_of(), view_of((50, 50, 100, 100)), view_of((0, 0, 40, 40)))
    maps = tuple(heat(view=i) for i in range(3))
    found = fuse_maps(opinion(HOT), Evidence(maps=maps), views, BOOK, trust=PLACED)
    plain = fuse_maps(opinion(), Evidence(maps=maps), views, BOOK, trust=PLACED)
    changed = [not np.array_equal(a.values, b.values) for a, b in zip(found, plain, strict=True)]
    assert changed == [True, True, False]


def test_trust_is_learnt_without_labels() -> None:
    random = np.random.default_rng(0)
    right, chance = random.beta(6, 1, 60), random.random(60)
    assert learn_trust(right.tolist()) > 0.85
    assert learn_trust(chance.tolist()) == 0
    assert 0.3 < learn_trust([*right[:30], *chance[:30]]) < 0.8
    assert learn_trust([1.0] * 7) is None


def test_the_overlay_shows_it_where_a_model_names_a_place(plate: Path) -> None:  # noqa: F811
    examined = examine(plate, says(CORNER))
    named = examined.drawn_evidence
    assert [one.source for one in named.latest_maps] == ["fused"]
    first, second = (render_overlay(examined.inspection, examined.views, e) for e in (named, examined.evidence))
    assert not np.array_equal(first, second)
    nowhere = examine(plate, says(None))
    assert nowhere.drawn_evidence is nowhere.evidence
    assert nowhere.fused_at_points is None
    assert (
        examine(plate, says(PLACE, "solder splash"), defects=("dent",)).drawn_evidence.latest_maps[0].source == "fused"
    )


def test_a_box_of_a_model_with_a_good_record_counts_for_more(plate: Path) -> None:  # noqa: F811  # the fixture
    found = examine(plate, says(CORNER, "dent"))
    kept = replace(found, thresholds=replace(found.thresholds, box_trust=0.95))
    (plain,), (trusted,) = found.fused, kept.fused
    x0, y0, x1, y1 = (side / 1000 for side in CORNER)
    height, width = plain.values.shape
    at = slice(int(y0 * height), int(y1 * height)), slice(int(x0 * width), int(x1 * width))
    assert trusted.values[at].mean() > plain.values[at].mean()
