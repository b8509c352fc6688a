"""Telling defect types apart, against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from evaluation.metrics import DefectTypeMetrics

NAMES = ["normal", "bent", "scratch"]


def scene(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, (5, 8, 9))
    scores = rng.normal(size=(5, 3, 8, 9)) + 1.5 * (truth[:, None] == np.arange(3)[None, :, None, None])
    return scores, truth


def test_macro_means_equal_scikit_learn() -> None:
    scores, truth = scene()
    found = DefectTypeMetrics(NAMES)
    for one, told in zip(scores, truth, strict=True):
        found.add(one, told)
    summary = found.summary()
    flat, y = np.moveaxis(scores, 1, 0).reshape(3, -1), truth.ravel()
    assert summary.auroc == pytest.approx(np.mean([roc_auc_score(y == c, flat[c]) for c in range(3)]))
    assert summary.ap == pytest.approx(np.mean([average_precision_score(y == c, flat[c]) for c in range(3)]))
    assert summary.f1 == pytest.approx(f1_score(y, flat.argmax(axis=0), average="macro"))
    assert [one.name for one in summary.types] == NAMES
    assert sum(one.items for one in summary.types) == y.size
    assert summary.skipped == ()


def test_types_that_the_truth_lacks_are_skipped_and_named() -> None:
    scores, truth = scene(1)
    found = DefectTypeMetrics(NAMES)
    found.add(scores[0], np.minimum(truth[0], 1))
    summary = found.summary()
    assert summary.skipped == ("scratch",)
    assert [one.name for one in summary.types] == ["normal", "bent"]
    assert summary.auroc == pytest.approx(np.mean([one.auroc for one in summary.types]))
    alone = DefectTypeMetrics(NAMES)
    alone.add(scores[0], np.zeros_like(truth[0]))
    assert alone.summary().auroc is None
    assert alone.summary().skipped == tuple(NAMES)


def test_two_columns_of_one_probability() -> None:
    p, y = np.array([0.1, 0.8, 0.6, 0.3]), np.array([0, 1, 0, 1])
    found = DefectTypeMetrics(["normal", "odd"])
    found.add(np.stack([1.0 - p, p]), y)
    # One against the rest is the same question from both sides.
    assert [one.auroc for one in found.summary().types] == pytest.approx([0.75, 0.75])


def test_a_stride_takes_every_nth_item() -> None:
    scores, truth = scene(2)
    thin, whole = DefectTypeMetrics(NAMES, every=4), DefectTypeMetrics(NAMES)
    thin.add(scores[0], truth[0])
    whole.add(scores[0].reshape(3, -1)[:, ::4], truth[0].ravel()[::4])
    assert thin.summary() == whole.summary()


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="two different names"):
        DefectTypeMetrics(["normal"])
    found = DefectTypeMetrics(NAMES)
    with pytest.raises(ValueError, match="do not fit"):
        found.add(np.zeros((2, 4)), np.zeros(4, int))
    with pytest.raises(ValueError, match="from 0 to 2"):
        found.add(np.zeros((3, 4)), np.array([0, 1, 2, 3]))
