"""How sure a share of planted defects is: exact where they are independent, wider where those on one part are alike."""

import pytest
from scipy.stats import binomtest

from vlm_inspect.class_reports.held_up import HeldUp, interval_of


@pytest.mark.parametrize(("hits", "n"), [(0, 20), (7, 20), (20, 20)])
def test_independent_cases_have_the_exact_interval(hits: int, n: int) -> None:
    found = [k * 7 % n < hits for k in range(n)]  # spread over the parts
    exact = binomtest(hits, n).proportion_ci(0.95, method="exact")
    assert interval_of(found, list(range(n))) == pytest.approx((exact.low, exact.high), abs=1e-9)
    assert interval_of(found, [0] * n) == pytest.approx((exact.low, exact.high), abs=1e-9)


def test_cases_that_are_alike_on_each_part_count_as_one_a_part() -> None:
    found, owners = [True] * 30 + [False] * 10, [k // 10 for k in range(40)]
    low, high = interval_of(found, owners)
    few = binomtest(3, 4).proportion_ci(0.95, method="exact")
    assert (low, high) == pytest.approx((few.low, few.high), abs=1e-9)


def test_words_give_share_and_interval() -> None:
    assert HeldUp(96, 120, (0.714, 0.868)).words == "80 %, 95 % interval 71 to 87 %"
