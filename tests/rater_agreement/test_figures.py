"""Rates and kappas against published and hand-worked values."""

import pytest

from vlm_inspect.rater_agreement.figures import Rate, cohen, fleiss


def test_the_exact_interval() -> None:
    none, all_of_them, half = Rate.of(0, 10), Rate.of(10, 10), Rate.of(5, 10)
    assert none.ci95 == pytest.approx((0.0, 0.3085), abs=1e-4)  # 1 - 0.025 ** 0.1
    assert all_of_them.ci95 == pytest.approx((0.6915, 1.0), abs=1e-4)
    assert half.ci95 == pytest.approx((0.1871, 0.8129), abs=1e-4)
    assert (Rate.of(0, 0).rate, Rate.of(0, 0).ci95) == (None, None)


def test_cohens_kappa_of_a_hand_worked_table() -> None:
    pairs = [("OK", "OK")] * 20 + [("OK", "NG")] * 5 + [("NG", "OK")] * 10 + [("NG", "NG")] * 15
    found = cohen(pairs)
    assert found.value == pytest.approx(0.4)  # 0.7 seen, 0.5 by chance
    assert found.ci95 is not None
    assert found.ci95[0] < 0.4 < found.ci95[1]
    assert cohen([("OK", "OK")] * 9).value is None
    assert cohen([]).value is None
    assert cohen([("OK", "OK"), ("NG", "NG")]).value == pytest.approx(1.0)


def test_fleiss_kappa_of_the_published_example() -> None:
    counts = (  # ten subjects, fourteen raters, five categories: Fleiss (1971) as it is usually given
        (0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1),
        (7, 7, 0, 0, 0), (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7),
    )  # fmt: skip
    rows = [[str(kind) for kind, count in enumerate(row) for _ in range(count)] for row in counts]
    assert fleiss(rows).value == pytest.approx(0.210, abs=1e-3)
    assert fleiss([["OK", "OK"]] * 3).value is None
