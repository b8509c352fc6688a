"""The metrics against scikit-learn, and AUPRO against a loop over thresholds."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.metrics import average_precision_score, balanced_accuracy_score, f1_score, roc_auc_score

from evaluation import metrics

ITEMS = st.lists(st.tuples(st.booleans(), st.integers(-5, 5)), min_size=2, max_size=40)


def brute_aupro(masks: list[NDArray[np.bool_]], maps: list[NDArray[np.float64]], limit: float) -> float:
    """AUPRO by definition: a loop over thresholds and regions, then dense interpolation."""
    regions = [
        (image, labels == k)
        for image, mask in enumerate(masks)
        for labels, n in [ndimage.label(mask, np.ones((3, 3)))]
        for k in range(1, n + 1)
    ]
    normal = sum((~m).sum() for m in masks)
    points = [(0.0, 0.0)]
    for t in sorted({v for m in maps for v in m.ravel()}, reverse=True):
        fpr = sum(((a >= t) & ~m).sum() for a, m in zip(maps, masks, strict=True)) / normal
        pro = np.mean([(maps[i][r] >= t).mean() for i, r in regions])
        points.append((float(fpr), float(pro)))
    area = 0.0
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        if x0 >= limit or x1 == x0:
            continue
        end = min(x1, limit)
        at_end = y0 + (y1 - y0) * (end - x0) / (x1 - x0)
        area += (end - x0) * (y0 + at_end) / 2
    return area / limit


def scene(seed: int, size: int = 24) -> tuple[list[NDArray[np.bool_]], list[NDArray[np.float64]]]:
    rng = np.random.default_rng(seed)
    masks = [rng.random((size, size)) < share for share in (0.04, 0.0, 0.15)]
    maps = [np.round(rng.normal(size=m.shape) + m * 1.2, 1) for m in masks]
    return masks, maps


@given(ITEMS)
@settings(max_examples=60, deadline=None)
def test_image_metrics_equal_scikit_learn(items: list[tuple[bool, int]]) -> None:
    y, s = [a for a, _ in items], [float(b) for _, b in items]
    if len(set(y)) < 2:
        assert metrics.image_auroc(y, s) is None
        assert metrics.image_ap(y, s) is None
        assert metrics.image_f1_max(y, s) is None
        return
    assert metrics.image_auroc(y, s) == pytest.approx(roc_auc_score(y, s))
    assert metrics.image_ap(y, s) == pytest.approx(average_precision_score(y, s))
    best = max(f1_score(y, np.array(s) >= t) for t in set(s))
    assert metrics.image_f1_max(y, s) == pytest.approx(best)


@given(ITEMS, st.randoms())
@settings(max_examples=30, deadline=None)
def test_order_does_not_matter(items: list[tuple[bool, int]], random: object) -> None:
    shuffled = list(items)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    for metric in (metrics.image_auroc, metrics.image_ap, metrics.image_f1_max):
        one = metric([a for a, _ in items], [b for _, b in items])
        other = metric([a for a, _ in shuffled], [b for _, b in shuffled])
        assert one == pytest.approx(other)


def test_hard_predictions() -> None:
    y, p = [0, 0, 0, 1], [0, 1, 0, 1]
    assert metrics.accuracy(y, p) == 0.75
    assert metrics.balanced_accuracy(y, p) == pytest.approx(balanced_accuracy_score(y, p))
    assert metrics.balanced_accuracy([1, 1], [1, 0]) is None
    assert metrics.accuracy([], []) is None


def test_pixel_metrics_equal_scikit_learn() -> None:
    masks, maps = scene(3)
    y, s = np.concatenate([m.ravel() for m in masks]), np.concatenate([m.ravel() for m in maps])
    assert metrics.pixel_auroc(masks, maps) == pytest.approx(roc_auc_score(y, s))
    best = max(f1_score(y, s >= t) for t in np.unique(s))
    assert metrics.pixel_f1_max(masks, maps) == pytest.approx(best)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("limit", [0.05, 0.3, 1.0])
def test_aupro_equals_brute_force(seed: int, limit: float) -> None:
    masks, maps = scene(seed)
    assert metrics.aupro(masks, maps, fpr_limit=limit) == pytest.approx(brute_aupro(masks, maps, limit))


def test_aupro_ignores_one_outlier_pixel() -> None:
    masks, maps = scene(1, size=96)
    before = metrics.aupro(masks, maps)
    maps[1][0, 0] = 1e6
    after = metrics.aupro(masks, maps)
    assert before is not None
    assert after == pytest.approx(before, abs=2e-4)


def test_aupro_of_perfect_and_constant_maps() -> None:
    mask = np.zeros((20, 20), bool)
    mask[2:5, 2:5] = mask[10:18, 9:12] = True
    assert metrics.aupro([mask], [mask.astype(float)]) == pytest.approx(1.0)
    # One threshold only: the curve is the diagonal, whose area up to 0.3 is 0.045.
    assert metrics.aupro([mask], [np.ones((20, 20))]) == pytest.approx(0.15)


def test_every_region_weighs_the_same_and_diagonals_connect() -> None:
    mask = np.zeros((30, 30), bool)
    mask[0, 0] = mask[1, 1] = True  # one region by 8 neighbours
    mask[10:20, 10:20] = True
    values = np.zeros((30, 30))
    values[0, 0] = values[1, 1] = 1.0
    # The small region is found without a false positive, the large one is not: PRO is 0.5 from the start.
    assert metrics.aupro([mask], [values]) == pytest.approx(0.5 + 0.5 * 0.15)


def test_one_class_gives_none_and_bad_input_an_error() -> None:
    blank, full, values = np.zeros((4, 4)), np.ones((4, 4)), np.random.default_rng(0).random((4, 4))
    assert metrics.aupro([blank], [values]) is None
    assert metrics.aupro([full], [values]) is None
    assert metrics.pixel_auroc([blank], [values]) is None
    with pytest.raises(ValueError, match="does not fit"):
        metrics.aupro([blank], [values[:2]])
    with pytest.raises(ValueError, match="not finite"):
        metrics.image_auroc([0, 1], [0.0, np.nan])
    with pytest.raises(ValueError, match="at least one"):
        metrics.image_ap([], [])
    with pytest.raises(ValueError, match="limit"):
        metrics.aupro([blank], [values], fpr_limit=0.0)


def test_miss_and_overkill_at_a_threshold() -> None:
    y, s = [0, 0, 0, 0, 1, 1], [0.1, 0.2, 0.5, 0.9, 0.5, 0.4]
    rates = metrics.rates_at(y, s, 0.5)
    assert (rates.miss, rates.overkill) == (0.5, 0.5)  # a score on the threshold is called anomalous
    assert rates.accuracy == pytest.approx(0.5)
    assert rates.balanced_accuracy == pytest.approx(0.5)
    assert metrics.rates_at([0, 0], [0.1, 0.2], 0.15).miss is None
    assert metrics.rates_at([1, 1], [0.1, 0.2], 0.15).overkill is None
    assert metrics.miss_rate([1, 1, 0], [1, 0, 0]) == 0.5
    assert metrics.overkill_rate([], []) is None


@given(ITEMS, st.integers(-6, 6))
@settings(deadline=None)
def test_rates_move_one_way_with_the_threshold(items: list[tuple[bool, int]], threshold: int) -> None:
    y, s = [a for a, _ in items], [float(b) for _, b in items]
    lower, higher = metrics.rates_at(y, s, threshold), metrics.rates_at(y, s, threshold + 1)
    if lower.miss is not None and higher.miss is not None:
        assert lower.miss <= higher.miss
    if lower.overkill is not None and higher.overkill is not None:
        assert lower.overkill >= higher.overkill


@given(ITEMS)
@settings(max_examples=40, deadline=None)
def test_rising_maps_and_duplication_change_nothing(items: list[tuple[bool, int]]) -> None:
    y, s = [a for a, _ in items], [float(b) for _, b in items]
    for metric in (metrics.image_auroc, metrics.image_ap, metrics.image_f1_max):
        assert metric(y, s) == pytest.approx(metric(y, np.exp(np.array(s)) * 3 - 1))
        assert metric(y, s) == pytest.approx(metric(y + y, s + s))
    flipped = metrics.image_auroc(y, -np.array(s))
    assert flipped is None or flipped == pytest.approx(1 - (metrics.image_auroc(y, s) or 0.0))


@given(ITEMS, st.data())
@settings(max_examples=40, deadline=None)
def test_a_failure_never_helps(items: list[tuple[bool, int]], data: st.DataObject) -> None:
    y = [a for a, _ in items]
    s: list[float | None] = [float(b) for _, b in items]
    before = metrics.fill_failures(y, s)
    s[data.draw(st.integers(0, len(s) - 1))] = None
    after = metrics.fill_failures(y, s)
    assert np.isfinite(after).all()
    for metric in (metrics.image_auroc, metrics.image_f1_max):  # AP may rise where a tie is broken
        old, new = metric(y, before), metric(y, after)
        assert (old is None) == (new is None)
        assert old is None or new is None or new <= old + 1e-12


def test_failed_items_are_as_wrong_as_can_be() -> None:
    assert metrics.fill_failures([1, 0, 1], [None, None, 0.4]).tolist() == [-0.6, 1.4, 0.4]
    assert metrics.fill_failures([1, 0], [None, None], low=0.0, high=1.0).tolist() == [0.0, 1.0]
    assert metrics.image_auroc([1, 0], metrics.fill_failures([1, 0], [None, None])) == 0.0
    with pytest.raises(ValueError, match="do not fit"):
        metrics.fill_failures([1, 0], [0.1])


def test_the_mean_leaves_out_and_names_what_is_not_known() -> None:
    mean = metrics.mean_of_classes({"a": 0.5, "c": None, "b": 1.0})
    assert (mean.value, mean.counted, mean.left_out) == (0.75, 2, ("c",))
    assert metrics.mean_of_classes({"a": None}).value is None
