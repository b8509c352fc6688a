"""The generated curves of the benchmark: a fault changes what it says, and nothing outside its time."""

import numpy as np
import pytest

from benchmarks.curves import CLASSES, FAULTS, IN_STEP, faulty


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("name", CLASSES)
def test_a_fault_changes_its_own_time_alone(name: str, kind: str) -> None:
    curve, (first, last) = faulty(name, kind, np.random.default_rng([5, 1]))
    clean = CLASSES[name](np.random.default_rng([5, 1]))
    changed = (curve.values != clean.values).any(axis=1)
    inside = (curve.time_s >= first) & (curve.time_s <= last)
    assert inside.sum() > 0
    assert changed[inside].any()
    if kind != "slow" or name in IN_STEP:  # what runs slowly once shifts all that follows
        assert not changed[~inside].any()
    assert curve.values.shape == clean.values.shape
    assert np.isfinite(curve.values).all()
