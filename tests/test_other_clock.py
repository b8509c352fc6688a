"""A curve whose time is in another unit: REVIEW with that reason, and what takes no time is measured all the same."""

from pathlib import Path

import numpy as np

from vlm_inspect.inspector import Inspector

RULES = """class_name: motor
unit: g
rules:
  - {id: level, text: Its effective value., check: {measure: rms, max: 0.9}}
  - {id: speed, text: Its speed., check: {measure: dominant_frequency, min: 10, max: 14}}
  - {id: peak, text: Its peak., check: {measure: max, max: %s}}
references: [r*.csv]
"""


def write(path: Path, seed: int, factor: float = 1.0) -> Path:
    rng = np.random.default_rng(seed)
    time = np.arange(600) / 200
    values = np.sin(2 * np.pi * 12 * time + rng.uniform(0, 6)) + 0.1 * rng.normal(size=600)
    np.savetxt(path, np.column_stack([factor * time, values]), delimiter=",", header="time,accel", comments="")
    return path


def test_checks_that_take_no_time_are_measured(tmp_path: Path) -> None:
    for seed in range(2):
        write(tmp_path / f"r{seed}.csv", seed)
    part, rules = write(tmp_path / "part.csv", 7, 1000.0), tmp_path / "motor.yaml"
    for limit, outcome in (("2", "REVIEW"), ("0.5", "NG")):
        rules.write_text(RULES % limit)
        found = Inspector.from_rules(rules).inspect(part)
        assert found.outcome == outcome
        told = {rule.id: rule.status for rule in found.rules}
        assert (told["level"], told["speed"]) == ("pass", "cannot_tell")
        assert outcome == "NG" or "1000 times as far apart" in found.review_reasons[0]
