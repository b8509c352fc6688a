"""Bootstrap: weighted metrics equal the plain ones on repeated items; intervals cover; pairs are pairs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation import metrics
from evaluation.metrics import calibration_error
from evaluation.metrics.bootstrap import (
    Outcomes,
    at_threshold,
    auroc,
    average_precision,
    brier,
    compare,
    expected_calibration_error,
    f1_max,
    intervals,
    intervals_of_all,
)
from evaluation.metrics.calibration_error import brier_score

WEIGHED = st.lists(st.tuples(st.booleans(), st.integers(-3, 3), st.integers(0, 3)), min_size=4, max_size=25)


def outcomes(seed: int, n: int = 60, shift: float = 1.0, noise: float = 1.0) -> Outcomes:
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3 == 0
    scores = rng.normal(size=n) * noise + labels * shift
    return Outcomes.of([f"{at:04}" for at in range(n)], labels, scores)


@given(WEIGHED)
@settings(max_examples=80, deadline=None)
def test_counting_an_image_twice_is_having_it_twice(items: list[tuple[bool, int, int]]) -> None:
    labels = np.array([a for a, _, _ in items])
    scores = np.array([b for _, b, _ in items], float)
    counts = np.array([c for _, _, c in items], float)
    if not counts[labels].sum() or not counts[~labels].sum():
        return
    y, s = np.repeat(labels, counts.astype(int)), np.repeat(scores, counts.astype(int))
    weighed = {one: float(one(labels, scores, counts[None])[0]) for one in (auroc, average_precision, f1_max, brier)}
    assert weighed[auroc] == pytest.approx(metrics.image_auroc(y, s))
    assert weighed[average_precision] == pytest.approx(metrics.image_ap(y, s))
    assert weighed[f1_max] == pytest.approx(metrics.image_f1_max(y, s))
    rates = metrics.rates_at(y, s, 1.0)
    for kind in ("miss", "overkill", "accuracy", "balanced_accuracy"):
        found = float(at_threshold(kind, 1.0)(labels, scores, counts[None])[0])
        assert found == pytest.approx(getattr(rates, kind))


def test_brier_of_resamples_is_that_of_the_items() -> None:
    labels, p, counts = np.array([True, False]), np.array([0.7, 0.4]), np.array([[2.0, 1.0]])
    assert float(brier(labels, p, counts)[0]) == pytest.approx(brier_score([1, 1, 0], [0.7, 0.7, 0.4]))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20), st.integers(0, 3)), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_calibration_error_of_resamples_is_that_of_the_items(items: list[tuple[bool, int, int]]) -> None:
    labels, p, counts = (np.array(part) for part in zip(*items, strict=True))
    if not counts.sum():
        return
    expected = calibration_error.expected_calibration_error(np.repeat(labels, counts), np.repeat(p / 20, counts))
    found = float(expected_calibration_error(labels, p / 20, counts[None].astype(float))[0])
    assert found == pytest.approx(expected)


def test_an_interval_holds_its_value_and_repeats() -> None:
    classes = {"a": outcomes(1), "b": outcomes(2, shift=2.0)}
    found = intervals(auroc, classes, draws=500)
    for name, one in classes.items():
        interval = found.classes[name]
        assert interval is not None
        assert interval.value == pytest.approx(metrics.image_auroc(one.labels, one.scores))
        assert interval.low < interval.value < interval.high
    assert found.mean is not None
    values = [interval.value for interval in found.classes.values() if interval]
    assert found.mean.value == pytest.approx(np.mean(values))
    # The mean of independent classes is known better than each.
    assert found.mean.high - found.mean.low < max(i.high - i.low for i in found.classes.values() if i)
    assert intervals(auroc, classes, draws=500) == found
    assert intervals(auroc, dict(reversed(classes.items())), draws=500) == found


def test_metrics_that_share_resamples_have_the_intervals_of_each_alone() -> None:
    classes = {"a": outcomes(1), "b": outcomes(2, shift=2.0), "lone": Outcomes.of(["x", "y"], [0, 0], [0.1, 0.2])}
    cut = {name: Outcomes(one.ids, one.labels, (one.scores > 0.5) * 1.0) for name, one in classes.items()}
    wanted = {"auroc": (auroc, classes), "ap": (average_precision, classes), "miss": (at_threshold("miss", 0.5), cut)}
    found = intervals_of_all(wanted, draws=300)
    assert found == {name: intervals(metric, one, draws=300) for name, (metric, one) in wanted.items()}
    with pytest.raises(ValueError, match="different classes: lone"):
        intervals_of_all({"auroc": (auroc, classes), "ap": (average_precision, {"a": classes["a"], "b": classes["b"]})})


def test_a_class_with_one_label_is_not_available() -> None:
    lone = Outcomes.of(["x", "y"], [0, 0], [0.1, 0.2])
    found = intervals(auroc, {"lone": lone, "a": outcomes(1)}, draws=50)
    assert found.classes["lone"] is None
    assert found.left_out == ("lone",)
    assert found.mean == found.classes["a"]
    assert intervals(auroc, {"lone": lone}).mean is None


@pytest.mark.parametrize("n", [30, 120])
def test_the_interval_covers_the_truth(n: int) -> None:
    # Two unit normals one apart: AUROC is Phi(1 / sqrt 2) = 0.7602.
    inside = 0
    for seed in range(100):
        found = intervals(auroc, {"a": outcomes(seed, n)}, draws=200).classes["a"]
        assert found is not None
        inside += found.low <= 0.7602 <= found.high
    assert 85 <= inside <= 100


def test_pairs_see_a_small_difference_that_two_intervals_would_not() -> None:
    a = outcomes(5, n=200)
    b = Outcomes.of(a.ids, a.labels, a.scores + 0.15 * a.labels)
    found = compare(auroc, {"c": a}, {"c": b}, draws=500).classes["c"]
    assert found is not None
    assert found.low > 0.0
    assert found.share == 1.0
    alone = intervals(auroc, {"c": a, "d": b}, draws=500).classes
    assert alone["c"] is not None
    assert alone["d"] is not None
    assert alone["d"].low < alone["c"].high


def test_a_run_against_itself_is_even() -> None:
    one = {"a": outcomes(1), "b": outcomes(2)}
    found = compare(auroc, one, one, draws=100)
    assert found.mean is not None
    assert (found.mean.value, found.mean.low, found.mean.high, found.mean.share) == (0.0, 0.0, 0.0, 0.5)


def test_swapping_runs_turns_the_difference_round() -> None:
    a, b = {"c": outcomes(1)}, {"c": outcomes(9, shift=1.6)}
    there, back = compare(auroc, a, b, draws=300).mean, compare(auroc, b, a, draws=300).mean
    assert there is not None
    assert back is not None
    assert (there.value, there.low, there.high) == pytest.approx((-back.value, -back.high, -back.low))
    assert there.share == pytest.approx(1 - back.share)
    errors = compare(at_threshold("miss", 0.5), a, b, draws=300, lower_is_better=True).mean
    assert errors is not None
    assert (errors.share > 0.5) == (errors.value < 0)


def test_other_images_are_refused() -> None:
    a = outcomes(1)
    fewer = Outcomes.of(a.ids[1:], a.labels[1:], a.scores[1:])
    with pytest.raises(ValueError, match=r"different images of c: 0000 \(1\)"):
        compare(auroc, {"c": a}, {"c": fewer})
    with pytest.raises(ValueError, match="different labels"):
        compare(auroc, {"c": a}, {"c": Outcomes.of(a.ids, ~a.labels, a.scores)})
    with pytest.raises(ValueError, match="different classes: d"):
        compare(auroc, {"c": a}, {"c": a, "d": a})
    with pytest.raises(ValueError, match="once"):
        Outcomes.of(["x", "x"], [0, 1], [0.1, 0.2])
    with pytest.raises(ValueError, match="fill_failures"):
        Outcomes.of(["x", "y"], [0, 1], [0.1, np.nan])
    with pytest.raises(ValueError, match="no metric 'recall'"):
        at_threshold("recall", 0.5)


def test_many_images_stay_within_the_memory_of_a_block() -> None:
    found = intervals(auroc, {"a": outcomes(3, n=5000)}, draws=1000).classes["a"]
    assert found is not None
    assert found.high - found.low < 0.05
