"""What is said before the first part where references set no bounds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vlm_inspect.calibration.run import calibrate
from vlm_inspect.calibration_file import load_thresholds, save_calibration
from vlm_inspect.errors import CalibrationError
from vlm_inspect.inspector import Inspector
from vlm_inspect.qualification.settings import QualificationSettings
from vlm_inspect.rules import RuleBook
from vlm_inspect.sensitivity.wording import tell_sensitivity


def write_curve(path: Path, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    time = np.linspace(0, 2, 400)
    force = np.sin(3 * time) + rng.normal(0, 0.02, 400)
    rows = "\n".join(f"{t:.4f},{f:.5f}" for t, f in zip(time, force, strict=True))
    path.write_text(f"time [s],force [N]\n{rows}\n")
    return path


def photo(folder: Path) -> Path:
    path = folder / "a.png"
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(path)
    return path


def test_one_curve_as_reference_says_beforehand_that_no_part_can_be_ok(tmp_path: Path) -> None:
    inspector = Inspector(references=[write_curve(tmp_path / "normal.csv", 0)])
    _, fitted = inspector.fit("series")
    assert "No part can come out OK" in fitted.advice
    assert "4 references" in fitted.advice
    judged = inspector.inspect(write_curve(tmp_path / "part.csv", 1))
    assert judged.outcome != "OK"
    assert any("No part can come out OK" in note for note in judged.notes)


def test_sizes_of_curves_are_told_in_seconds(tmp_path: Path) -> None:
    references = [write_curve(tmp_path / f"normal_{seed}.csv", seed) for seed in range(4)]
    inspector = Inspector(references=references, qualification=QualificationSettings(planted=40))
    found = inspector.inspect(write_curve(tmp_path / "part.csv", 9)).sensitivity
    assert found is not None
    assert found.unit == "s"
    assert found.size_pct is not None
    assert found.size_mm == pytest.approx(2.0 * found.size_pct / 100, abs=0.001), "they last two seconds"
    assert f"from {found.size_mm:.3g} s ({found.size_pct:.1f} %) on" in tell_sensitivity(found)


def test_a_calibration_of_curves_holds_for_curves(tmp_path: Path) -> None:
    """Nothing but their own method judges them, whichever localizer is chosen."""
    references = [write_curve(tmp_path / f"normal_{seed}.csv", seed) for seed in range(4)]
    inspector = Inspector(references=references, qualification=QualificationSettings(planted=40))
    parts = [write_curve(tmp_path / f"part_{seed}.csv", seed) for seed in range(20, 32)]
    made = calibrate(inspector, parts, overkill=0.2).calibration
    assert made.localizer == "deviation"
    save_calibration(made, tmp_path / "c.json")
    thresholds = load_thresholds(tmp_path / "c.json", inspector.rules, "memory", references, inspector.budget)
    assert replace(inspector, thresholds=thresholds).inspect(parts[0]).outcome in ("OK", "REVIEW")
    with pytest.raises(CalibrationError, match="deviation"):
        replace(inspector, thresholds=thresholds, references=[photo(tmp_path)]).inspect(photo(tmp_path))


@pytest.mark.parametrize("settings", [{"localizer": None, "rules": RuleBook(class_name="stroke")}])
def test_where_nothing_but_checks_decides_nothing_is_said(tmp_path: Path, settings) -> None:
    """Measured deviation of curves is always a member; photos without a localizer have none."""
    _, fitted = Inspector(references=[photo(tmp_path)], **settings).fit("image")
    assert fitted.members == ()
    assert fitted.advice == ""
