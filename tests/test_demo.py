"""The demo: every file reads back, every truth is really there, nothing is half written."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from vlm_inspect.demo import DemoDefect, DemoTruth, folder, screw, write_demo
from vlm_inspect.demo.scan_files import random_pose, scan_surface
from vlm_inspect.errors import OutputError
from vlm_inspect.rules import load_rules, resolve_references

DEFECTIVE_SCREWS = ("missing_thread.ply", "bent.ply", "short.pcd", "dent.xyz", "blob.ply")


@pytest.fixture(scope="module")
def truth(demo: Path) -> DemoTruth:
    return DemoTruth.model_validate_json((demo / "truth.json").read_bytes())


def digests(target: Path) -> dict[str, str]:
    files = sorted(path for path in target.rglob("*") if path.is_file())
    return {str(f.relative_to(target)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def read_points(path: Path) -> np.ndarray:
    from converters.point_cloud import read_point_cloud

    return read_point_cloud(path).points


def read_photo(path: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(float)


def read_frames(path: Path) -> list[np.ndarray]:
    import cv2

    capture = cv2.VideoCapture(str(path))
    frames = []
    while (got := capture.read())[0]:
        frames.append(got[1][..., ::-1])
    return frames


def test_every_path_of_the_truth_exists_and_every_file_is_named_once(demo: Path, truth: DemoTruth) -> None:
    named = {case.source for case in truth.root} | {ref for case in truth.root for ref in case.references}
    rules = {case.rules for case in truth.root}
    assert set(digests(demo)) == named | rules | {"truth.json"}
    assert len({case.source for case in truth.root}) == len(truth.root)
    for case in truth.root:
        assert case.source not in case.references
        assert (case.outcome == "OK") == (not case.defects)


def test_truth_is_the_plain_list_of_the_contract(demo: Path) -> None:
    cases = json.loads((demo / "truth.json").read_text())
    assert isinstance(cases, list)
    assert set(cases[0]) == {"source", "rules", "references", "outcome", "defects"}
    places = {frozenset(defect) for case in cases for defect in case["defects"]}
    assert places == {frozenset({"type", place}) for place in ("point_mm", "box_xyxyn", "time_s")}


def test_rule_books_load_and_name_the_same_references(demo: Path, truth: DemoTruth) -> None:
    for case in truth.root:
        rules = load_rules(demo / case.rules)
        assert {path.resolve() for path in resolve_references(rules)} == {(demo / r).resolve() for r in case.references}
        assert {defect.type for defect in case.defects} <= set(rules.defects)


def test_screws_have_the_length_that_the_rules_ask_for(demo: Path, truth: DemoTruth) -> None:
    for name, low, high in (
        ("normal.ply", 19.8, 20.3),
        ("references/normal_03.ply", 19.8, 20.3),
        ("short.pcd", 18.0, 18.5),
    ):
        points = read_points(demo / "screw" / name)
        centred = points - points.mean(axis=0)
        axis = np.linalg.svd(centred[::50], full_matrices=False)[2][0]
        assert low < np.ptp(centred @ axis) < high, name
        assert 35_000 <= len(points) <= 60_000


@pytest.mark.parametrize("name", DEFECTIVE_SCREWS)
def test_a_screw_defect_lies_on_the_screw(demo: Path, truth: DemoTruth, name: str) -> None:
    (defect,) = truth.case(f"screw/{name}").defects
    points = read_points(demo / "screw" / name)
    assert (
        np.linalg.norm(points - np.array(defect.point_mm), axis=1).min() < 1.8
    )  # on the surface, or on the axis below it


def test_a_dent_is_half_a_millimetre_deep_and_a_blob_one_high() -> None:
    rng = np.random.default_rng(3)
    sound = screw.screw_surface(screw.ScrewShape()).vertices
    centre, outward = np.array([1.98, 0.0, 8.0]), np.array([1.0, 0.0, 0.0])
    dented = screw._press_ball(sound, centre, outward)
    near = np.linalg.norm((sound - centre)[:, 1:], axis=1) < 0.3
    front = near & (sound[:, 0] > 0)
    assert dented[front, 0].max() == pytest.approx(1.98 - 0.55, abs=0.03)
    assert np.array_equal(dented[~(sound[:, 0] > 0.5)], sound[~(sound[:, 0] > 0.5)])
    blobbed = screw._raise_blob(sound, centre, outward)
    assert 0.8 < blobbed[:, 0][near].max() - 1.98 < 1.3
    assert np.all(np.linalg.norm(random_pose(rng).rotation @ np.eye(3), axis=0) == pytest.approx(1))


@given(angle=st.floats(0.02, 0.6), turn=st.floats(0, 6.28), seed=st.integers(0, 1000))
def test_what_is_bent_stays_rigid_below_the_bend(angle: float, turn: float, seed: int) -> None:
    bend = screw._bend_below(6.0, angle, np.array([np.cos(turn), np.sin(turn), 0.0]))
    rng = np.random.default_rng(seed)
    below = np.column_stack([rng.uniform(-2, 2, (6, 2)), rng.uniform(0, 4.9, 6)])
    above = below + np.array([0, 0, 6.0])
    moved = bend(below)
    before = np.linalg.norm(below[:, None] - below[None], axis=-1)
    after = np.linalg.norm(moved[:, None] - moved[None], axis=-1)
    assert after == pytest.approx(before, abs=1e-9)
    assert np.array_equal(bend(above), above)
    assert not np.allclose(moved, below)


def test_a_scan_samples_the_surface_evenly_and_with_its_noise() -> None:
    surface = screw.screw_surface(screw.ScrewShape())
    rng = np.random.default_rng(0)
    exact = scan_surface(surface, rng, count=20_000, noise_mm=0.0)
    on_side = np.hypot(exact[:, 0], exact[:, 1]) > 3.85
    rim = on_side & (exact[:, 2] > 19.66) & (exact[:, 2] < 19.84)  # a cylinder of radius 3.9: its area is known
    from scipy.spatial import cKDTree

    area = 2 * np.pi * 3.9 * 0.18
    corners = surface.vertices[surface.faces]
    total = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum()
    assert rim.sum() == pytest.approx(20_000 * area / total, rel=0.15)
    noisy = scan_surface(surface, rng, count=4_000, noise_mm=0.012)
    dense = scan_surface(surface, rng, count=400_000, noise_mm=0.0)
    assert 0.008 < np.median(cKDTree(dense).query(noisy)[0]) < 0.03


def test_a_board_defect_lies_in_its_box(demo: Path, truth: DemoTruth) -> None:
    case = truth.case("circuit_board/normal.jpg")
    usual = np.median([read_photo(demo / name) for name in case.references[:5]], axis=0)

    def change(source: str) -> np.ndarray:
        photo = read_photo(demo / source)
        return np.abs(photo * (np.median(usual) / np.median(photo)) - usual).max(axis=2)

    normal = change(case.source)
    for source in ("scratched.jpg", "scratched_chip.png", "missing_part.jpg", "missing_resistor.jpg"):
        (defect,) = truth.case(f"circuit_board/{source}").defects
        assert defect.box_xyxyn is not None
        x0, y0, x1, y1 = (round(v * normal.shape[1 - i % 2]) for i, v in enumerate(defect.box_xyxyn))
        inside = change(f"circuit_board/{source}")[y0:y1, x0:x1]
        assert np.percentile(inside, 97) > 60, source
        assert inside.mean() > 2 * normal[y0:y1, x0:x1].mean(), source


def test_the_bottle_lies_in_the_middle_at_the_stated_second(demo: Path, truth: DemoTruth) -> None:
    (defect,) = truth.case("conveyor/toppled.mp4").defects
    assert defect.time_s is not None

    def longest_amber(frame: np.ndarray) -> tuple[int, float]:
        """Length and middle of what is neither grey nor belt just above the belt."""
        row = frame[250].astype(int)
        coloured = np.flatnonzero((row.max(axis=1) - row.min(axis=1) > 60) | (row.min(axis=1) > 175))
        runs = np.split(coloured, np.flatnonzero(np.diff(coloured) > 12) + 1)
        run = max(runs, key=len)
        return (int(np.ptp(run)), float(run.mean())) if len(run) else (0, 0.0)

    frames = read_frames(demo / "conveyor" / "toppled.mp4")
    length, middle = longest_amber(frames[round(defect.time_s * 25)])
    assert length > 150
    assert abs(middle - 320) < 25
    normal = read_frames(demo / "conveyor" / "normal.mp4")
    assert len(normal) == 125
    assert max(longest_amber(frame)[0] for frame in normal) < 130


def test_the_burst_is_the_highest_peak_of_its_curve(demo: Path, truth: DemoTruth) -> None:
    (defect,) = truth.case("vibration/burst.csv").defects
    curve = np.loadtxt(demo / "vibration" / "burst.csv", delimiter=",", skiprows=1)
    peak_s = curve[np.abs(curve[:, 1]).argmax(), 0]
    assert abs(peak_s - (defect.time_s or 0)) < 0.06
    assert (demo / "vibration" / "burst.csv").read_text().startswith("time (s),accel (g)\n")
    normal = np.loadtxt(demo / "vibration" / "normal.csv", delimiter=",", skiprows=1)
    assert np.abs(normal[:, 1]).max() < 1.2 < np.abs(curve[:, 1]).max()


def test_normals_differ_from_each_other(demo: Path) -> None:
    assert len(set(digests(demo).values())) == len(digests(demo))


def test_an_earlier_demo_is_replaced_with_the_same_bytes_and_other_files_stay(demo: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    shutil.copytree(demo, target)
    (target / "notes.txt").write_text("mine")
    (target / "screw" / "normal.ply").write_bytes(b"damaged")
    write_demo(target)
    assert {**digests(demo), "notes.txt": hashlib.sha256(b"mine").hexdigest()} == digests(target)
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_a_folder_with_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="not empty"):
        write_demo(tmp_path)
    (tmp_path / "truth.json").write_text('{"not": "ours"}')
    with pytest.raises(OutputError, match="not empty"):
        write_demo(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["thesis.txt", "truth.json"]
    with pytest.raises(OutputError, match="is a file"):
        write_demo(tmp_path / "thesis.txt")
    with pytest.raises(OutputError, match="no such folder"):
        write_demo(tmp_path / "missing" / "demo")


def test_a_write_that_fails_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(target: Path, generator: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder, "_WRITERS", {**folder._WRITERS, "screw": full_disk})
    with pytest.raises(OutputError, match="No space left"):
        write_demo(tmp_path / "demo")
    assert list(tmp_path.iterdir()) == []


def test_a_defect_has_exactly_one_place() -> None:
    with pytest.raises(ValidationError, match="exactly one"):
        DemoDefect(type="dent", point_mm=(0, 0, 0), time_s=1.0)
    with pytest.raises(ValidationError, match="exactly one"):
        DemoDefect(type="dent")
