"""`vlm-inspect bench` with the offline model on a small MVTec-like folder, end to end."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from converters.digest import sha256_of
from evaluation.metrics import PixelMetrics
from evaluation.runs.plan import make_plan
from evaluation.scoring.item_map import join_maps, read_map
from tests.backends.openai_server import OpenAIServer, answer
from tests.evaluation.bench_runs import Bench, items_of, results_of
from tests.evaluation.bench_runs import bench as bench  # noqa: PLC0414 (a fixture)
from vlm_inspect.datasets.registry import read_dataset
from vlm_inspect.inspector import Inspector
from vlm_inspect.localization import load_localizer
from vlm_inspect.localization.checkpoint import Header, marks_of, save_weights

SHOTS = 3


@pytest.fixture(scope="module")
def plates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One class of grey plates: three to learn from, two normal, two with a dark spot."""
    root = tmp_path_factory.mktemp("data") / "plates"
    for number in range(SHOTS):
        _plate(root / "plate" / "train" / "good" / f"{number}.png", number)
    for number in range(2):
        _plate(root / "plate" / "test" / "good" / f"{number}.png", 10 + number)
        spot = _plate(root / "plate" / "test" / "spot" / f"{number}.png", 20 + number, spot=True)
        path = root / "plate" / "ground_truth" / "spot" / f"{number}_mask.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(spot.astype(np.uint8) * 255).save(path)
    return root


def _plate(path: Path, seed: int, *, spot: bool = False) -> np.ndarray[Any, Any]:
    path.parent.mkdir(parents=True, exist_ok=True)
    grey = 150 + 6 * np.random.default_rng(seed).standard_normal((64, 72))
    y, x = np.mgrid[:64, :72]
    inside = ((y - 30) ** 2 + (x - 20 - seed % 7) ** 2 < 49) & spot
    grey[inside] -= 80
    Image.fromarray(np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)).save(path)
    return inside


def test_the_offline_model_end_to_end(bench: Bench, plates: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    out = tmp_path / "out"
    ran = bench(plates, "--out", out, "--shots", SHOTS, "--keep-maps")
    assert ran.code == 0, ran.err
    assert "plate: image_auroc 1.0000" in ran.out
    assert "  anomalous: OK 0 (0%, 0% to 84%), REVIEW " in ran.out
    assert "done 4 of 4" in ran.err
    document = results_of(out)
    assert set(document) >= {
        *("dataset", "settings", "categories", "mean", "ci95", "coverage", "parse_failures", "review_rate"),
        *("usage", "wall_s", "failures"),
    }
    plate = document["categories"]["plate"]
    assert plate["n"] == 4
    assert document["mean"]["image_auroc"] == plate["image_auroc"] == 1.0
    assert document["ci95"]["plate"]["image_auroc"] == [1.0, 1.0]
    assert plate["defect_types"] == {"spot": {"n": 2, "missed": 0, "image_auroc": 1.0}}
    expected = _pixels_by_hand(plates)
    assert plate["pixel_auroc"] == pytest.approx(expected.auroc(), abs=1e-4)
    assert plate["aupro"] == pytest.approx(expected.aupro(), abs=1e-4)
    assert plate["pixel_f1_max"] == pytest.approx(expected.f1_max(), abs=1e-3)
    for metric in ("pixel_auroc", "pixel_ap", "pixel_f1_max", "aupro"):
        low, high = document["ci95"]["plate"][metric]
        assert low - 1e-6 <= plate[metric] <= high + 1e-6
        assert document["ci95"]["mean"][metric] == [low, high]
    assert document["ci95"]["plate"]["heatmap_auroc"] == [1.0, 1.0]
    assert "ece" in document["ci95"]["plate"]
    assert "aupro_200_thresholds" not in plate
    items = items_of(out)
    assert [item["outcome"] for item in items.values()].count("NG") == 2
    for item in items.values():
        assert read_map(out / "maps" / f"{item['preview']}.npz").steps.shape == (64, 72)
        with Image.open(out / "previews" / f"{item['preview']}.jpg") as preview:
            assert preview.size == (2 * 72 + 4, 64)


def test_a_finished_run_is_told_again_and_its_maps_are_gone(bench: Bench, plates: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    out = tmp_path / "out"
    assert bench(plates, "--out", out, "--shots", SHOTS, "--limit", 2, "--quiet").code == 0
    first = (out / "items.jsonl").read_bytes(), results_of(out)
    draws = (out / "pixel_draws.npz").read_bytes()
    assert not (out / "maps").exists()
    ran = bench(plates, "--out", out, "--shots", SHOTS, "--limit", 2, "--resume", "--quiet")
    assert ran.code == 0
    assert ran.err == ""
    assert ((out / "items.jsonl").read_bytes(), results_of(out)) == first
    assert len((out / "pixel_draws.npz").read_bytes()) == len(draws)
    assert first[1]["categories"]["plate"]["aupro"] is not None


def test_maps_are_the_same_whatever_model_is_asked_beside_them(bench: Bench, plates: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    (tmp_path / "rules").mkdir()
    book = "class_name: plate\nrules:\n- {id: clean, text: The plate is clean.}\ndefects: [spot]\n"
    (tmp_path / "rules" / "plate.yaml").write_text(book)
    shared = ["--shots", SHOTS, "--rules-dir", tmp_path / "rules", "--quiet"]
    assert bench(plates, "--out", tmp_path / "evidence", *shared).code == 0
    said = {
        "reasoning": "There is a spot.",
        "anomalous": True,
        "rules": [{"id": "clean", "status": "fail", "reason": "a spot"}],
        "defects": [{"type": "Spot", "view": 0, "box": [100, 300, 500, 700]}],
    }
    with OpenAIServer([answer(said)]) as server:
        model = ["--model", "openai:tiny", "--base-url", server.base_url, "--concurrency", 4]
        ran = bench(plates, "--out", tmp_path / "model", *shared, *model, "--keep-maps")
        assert ran.code == 0, ran.err
        texts = [json.dumps(request.body) for request in server.requests]
    assert len(texts) == 4
    assert all("The plate is clean." in text for text in texts)
    one, two = (results_of(tmp_path / name)["categories"]["plate"] for name in ("evidence", "model"))
    for metric in ("pixel_auroc", "aupro", "pixel_f1_max", "heatmap_auroc"):
        assert one[metric] == two[metric]
    assert all(item["rules"] == {"clean": "fail"} for item in items_of(tmp_path / "model").values())
    assert (two["model_boxes"], two["box_trust"]) == (4, None), "too few boxes to know"
    assert two["fused_pixel_auroc"] > 0.5
    assert set(two) >= {"fused_aupro", "map_hit_rate", "fused_hit_rate", "box_hit_rate"}
    assert "fused_aupro" not in one, "no model, no boxes"
    kept = items_of(tmp_path / "model").values()
    assert all(item["boxes"] == [{"box_xyxyn": [0.1, 0.3, 0.5, 0.7], "p": 0.9}] for item in kept)
    assert all((tmp_path / "model" / "maps" / f"{item['preview']}.fused.npz").is_file() for item in kept)
    assert two["type_auroc"] is not None, "the model's word is the data set's"
    settings = results_of(tmp_path / "model")["settings"]
    assert set(settings["rules_sha256"]) == {"plate"}
    assert settings["localizer"] == "memory"


def test_a_picture_that_was_mended_is_tried_again(bench: Bench, plates: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    data, out = tmp_path / "plates", tmp_path / "out"
    shutil.copytree(plates, data)
    broken = data / "plate" / "test" / "spot" / "1.png"
    content = broken.read_bytes()
    broken.write_bytes(content[:40])
    assert bench(data, "--out", out, "--shots", SHOTS, "--quiet").code == 0
    assert (out / "maps").is_dir(), "the maps of the others are needed again"
    without = results_of(out)["categories"]["plate"]
    assert without["failed"] == without["pixel_images_without_map"] == 1
    assert without["image_auroc"] == 0.5
    broken.write_bytes(content)
    assert bench(data, "--out", tmp_path / "fresh", "--shots", SHOTS, "--quiet").code == 0
    assert bench(data, "--out", out, "--shots", SHOTS, "--quiet", "--resume", "--retry-failed").code == 0
    assert results_of(out)["categories"] == results_of(tmp_path / "fresh")["categories"]
    assert results_of(out)["categories"]["plate"]["pixel_auroc"] > without["pixel_auroc"]
    assert not (out / "maps").exists()


def test_aupro_as_papers_compute_it_is_there_on_request(
    bench: Bench, plates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    out, options = tmp_path / "out", ["--shots", SHOTS, "--quiet"]
    assert bench(plates, "--out", out, *options, "--aupro-200", "--keep-maps").code == 0
    plate = results_of(out)["categories"]["plate"]
    assert plate["aupro_200_thresholds"] == pytest.approx(_pixels_by_hand(plates).aupro_of_200_thresholds(), abs=1e-3)
    assert "AUPRO by 200 thresholds" in (out / "report.html").read_text()
    assert "aupro_200 True, not False" in bench(plates, "--out", out, *options, "--resume").err
    monkeypatch.setattr("evaluation.bench.assembly.scoring_version", lambda: "memory 1")
    ran = bench(plates, "--out", out, *options, "--aupro-200", "--resume")
    assert ran.code == 2
    assert re.search(r"holds a run with scoring 'memory \d+, .*', not 'memory 1'", ran.err)


def test_weights_that_saw_the_pictures_are_refused(bench: Bench, plates: Path, tmp_path: Path) -> None:
    seen = sha256_of(plates / "plate" / "test" / "good" / "0.png")
    header = Header(method="dapo", settings={}, trained_on=marks_of([seen]))
    save_weights(tmp_path / "w.safetensors", {"a": torch.zeros(1)}, header)
    ran = bench(plates, "--out", tmp_path / "out", "--checkpoint", tmp_path / "w.safetensors", "--shots", SHOTS)
    assert ran.code == 2
    assert "1 of 4 pictures were used to train" in ran.err
    assert ran.err.count("\n") == 1


def test_the_threshold_is_that_of_the_calibration(bench: Bench, plates: Path, tmp_path: Path) -> None:
    from vlm_inspect.calibration_file import Calibration, save_calibration
    from vlm_inspect.inspector import ANY_PART

    torch.set_num_threads(1)
    references = make_plan(read_dataset(plates), shots=SHOTS).tasks[0].references
    judged_by = Inspector(references=references).fit("image")[1].judged_by
    made = Calibration(
        rules_sha256=ANY_PART.scoring_sha256, localizer="memory", n=20, overkill=0.0, overkill_ci95=(0.0, 0.2),
        ok_below=1.0, ng_above=1.0, judged_by=judged_by,
        references_sha256=tuple(sha256_of(path) for path in references),
    )  # fmt: skip
    save_calibration(made, tmp_path / "plate.json")
    options = ["--shots", SHOTS, "--limit", 2, "--quiet", "--calibration"]
    assert bench(plates, "--out", tmp_path / "out", *options, tmp_path / "plate.json").code == 0
    plate = results_of(tmp_path / "out")["categories"]["plate"]
    assert plate["threshold"] > 1.0
    assert plate["balanced_accuracy"] == 0.5, "nothing reaches that threshold"
    assert plate["image_auroc"] == 1.0
    other = made.model_copy(update={"localizer": "dapo"})
    save_calibration(other, tmp_path / "plate.json")
    ran = bench(plates, "--out", tmp_path / "other", *options, tmp_path / "plate.json")
    assert ran.code == 2
    assert "localizer dapo, not memory" in ran.err
    save_calibration(made.model_copy(update={"references_sha256": ("a" * 64,)}), tmp_path / "plate.json")
    ran = bench(plates, "--out", tmp_path / "other", *options, tmp_path / "plate.json")
    assert ran.code == 2
    assert "was made with other references" in ran.err
    save_calibration(made.model_copy(update={"judged_by": ("memory 1", *judged_by[1:])}), tmp_path / "plate.json")
    ran = bench(plates, "--out", tmp_path / "other", *options, tmp_path / "plate.json")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "was made with memory 1, and parts are judged by memory" in ran.err
    save_calibration(other, tmp_path / "plate.json")
    assert bench(plates, "--out", tmp_path / "other", *options, tmp_path).code == 2


def _pixels_by_hand(folder: Path) -> PixelMetrics:
    """The same metrics without the runner, from maps at full precision."""
    plan = make_plan(read_dataset(folder), shots=SHOTS)
    found = PixelMetrics()
    inspector = Inspector(
        rules=plan.rules["plate"], references=plan.tasks[0].references, localizer=load_localizer("memory")
    )
    for task in plan.tasks:
        prepared = inspector.prepare(task.item.path)
        values = join_maps(prepared.views, prepared.evidence.maps)
        assert values is not None
        found.add(values, np.zeros(values.shape) if task.item.mask is None else task.item.mask.read())
    return found


def test_items_are_lines_of_json(bench: Bench, plates: Path, tmp_path: Path) -> None:
    assert bench(plates, "--out", tmp_path / "out", "--localizer", "none", "--shots", 0, "--quiet").code == 0
    lines = (tmp_path / "out" / "items.jsonl").read_text().splitlines()
    assert {"id", "category", "label", "score", "outcome", "reply_sha256"} <= set(json.loads(lines[0]))
    plate = results_of(tmp_path / "out")["categories"]["plate"]
    assert "pixel_auroc" not in plate, "no map, no metric"
    assert plate["image_auroc"] == 0.5
    assert plate["review_rate"] == 1.0
