"""`vlm-inspect bench` on a scan as MVTec 3D-AD has it, end to end; other ground truths are in ../scoring."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evaluation.scoring.item_map import read_map
from tests.backends.openai_server import OpenAIServer, answer
from tests.evaluation.bench_runs import Bench, items_of, results_of
from tests.evaluation.bench_runs import bench as bench  # noqa: PLC0414 (a fixture)
from tests.localization.clip_events.belts import belt

Flags = NDArray[np.bool_]
SHAPE_HW = (60, 80)


def organised_scan(path: Path, seed: int, bump_rc: tuple[int, int] | None = None) -> Flags:
    """Write a curved plate with a knob, in metres, 0.4 m from the sensor; returns where the bump is, (H, W)."""
    import tifffile

    path.parent.mkdir(parents=True, exist_ok=True)
    rows, columns = np.mgrid[: SHAPE_HW[0], : SHAPE_HW[1]].astype(np.float64)
    x, y = (columns - 40) * 1e-3, (rows - 30) * 1e-3
    depth = 0.4 + 4.0 * x**2 + 2.0 * y**2 - 0.006 * np.exp(-((x - 0.02) ** 2 + (y + 0.01) ** 2) / 4e-5)
    depth += np.random.default_rng(seed).normal(0.0, 2e-5, depth.shape)
    bump = np.zeros(SHAPE_HW, bool)
    if bump_rc is not None:
        far = (rows - bump_rc[0]) ** 2 + (columns - bump_rc[1]) ** 2
        bump = far <= 5**2
        depth -= np.where(bump, 0.002, 0.0)
    values = np.stack([x, y, depth], axis=-1).astype(np.float32)
    values[:4, :] = 0.0  # what the sensor did not see
    tifffile.imwrite(path, values, photometric="rgb", planarconfig="contig")
    return bump


def test_a_bump_on_an_organised_scan_has_pixels(bench: Bench, tmp_path: Path) -> None:
    part = tmp_path / "data" / "bagel"
    organised_scan(part / "train" / "good" / "xyz" / "000.tiff", 0)
    organised_scan(part / "test" / "good" / "xyz" / "000.tiff", 1)
    bump = organised_scan(part / "test" / "bump" / "xyz" / "000.tiff", 2, (40, 20))
    (part / "test" / "bump" / "gt").mkdir()
    Image.fromarray(bump.astype(np.uint8) * 255).save(part / "test" / "bump" / "gt" / "000.png")
    out, given = tmp_path / "out", ["--shots", 1, "--localizer", "none", "--quiet", "--keep-maps"]
    ran = bench(tmp_path / "data", "--out", out, *given)
    assert ran.code == 0, ran.err
    bagel = results_of(out)["categories"]["bagel"]
    assert bagel["pixel_auroc"] > 0.99
    assert bagel["aupro"] > 0.95
    assert bagel["pixel_images_without_map"] == 0
    items = items_of(out)
    found = read_map(out / "maps" / f"{items['bagel/test/bump/xyz/000.tiff']['preview']}.npz").values()
    assert found.shape == SHAPE_HW
    assert not found[:4].any(), "no point, the lowest score"
    row, column = np.unravel_index(found.argmax(), SHAPE_HW)
    assert np.hypot(row - 40, column - 20) <= 6
    defect = {"type": "bump", "view": 0, "box": [300, 300, 700, 700]}
    said = {"reasoning": "A bump.", "anomalous": True, "probability": 0.9, "defects": [defect]}
    with OpenAIServer([answer(said)]) as server:
        model = ("--model", "openai:tiny", "--base-url", server.base_url)
        assert bench(tmp_path / "data", "--out", tmp_path / "model", *given, *model).code == 0
    judged = results_of(tmp_path / "model")["categories"]["bagel"]
    assert judged["fused_pixel_auroc"] > 0.95, "a box somewhere, of a model that nothing is known of"
    assert judged["fused_aupro"] > 0.9
    assert "fused_pixel_auroc" not in bagel


def test_a_folder_of_frames_is_a_clip_whose_beginning_may_be_its_reference(bench: Bench, tmp_path: Path) -> None:
    event = range(48, 60)
    for name, marked in (("Test001", event), ("Test002", range(0))):
        clip = belt(8 + len(marked), 72, mark_at=marked)
        for frame in clip.frames():
            path = tmp_path / "data" / name / f"{frame.index:03}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(frame.image).save(path)
            mask = np.full((4, 6), 255 * (frame.index in marked), np.uint8)
            path = tmp_path / "data" / f"{name}_gt" / f"{frame.index:03}.bmp"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(mask).save(path)
    out = tmp_path / "out"
    for span, told in ((500, "has 72 frames"), ("6s", "keeps no time"), (5, "at least 12")):
        ran = bench(tmp_path / "data", "--out", out, "--shots", 0, "--normal-until", span, "--quiet")
        assert (ran.code, out.exists()) == (2, False)
        assert told in ran.err
    ran = bench(tmp_path / "data", "--dry-run", "--shots", 0, "--normal-until", 30)
    assert "unreadable" not in ran.out
    ran = bench(tmp_path / "data", "--out", out, "--shots", 0, "--normal-until", 30, "--quiet")
    assert ran.code == 0, ran.err
    assert "frame_auroc " in ran.out
    found = results_of(out)["categories"]["data"]
    assert (found["n"], found["n_anomalous"], found["clips_without_frames"]) == (2, 1, 0)
    assert found["frame_auroc"] > 0.95
    first, second = found["clips"]
    assert (first["frames"], first["anomalous_frames"]) == (42, 12)  # the beginning is given, so it is not scored
    assert first["frame_auroc"] > 0.95
    assert second["frame_auroc"] is None
    assert ">data/Test001</th>" in (out / "report.html").read_text(encoding="utf-8")
    ran = bench(tmp_path / "data", "--out", out, "--shots", 0, "--normal-until", 40, "--resume")
    assert ran.code == 2
    assert "normal_until '30'" in ran.err
