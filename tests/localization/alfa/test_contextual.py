"""The contextual score: which sentences count for a picture."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from vlm_inspect.localization.alfa.contextual import (
    choose_sentences,
    distance_to_interval,
)
from vlm_inspect.localization.alfa.settings import AlfaSettings

PLAIN = AlfaSettings()
LAW = settings(deadline=None, max_examples=50)
Row = st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=8)


def row(*values: float) -> torch.Tensor:
    return torch.tensor([values])


@LAW
@given(own=Row)
def test_the_distance_to_the_own_interval_is_zero(own: list[float]) -> None:
    assert float(distance_to_interval(row(*own), row(*own)).max()) == 0.0


def test_the_distance_to_an_interval() -> None:
    distance = distance_to_interval(row(0.1, 0.3, 0.9), row(0.2, 0.4))
    torch.testing.assert_close(distance, row(0.1, 0.0, 0.5))


@LAW
@given(own=Row)
def test_identical_labels_keep_nothing(own: list[float]) -> None:
    kept = choose_sentences(row(*own), row(*reversed(own)), PLAIN)
    assert bool(kept.starved_normal)
    assert bool(kept.starved_abnormal)


@LAW
@given(own=Row, other=Row)
def test_labels_that_lie_apart_keep_everything(own: list[float], other: list[float]) -> None:
    kept = choose_sentences(row(*own), row(*(value + 2.5 for value in other)), PLAIN)
    assert bool(kept.normal.all())
    assert bool(kept.abnormal.all())
    assert not bool(kept.starved_normal | kept.starved_abnormal)


@LAW
@given(own=Row, other=Row, seed=st.integers(0, 9))
def test_the_order_decides_nothing(own: list[float], other: list[float], seed: int) -> None:
    order = torch.randperm(len(own), generator=torch.Generator().manual_seed(seed))
    plain = choose_sentences(row(*own), row(*other), PLAIN)
    shuffled = choose_sentences(row(*own)[:, order], row(*other), PLAIN)
    assert torch.equal(plain.normal[:, order], shuffled.normal)
    assert torch.equal(plain.abnormal, shuffled.abnormal)


@LAW
@given(own=Row, other=Row)
def test_kept_is_what_lies_outside_the_other_interval(own: list[float], other: list[float]) -> None:
    kept = choose_sentences(row(*own), row(*other), PLAIN)
    low, high = min(map(np.float32, other)), max(map(np.float32, other))
    expected = [bool(np.float32(d) < low or np.float32(d) > high) for d in own]
    assert bool(kept.starved_normal) is not any(expected)
    assert kept.normal[0].tolist() == (expected if any(expected) else [True] * len(own))


def test_a_nested_label_falls_back() -> None:
    inner, outer = row(0.45, 0.5, 0.52), row(0.1, 0.48, 0.9)
    kept = choose_sentences(inner, outer, PLAIN)
    assert kept.normal.tolist() == [[True, True, True]]
    assert kept.abnormal.tolist() == [[True, False, True]]
    assert (bool(kept.starved_normal), bool(kept.starved_abnormal)) == (True, False)


def test_extreme_keeps_those_nearest_to_an_end_of_the_other_label() -> None:
    inner, outer = row(0.15, 0.5, 0.88), row(0.1, 0.9)
    one = choose_sentences(inner, outer, AlfaSettings(empty_policy="extreme"))
    two = choose_sentences(inner, outer, AlfaSettings(empty_policy="extreme", min_keep=2))
    many = choose_sentences(inner, outer, AlfaSettings(empty_policy="extreme", min_keep=9))
    assert one.normal.tolist() == [[False, False, True]]
    assert two.normal.tolist() == [[True, False, True]]
    assert many.normal.tolist() == [[True, True, True]]


def test_fewer_than_min_keep_is_as_good_as_none() -> None:
    own, other = row(0.1, 0.5, 0.6), row(0.4, 0.9)
    assert choose_sentences(own, other, PLAIN).normal.tolist() == [[True, False, False]]
    kept = choose_sentences(own, other, AlfaSettings(min_keep=2))
    assert bool(kept.starved_normal)
    assert kept.normal.tolist() == [[True, True, True]]
    extreme = choose_sentences(own, other, AlfaSettings(min_keep=2, empty_policy="extreme"))
    assert extreme.normal.tolist() == [[True, True, False]]  # what was kept, and the next


def test_eps_asks_for_a_clear_distance() -> None:
    own, other = row(0.1, 0.39), row(0.4, 0.9)
    assert choose_sentences(own, other, AlfaSettings(eps=0.05)).normal.tolist() == [[True, False]]


def test_pictures_are_judged_apart() -> None:
    normal = torch.tensor([[0.1, 0.2], [0.5, 0.6]])
    abnormal = torch.tensor([[0.3, 0.4], [0.4, 0.9]])
    kept = choose_sentences(normal, abnormal, PLAIN)
    assert kept.starved_normal.tolist() == [False, True]
    assert kept.abnormal.tolist() == [[True, True], [True, True]]


def test_switched_off_everything_counts() -> None:
    kept = choose_sentences(row(0.5), row(0.1, 0.9), AlfaSettings(contextual=False))
    assert kept.normal.tolist() == [[True]]
    assert kept.abnormal.tolist() == [[True, True]]
    assert not bool(kept.starved_normal)


def test_overlapping_labels_nest_about_half_of_the_time() -> None:
    """The rate that makes a rule for empty labels necessary, at no separation: 0.49 nested, 0.25 normal empty."""
    generator = torch.Generator().manual_seed(0)
    normal, abnormal = (torch.randn(4000, 73, generator=generator) for _ in range(2))
    kept = choose_sentences(normal, abnormal, PLAIN)
    assert float(kept.starved_normal.float().mean()) == pytest.approx(0.25, abs=0.03)
    assert float((kept.starved_normal | kept.starved_abnormal).float().mean()) == pytest.approx(0.49, abs=0.03)
    apart = choose_sentences(normal + 2, abnormal, PLAIN)
    assert float(apart.starved_normal.float().mean()) < 0.01
    assert float(apart.normal.sum(dim=1).float().mean()) == pytest.approx(26, abs=2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"ridge": 0.0},
        {"eps": -1.0},
        {"min_keep": 0},
        {"use_templates": False, "use_descriptions": False},
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        AlfaSettings.model_validate(wrong)
