"""What an inspection says would have been found holds under the thresholds that decided."""

import numpy as np
import pytest

from vlm_inspect.decision.bounds import sensitivity_under
from vlm_inspect.decision.thresholds import Thresholds
from vlm_inspect.sensitivity.record import Sensitivity, record_sensitivity
from vlm_inspect.sensitivity.standing import Standing


def found_of(count: int) -> Sensitivity:
    return record_sensitivity(
        ["stain"] * 8,
        np.linspace(0.05, 0.2, 8),
        np.arange(8) < count,
        references=4,
        earns_ok=True,
        matters=(0.05, 0.2),
        missed=1 - count / 8,
        unit_per_share=None,
    )


@pytest.fixture
def standing() -> Standing:
    return Standing(log_score=0.1, ok_below=0.0, ng_above=1.0, slope=2.0, even=0.5, sensitivity=found_of(7))


def test_a_calibration_file_says_what_its_own_bounds_hold_up(standing: Standing) -> None:
    own = found_of(4)
    calibrated = Thresholds(ok_below=0.5, ng_above=0.8, calibrated=True, sensitivity=own)
    assert sensitivity_under(calibrated, standing, by_model=False) == own
    assert sensitivity_under(Thresholds(), standing, by_model=False) == standing.sensitivity
    assert sensitivity_under(calibrated, None, by_model=False) is None


def test_a_file_that_does_not_say_it_claims_no_more_than_is_true(standing: Standing) -> None:
    own = standing.ok_below_probability
    assert own is not None
    looser, stricter = (Thresholds(ok_below=at, ng_above=0.9, calibrated=True) for at in (own + 0.1, own - 0.1))
    assert sensitivity_under(looser, standing, by_model=False) is None
    assert sensitivity_under(stricter, standing, by_model=False) == standing.sensitivity
