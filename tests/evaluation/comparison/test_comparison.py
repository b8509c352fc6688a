"""Two runs held against each other: differences per class and on the mean, flips, and what is refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluation.comparison.comparison import compare_runs
from evaluation.errors import RunError
from evaluation.metrics import image_auroc
from evaluation.report import write_report
from evaluation.runs.finished_run import read_run
from evaluation.runs.plan import Task
from evaluation.scoring.pixel_draws import write_draws
from tests.datasets.data_folders import mmad, mvtec
from tests.evaluation.finished_runs import failed, shade, write_run
from vlm_inspect import cli
from vlm_inspect.datasets.item import Dataset
from vlm_inspect.datasets.registry import read_dataset


def right(task: Task) -> dict[str, Any]:
    return {"score": 0.8 if task.item.anomalous else 0.2}


def guess(task: Task) -> dict[str, Any]:
    return {"score": shade(task)}


def test_pixels_are_compared_over_the_same_resamples(runs: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    hard = rng.normal(size=2000) * 0.05  # what both runs find hard or easy
    folders = []
    for name, value in (("guess", 0.80), ("right", 0.82)):
        folders.append(tmp_path / name)
        shutil.copytree(runs / name, folders[-1])
        told = json.loads((folders[-1] / "results.json").read_text())
        for category in ("bottle", "screw"):
            told["categories"][category]["pixel_auroc"] = value
        (folders[-1] / "results.json").write_text(json.dumps(told))
        own = value + hard + rng.normal(size=2000) * 0.002
        write_draws(folders[-1], {"bottle": {"pixel_auroc": own}, "screw": {"pixel_auroc": own}})
    told = compare_runs(read_run(folders[0]), read_run(folders[1]))
    one = told.metrics["pixel_auroc"]["mean"]
    assert one is not None
    assert one.difference.value == pytest.approx(0.02)
    assert one.difference.low > 0.0, "though each interval is some 0.2 wide"
    assert one.difference.share == 1.0
    alone = compare_runs(read_run(folders[0]), read_run(runs / "right"))
    assert "pixel_auroc" not in alone.metrics
    (folders[1] / "pixel_draws.npz").write_bytes(b"no")
    with pytest.raises(RunError, match="pixel_draws"):
        compare_runs(read_run(folders[0]), read_run(folders[1]))


def test_metrics_of_places_need_all_items(runs: Path, tmp_path: Path) -> None:
    told = compare_runs(read_run(runs / "guess"), read_run(runs / "bottle"), common=True)
    assert any("pixel metrics are not compared" in note for note in told.notes)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return read_dataset(mvtec(tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="module")
def runs(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    write_run(root / "guess", data, guess)
    write_run(root / "right", data, right)
    write_run(root / "bottle", data.select(["bottle"]), right)
    return root


def test_differences_are_those_of_the_metrics(runs: Path) -> None:
    told = compare_runs(read_run(runs / "guess"), read_run(runs / "right"))
    before, after = (json.loads((runs / name / "results.json").read_text()) for name in ("guess", "right"))
    assert told.items == 12
    for metric in ("image_auroc", "image_ap", "accuracy", "balanced_accuracy", "miss_rate", "overkill_rate", "brier"):
        for name in ("bottle", "screw", "mean"):
            one = told.metrics[metric][name]
            assert one is not None
            place = (before["mean"], after["mean"]) if name == "mean" else (
                before["categories"][name], after["categories"][name])  # fmt: skip
            assert one.a == pytest.approx(place[0][metric])
            assert one.b == pytest.approx(place[1][metric])
            assert one.difference.value == pytest.approx(one.b - one.a)
            assert one.difference.low <= one.difference.value <= one.difference.high
    better = told.metrics["image_auroc"]["mean"]
    assert better is not None
    assert better.difference.share > 0.5


def test_a_run_does_not_differ_from_itself(runs: Path) -> None:
    told = compare_runs(read_run(runs / "guess"), read_run(runs / "guess"))
    assert told.flips == ()
    for classes in told.metrics.values():
        for one in classes.values():
            assert one is not None
            assert (one.difference.low, one.difference.value, one.difference.high) == (0.0, 0.0, 0.0)
            assert one.difference.share == 0.5


def test_the_two_sides_mirror(runs: Path) -> None:
    ab = compare_runs(read_run(runs / "guess"), read_run(runs / "right"))
    ba = compare_runs(read_run(runs / "right"), read_run(runs / "guess"))
    for metric, classes in ab.metrics.items():
        for name, one in classes.items():
            other = ba.metrics[metric][name]
            assert one is not None
            assert other is not None
            assert one.difference.low == pytest.approx(-other.difference.high)
            assert one.difference.share == pytest.approx(1 - other.difference.share)
    assert {flip.id for flip in ab.flips} == {flip.id for flip in ba.flips}


def test_flips_are_named_and_failures_are_wrong(data: Dataset, runs: Path, tmp_path: Path) -> None:
    broken = data.category("bottle").test[0].id
    write_run(tmp_path / "failing", data, lambda task: failed() if task.id == broken else right(task))
    (flip,) = compare_runs(read_run(runs / "right"), read_run(tmp_path / "failing")).flips
    assert (flip.id, flip.better, flip.outcomes[1], flip.scores[1]) == (broken, "a", "failed", None)
    wrong = {one.id for one in compare_runs(read_run(runs / "guess"), read_run(runs / "right")).flips}
    records = read_run(runs / "guess").records
    assert wrong == {one.id for one in records if ((one.score or 0) >= 0.5) != one.anomalous}


def test_other_items_are_refused_or_left_out(runs: Path) -> None:
    one, other = read_run(runs / "bottle"), read_run(runs / "guess")
    with pytest.raises(RunError, match=r"6 are in one alone, such as screw.*--common compares the 6"):
        compare_runs(one, other)
    told = compare_runs(one, other, common=True)
    assert (told.items, told.left_out) == (6, 6)
    assert set(told.metrics["image_auroc"]) == {"bottle", "mean"}
    labels = [record.anomalous for record in other.of_category("bottle")]
    mean = told.metrics["image_auroc"]["mean"]
    assert mean is not None
    assert mean.b == pytest.approx(image_auroc(labels, [record.score or 0 for record in other.of_category("bottle")]))


def test_other_labels_and_no_common_items_are_refused(data: Dataset, runs: Path, tmp_path: Path) -> None:
    lines = (runs / "right" / "items.jsonl").read_text().splitlines()
    turned = tmp_path / "turned"
    turned.mkdir()
    (turned / "results.json").write_bytes((runs / "right" / "results.json").read_bytes())
    first = json.loads(lines[0])
    first["label"] = "normal" if first["label"] == "anomalous" else "anomalous"
    (turned / "items.jsonl").write_text("\n".join([json.dumps(first), *lines[1:]]))
    with pytest.raises(RunError, match="labelled differently"):
        compare_runs(read_run(runs / "right"), read_run(turned))
    (turned / "items.jsonl").write_text("\n".join(line.replace(".png", ".tif") for line in lines))
    with pytest.raises(RunError, match="share no item"):
        compare_runs(read_run(runs / "right"), read_run(turned), common=True)


def test_the_command_tells_and_refuses_in_one_line(runs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            cli.main(["compare", *map(str, arguments)])
        out, err = capfd.readouterr()
        return int(left.value.code or 0), out, err

    code, out, err = call(runs / "guess", runs / "right")
    assert (code, err) == (0, "")
    assert "12 items in both" in out
    assert "image_auroc, mean: A " in out
    assert "B is better" in out
    code, out, _ = call(runs / "guess", runs / "right", "--json")
    told = json.loads(out)
    assert np.isfinite(told["differences"]["image_auroc"]["screw"]["high"])
    assert len(told["flips"]) == out.count('"better": ')
    code, out, err = call(runs / "bottle", runs / "right")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert call(runs / "guess", runs / "nowhere")[0] == 2


def test_questions_are_compared_by_subtask(tmp_path: Path) -> None:
    dataset = read_dataset(mmad(tmp_path / "data"))
    unread = dataset.questions[0].id

    def answer(task: Task, *, fails: bool) -> dict[str, Any]:
        assert task.question is not None
        return {"chosen": None if fails and task.id == unread else task.question.answer}

    write_run(tmp_path / "a", dataset, lambda task: answer(task, fails=False), questions=True)
    write_run(tmp_path / "b", dataset, lambda task: answer(task, fails=True), questions=True)
    told = compare_runs(read_run(tmp_path / "a"), read_run(tmp_path / "b"))
    mean = told.metrics["share_right"]["mean"]
    assert mean is not None
    assert mean.a == 1.0
    assert mean.difference.value == pytest.approx(-1 / told.items)
    assert len(told.flips) == 1
    assert told.flips[0].better == "a"
    write_run(tmp_path / "images", dataset, right)
    with pytest.raises(RunError, match="one kind"):
        compare_runs(read_run(tmp_path / "a"), read_run(tmp_path / "images"))
    page = write_report(tmp_path / "b").read_text()
    assert "mean of subtasks" in page
    assert "Object Analysis" in page
