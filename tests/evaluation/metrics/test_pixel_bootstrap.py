"""Resampled pixel metrics: those of images repeated as often as they were drawn, computed pixel by pixel."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from evaluation.metrics.bootstrap import draw_counts
from evaluation.metrics.pixel import LOCO_FPR_LIMIT, PixelMetrics
from evaluation.metrics.pixel_bootstrap import PixelTally, choose_levels
from tests.evaluation.metrics.plain_pixel_metrics import synthetic
from vlm_inspect.datasets.masks import TrueRegion

IMAGES, SIDE, DRAWS = 9, 40, 60
Regions = Sequence[tuple[TrueRegion, ...] | None]


def exact(maps: Sequence[NDArray[np.float32]], masks: Sequence[NDArray[np.bool_]], regions: Regions) -> PixelMetrics:
    found = PixelMetrics()
    for values, mask, own in zip(maps, masks, regions, strict=True):
        found.add(values, mask, own)
    return found


def told(found: PixelMetrics) -> dict[str, float]:
    values = {
        "pixel_auroc": found.auroc(),
        "pixel_ap": found.ap(),
        "pixel_f1_max": found.f1_max(),
        "aupro": found.aupro(),
        "spro_at_0.05": found.aupro(fpr_limit=LOCO_FPR_LIMIT),
    }
    return {name: value for name, value in values.items() if value is not None}


def drawn(
    maps: Sequence[NDArray[np.float32]], masks: Sequence[NDArray[np.bool_]], regions: Regions, order: Sequence[int] = ()
) -> dict[str, NDArray[np.float64]]:
    found = exact(maps, masks, regions)
    tally = PixelTally(choose_levels(found))
    for at in order or range(len(maps)):
        tally.add(f"{at:02}", maps[at], masks[at], regions[at])
    labels = {f"{at:02}": bool(mask.any()) for at, mask in enumerate(masks)}
    return tally.draws(labels, name="bottle", whole=told(found), draws=DRAWS)


@pytest.mark.parametrize("saturated", [False, True])
def test_a_resample_is_its_images_as_often_as_they_were_drawn(saturated: bool) -> None:
    maps, masks = synthetic(IMAGES, SIDE, seed=3)
    regions: Regions = [
        (TrueRegion(mask, max(1, int(mask.sum()) // 3)),) if saturated and mask.any() else None for mask in masks
    ]
    found = drawn(maps, masks, regions)
    labels = np.array([mask.any() for mask in masks])
    (counts,) = draw_counts(labels, "bottle", draws=DRAWS)
    gaps: dict[str, list[float]] = {name: [] for name in found}
    for at, row in enumerate(counts.astype(int)):
        chosen = [image for image, count in enumerate(row) for _ in range(count)]
        plain = told(exact([maps[i] for i in chosen], [masks[i] for i in chosen], [regions[i] for i in chosen]))
        for name, values in found.items():
            gaps[name].append(abs(values[at] - plain[name]))
    assert set(found) == {"pixel_auroc", "pixel_ap", "pixel_f1_max", "aupro", "spro_at_0.05"}
    for name, told_gaps in gaps.items():
        assert max(told_gaps) < 2e-3, name
        assert np.mean(told_gaps) < 5e-4, name


def test_the_order_in_which_images_come_changes_nothing() -> None:
    maps, masks = synthetic(6, 16, seed=5)
    regions: Regions = [None] * 6
    one, other = drawn(maps, masks, regions), drawn(maps, masks, regions, order=[4, 1, 5, 0, 3, 2])
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_a_perfect_map_has_no_spread_and_chance_has_one() -> None:
    maps, masks = synthetic(6, 16, seed=6)
    perfect = drawn([mask.astype(np.float32) for mask in masks], masks, [None] * 6)
    assert all(values == pytest.approx(1.0) for values in perfect.values())
    assert drawn(maps, masks, [None] * 6)["pixel_auroc"].std() > 0.001


def test_images_of_one_label_are_resampled_too() -> None:
    maps, masks = synthetic(9, 16, seed=7)
    odd = [at for at, mask in enumerate(masks) if mask.any()]
    found = drawn([maps[at] for at in odd], [masks[at] for at in odd], [None] * len(odd))
    assert all(np.isfinite(values).all() for values in found.values())


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.integers(1, 40), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_counts_keep_the_labels_and_do_not_depend_on_how_many_are_drawn_at_once(
    flags: list[bool], step: int, seed: int
) -> None:
    labels = np.array(flags)
    (whole,) = draw_counts(labels, "x", draws=40, seed=seed, step=40)
    parts = np.concatenate(list(draw_counts(labels, "x", draws=40, seed=seed, step=step)))
    assert np.array_equal(whole, parts)
    assert (whole @ labels == labels.sum()).all()
    assert (whole.sum(axis=1) == labels.size).all()
