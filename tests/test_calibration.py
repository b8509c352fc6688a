"""Thresholds from normal samples: the stated overkill is met, and a file that does not fit is refused."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from converters.view import ViewBudget
from vlm_inspect.calibration.box_record import read_box_record
from vlm_inspect.calibration.intervals import overkill_interval
from vlm_inspect.calibration_file import BoxRecord, Calibration, load_calibration, save_calibration
from vlm_inspect.errors import CalibrationError, OutputError
from vlm_inspect.tolerance import OVERKILL, PRIOR_DOF, PRIOR_SPREAD, Tolerance, tolerance_from_normals

SCORES = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=20)


def realised_overkill(n: int, spreads: NDArray[np.float64], overkill: float) -> float:
    """Share of new normal samples above the limit, over calibrations on n log-normal samples, one for each spread."""
    rng = np.random.default_rng(n)
    seen = np.exp(rng.normal(0.5, spreads[:, None], (len(spreads), n)))
    new = rng.normal(0.5, spreads[:, None], (len(spreads), 100))
    limits = np.log([tolerance_from_normals(row.tolist(), overkill=overkill).limit for row in seen])
    return float((new > limits[:, None]).mean())


@pytest.mark.parametrize("n", [2, 4, 16])
def test_realised_overkill_is_the_stated_one_over_classes_of_the_prior(n: int) -> None:
    chi2 = np.random.default_rng(0).chisquare(PRIOR_DOF, 1500)
    spreads = PRIOR_SPREAD * np.sqrt(PRIOR_DOF / chi2)
    assert realised_overkill(n, spreads, 0.01) == pytest.approx(0.01, abs=0.003)
    assert realised_overkill(n, spreads, 0.05) == pytest.approx(0.05, abs=0.008)


@pytest.mark.parametrize("n", [2, 4, 16])
@pytest.mark.parametrize("spread", [0.5 * PRIOR_SPREAD, PRIOR_SPREAD])
def test_a_class_no_wider_than_the_prior_is_not_overkilled(n: int, spread: float) -> None:
    assert realised_overkill(n, np.full(500, spread), 0.05) <= 0.055


def test_a_class_far_wider_than_the_prior_is_learnt_from_its_samples() -> None:
    few, some, many = (realised_overkill(n, np.full(400, 3 * PRIOR_SPREAD), 0.05) for n in (2, 8, 64))
    assert few > some > many
    assert many == pytest.approx(0.05, abs=0.012)


@given(SCORES)
def test_the_limit_lies_above_the_centre_and_scales_with_the_scores(scores: list[float]) -> None:
    tolerance = tolerance_from_normals(scores)
    assert 0 < tolerance.centre < tolerance.limit
    assert tolerance.n == len(scores)
    tenfold = tolerance_from_normals([10 * score for score in scores])
    assert tenfold.limit == pytest.approx(10 * tolerance.limit, rel=1e-6)


@given(SCORES, st.floats(0, 1e9), st.floats(0, 1e9))
def test_probability_rises_with_the_score(scores: list[float], a: float, b: float) -> None:
    tolerance = tolerance_from_normals(scores)
    low, high = sorted((a, b))
    assert 0.0 <= tolerance.probability(low) <= tolerance.probability(high) <= 1.0


def test_probability_is_anchored_at_centre_and_limit() -> None:
    tolerance = Tolerance(limit=3.0, centre=1.5, n=4, overkill=OVERKILL)
    assert tolerance.probability(3.0) == pytest.approx(0.5)
    assert tolerance.probability(1.5) == pytest.approx(0.02)
    assert tolerance.probability(0.0) == 0.0
    assert tolerance.probability(math.inf) == 1.0
    with pytest.raises(ValueError, match="NaN"):
        tolerance.probability(math.nan)


def test_fewer_samples_and_a_smaller_overkill_widen_the_limit() -> None:
    few, many = ([math.exp(0.1 * (-1) ** i) for i in range(n)] for n in (2, 20))
    assert tolerance_from_normals(few).limit > tolerance_from_normals(many).limit
    assert tolerance_from_normals(few, overkill=0.001).limit > tolerance_from_normals(few, overkill=0.05).limit


def test_one_sample_and_zero_scores_still_give_a_tolerance() -> None:
    assert tolerance_from_normals([1.0]).limit > 1.0
    assert tolerance_from_normals([0.0, 0.0]).probability(1.0) > 0.99
    assert tolerance_from_normals([0.0, 1.0]).limit > 1.0


@pytest.mark.parametrize("scores", [[], [1.0, -0.1], [math.nan], [math.inf, 1.0]])
def test_scores_that_are_none_are_refused(scores: list[float]) -> None:
    with pytest.raises(ValueError, match="tolerance"):
        tolerance_from_normals(scores)


@pytest.mark.parametrize("overkill", [0.0, 0.5, -1.0, math.nan])
def test_an_overkill_rate_that_is_none_is_refused(overkill: float) -> None:
    with pytest.raises(ValueError, match="overkill"):
        tolerance_from_normals([1.0, 1.1], overkill=overkill)


@pytest.mark.parametrize(("limit", "centre"), [(1.0, 1.0), (1.0, 2.0), (1.0, 0.0), (math.inf, 1.0), (math.nan, 1.0)])
def test_a_tolerance_without_width_is_refused(limit: float, centre: float) -> None:
    with pytest.raises(ValueError, match="centre"):
        Tolerance(limit=limit, centre=centre, n=2, overkill=0.01)


def test_the_interval_of_a_rate() -> None:
    assert overkill_interval(0, 30) == (0.0, pytest.approx(1 - 0.025 ** (1 / 30)))
    assert overkill_interval(30, 30) == (pytest.approx(0.025 ** (1 / 30)), 1.0)
    low, high = overkill_interval(5, 100)
    assert (low, high) == (pytest.approx(0.01643, abs=1e-5), pytest.approx(0.11283, abs=1e-5))
    for exceeded, n in ((0, 0), (3, 2), (-1, 5)):
        with pytest.raises(ValueError, match="not a rate"):
            overkill_interval(exceeded, n)


# --- the file ------------------------------------------------------------------------------------------------------

SHA = "a" * 64


def calibration(**changes: Any) -> dict[str, Any]:
    plain = {
        "version": 3, "rules_sha256": SHA, "localizer": "memory", "judged_by": ["memory 12"], "n": 24, "overkill": 0.04,
        "overkill_ci95": [0.0, 0.2], "ok_below": 0.3, "ng_above": 0.7, "model_weight": 0.8, "heatmap_weight": 1.1,
    }  # fmt: skip
    return {**plain, **changes}


def test_a_calibration_survives_its_file(tmp_path: Path) -> None:
    made = Calibration.model_validate(calibration())
    path = tmp_path / "calibration.json"
    save_calibration(made, path)
    loaded = load_calibration(path, rules_sha256=SHA, localizer="memory")
    assert loaded == made
    assert (loaded.thresholds.ok_below, loaded.thresholds.ng_above) == (0.3, 0.7)
    assert (loaded.thresholds.model_weight, loaded.thresholds.heatmap_weight) == (0.8, 1.1)
    assert loaded.thresholds.calibrated
    assert [p.name for p in tmp_path.iterdir()] == ["calibration.json"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[1]", "top level"),
        (json.dumps(calibration(version=4)), "version"),
        (json.dumps(calibration(version=1)), "made by an earlier version"),
        (json.dumps(calibration(version=2)), "does not tell by which networks and defects its parts were judged"),
        (json.dumps({k: v for k, v in calibration().items() if k != "judged_by"}), "judged_by"),
        ("[" * 100_000, "not JSON"),
        (json.dumps(calibration(references_sha256=["c" * 64])), "1 of its references are missing and 2 are new"),
        (json.dumps(calibration(extra=1)), "extra"),
        (json.dumps(calibration(ok_below=0.9)), "ok_below"),
        (json.dumps(calibration(ok_below=float("nan"))), "ok_below"),
        (json.dumps(calibration(n=1)), "n"),
        (json.dumps(calibration(model_weight=0, heatmap_weight=0)), "both 0"),
        (json.dumps(calibration(model_weight=1e308, heatmap_weight=1e308)), "model_weight"),
        ('{"n": 1' + "0" * 5000 + "}", "not JSON"),
        (json.dumps(calibration(overkill=0.5)), "outside its interval"),
        (json.dumps(calibration(rules_sha256="b" * 64)), "another rule book"),
        (json.dumps(calibration(localizer="winclip")), "localizer winclip"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_one_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CalibrationError) as caught:
        load_calibration(path, rules_sha256=SHA, localizer="memory", references_sha256=["d" * 64, "e" * 64])
    assert says in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_it_holds_for_the_views_that_it_was_made_with(tmp_path: Path) -> None:
    """A picture judged in tiles scores higher than the same one judged whole."""
    path = tmp_path / "calibration.json"
    save_calibration(Calibration.model_validate(calibration(views={"max_tiles": 0})), path)
    assert load_calibration(path, rules_sha256=SHA, localizer="memory", views=ViewBudget(max_tiles=0)).n == 24
    with pytest.raises(CalibrationError, match=r"other views \(max_tiles 0, not 12; see --tiles\); run"):
        load_calibration(path, rules_sha256=SHA, localizer="memory", views=ViewBudget())
    save_calibration(Calibration.model_validate(calibration()), path)
    assert load_calibration(path, rules_sha256=SHA, localizer="memory", views=ViewBudget()).views is None


def test_it_holds_for_what_judged_its_parts(tmp_path: Path) -> None:
    made = Calibration.model_validate(calibration(judged_by=["memory 12 (lite0/2)", "planted defects 6"]))
    with_it = made.thresholds_for("", tmp_path / "c.json").made_with
    assert with_it is not None
    with_it.check(["memory 12 (lite0/2)", "planted defects 6"])
    with pytest.raises(CalibrationError) as caught:
        with_it.check(["memory 12 (lite0/2)", "planted defects 7"])
    assert str(caught.value) == (
        f"{tmp_path / 'c.json'} was made with planted defects 6, and parts are judged by planted defects 7 here, so "
        "its thresholds do not hold; run vlm-inspect calibrate again"
    )
    with pytest.raises(CalibrationError, match=r"made with nothing else, and parts are judged by dapo 3 here"):
        with_it.check(["memory 12 (lite0/2)", "planted defects 6", "dapo 3"])
    assert made.thresholds.made_with is None, "where nothing judges again, nothing is checked"


def test_a_missing_file_and_an_unwritable_place_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="no such file"):
        load_calibration(tmp_path / "none.json", rules_sha256=SHA, localizer="memory")
    with pytest.raises(OutputError, match="cannot be written"):
        save_calibration(Calibration.model_validate(calibration()), tmp_path / "no-folder" / "c.json")


def write_run(folder: Path, model: str = "openai:gpt-4o", **classes: dict[str, float]) -> Path:
    folder.mkdir(exist_ok=True)
    results = {
        "settings": {"model": model, "seed": 0},
        "categories": {name: {"n": 3} | one for name, one in classes.items()},
    }
    (folder / "results.json").write_text(json.dumps(results))
    return folder


def test_what_a_benchmark_says_of_boxes_is_kept_by_model(tmp_path: Path) -> None:
    bottle = {"model_boxes": 30, "boxes_right": 20, "boxes_sure": 24.0}
    screw = {"model_boxes": 10, "boxes_right": 4, "boxes_sure": 8.0}
    record = read_box_record(write_run(tmp_path / "run", bottle=bottle, screw=screw))
    assert (record.model, record.boxes, record.right, record.sure) == ("openai:gpt-4o", 40, 24, 32.0)
    assert record.trust == pytest.approx(26 / 36)
    assert BoxRecord(model="m", boxes=1, right=1, sure=0.2).trust == pytest.approx(3 / 4.2)
    path = tmp_path / "calibration.json"
    save_calibration(Calibration.model_validate(calibration(boxes=record.model_dump())), path)
    loaded = load_calibration(path, rules_sha256="a" * 64, localizer="memory")
    assert loaded.thresholds_for("openai:gpt-4o").box_trust == record.trust
    assert loaded.thresholds_for("openai:other").box_trust is None
    assert loaded.thresholds.box_trust is None
    assert Calibration.model_validate(calibration()).thresholds_for("openai:gpt-4o").box_trust is None


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "cannot be read"), ("[]", "no result of bench"), ("{", "no result of bench"), ("none", "named no place")],
)
def test_a_run_that_tells_nothing_of_boxes_is_one_line(content: str | None, said: str, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", bottle={})
    if content is None:
        (run / "results.json").unlink()
    elif content != "none":
        (run / "results.json").write_text(content)
    with pytest.raises(CalibrationError, match=said):
        read_box_record(run)
