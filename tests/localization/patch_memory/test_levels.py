import numpy as np
import pytest

from vlm_inspect.localization.patch_memory.levels import fit_slope, left_out_levels, single_level


def falls_with(slope):
    """A class whose log score falls by `slope` for every unit of the log number of references."""
    return lambda one, others: np.array([0.1 * one - slope * np.log(len(others))])


def test_the_level_of_left_out_references_is_carried_on_to_all():
    level, correction = left_out_levels(range(6), falls_with(0.4), np.array([0.4]))
    as_left_out = 0.1 * np.arange(6) - 0.4 * np.log(5)
    assert level[:, 0] + correction[0] == pytest.approx(as_left_out)
    assert 0.8 * 0.4 * np.log(6 / 5) < correction[0] <= 0.4 * np.log(6 / 5)


def test_two_references_fall_as_is_usual():
    _, correction = left_out_levels((0, 1), falls_with(0.4), np.array([0.2]))
    assert 0 < correction[0] <= 0.2 * np.log(2)


def test_scores_that_do_not_fall_are_not_corrected_upwards():
    assert fit_slope(np.log([1, 2, 4]), np.array([[0.0], [0.1], [0.3]]), np.array([0.0]))[0] == 0.0


def test_a_measured_slope_outweighs_the_usual_one():
    sizes = np.log([1.0, 2.0, 4.0, 8.0])
    assert fit_slope(sizes, -0.5 * sizes[:, None], np.array([0.1]))[0] == pytest.approx(0.5, abs=0.1)


def test_one_reference_lies_between_what_is_too_much_and_what_is_too_little():
    level = single_level(np.array([1.0]), np.array([[-1.0], [-0.6]]), np.array([0.0]))
    assert level.shape == (1, 1)
    assert -0.8 < level[0, 0] < 1.0
