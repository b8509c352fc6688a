"""A place at the resolution of its source: pixels of the file, frames, points and samples, not of the shrunken view."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from converters.registry import read, render
from converters.sample import Sample
from converters.view import BoxXyxyn, Place, View, ViewBudget
from vlm_inspect.looks.zoom import cut_out


class Nowhere:
    def locate(self, box_xyxyn: BoxXyxyn) -> Place:
        return Place()


def speckled(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def shown(path: Path, as_kind: str | None = None, **budget: int) -> tuple[Sample, list[View]]:
    sample = read(path, as_kind)
    return sample, render(sample, ViewBudget(**budget))


def test_a_photograph_is_cut_at_its_own_pixels(tmp_path: Path) -> None:
    pixels = speckled(600, 900)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    sample, views = shown(tmp_path / "photo.png", max_side=300, max_tiles=0)
    cut = cut_out(views[0], (0.5, 0.5, 0.6, 0.6), sample)
    assert views[0].size_hw == (200, 300)
    assert cut.from_source
    side = 270  # the box is 90 px wide, and as much again on either side
    left, top = round(0.55 * 900 - side / 2), round(0.55 * 600 - side / 2)
    assert np.array_equal(cut.image, pixels[top : top + side, left : left + side])


def test_a_tile_is_cut_out_of_its_page_with_what_lies_beyond_its_edge(tmp_path: Path) -> None:
    pixels = speckled(200, 800)
    Image.fromarray(pixels).save(tmp_path / "long.png")
    sample, views = shown(tmp_path / "long.png", max_side=256, max_tiles=6)
    tile = next(v for v in views if v.key == "tile")
    cut = cut_out(tile, (0.9, 0.4, 1.0, 0.5), sample)
    _, _, edge, _ = tile.origin.window_xyxy  # type: ignore[attr-defined]  # an ImageOrigin
    assert edge < 800
    side = cut.image.shape[1]
    starts = [x for x in range(800 - side + 1) if np.array_equal(cut.image, pixels[: cut.image.shape[0], x : x + side])]
    starts += [
        x
        for x in range(800 - side + 1)
        for y in range(1, 200 - side + 1)
        if np.array_equal(cut.image, pixels[y : y + side, x : x + side])
    ]
    (start,) = starts
    assert start < edge < start + side, "it ends at the tile's edge"


def test_a_reference_of_another_size_is_cut_alike(tmp_path: Path) -> None:
    Image.fromarray(speckled(400, 400)).save(tmp_path / "part.png")
    Image.fromarray(speckled(800, 800, 1)).save(tmp_path / "normal.png")
    (part, (view, *_)), (normal, (twin, *_)) = shown(tmp_path / "part.png"), shown(tmp_path / "normal.png")
    box = (0.4, 0.4, 0.5, 0.5)
    cut = cut_out(view, box, part)
    same = cut_out(twin, box, normal, cut.lens)
    assert same.image.shape[0] == 2 * cut.image.shape[0]


def test_without_the_source_the_view_itself_is_cut() -> None:
    view = View(speckled(100, 100), "image", "photo", Nowhere())
    cut = cut_out(view, (0.0, 0.0, 0.3, 0.3), None)
    assert not cut.from_source
    assert np.array_equal(cut.image, view.image[:90, :90])


def test_a_frame_is_cut_at_its_own_pixels(tmp_path: Path) -> None:
    frames = [speckled(400, 400, seed) for seed in range(4)]
    for i, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / f"{i}.png")
    sample, (grid, *_) = shown(tmp_path, max_side=400, grid=2)
    x0, y0, x1, y1 = grid.panes[3].box_xyxy
    height, width = grid.size_hw
    middle = ((0.6 * x0 + 0.4 * x1) / width, (0.6 * y0 + 0.4 * y1) / height)
    corner = ((0.4 * x0 + 0.6 * x1) / width, (0.4 * y0 + 0.6 * y1) / height)
    cut = cut_out(grid, (*middle, *corner), sample)
    assert cut.from_source
    side = cut.image.shape[0]
    assert side > (y1 - y0), "no larger than its cell"
    start = round(200 - side / 2)
    assert np.array_equal(cut.image, frames[3][start : start + side, start : start + side])


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plate of 40 x 40 mm with a small bump, 160000 points."""
    path = tmp_path_factory.mktemp("scan") / "plate.npy"
    x, y = (a.ravel() for a in np.meshgrid(np.linspace(-20, 20, 400), np.linspace(-20, 20, 400)))
    z = 0.8 * np.exp(-((x - 10) ** 2 + (y - 5) ** 2) / 0.5)
    np.save(path, np.stack([x, y, z], axis=1))
    return path


@pytest.mark.parametrize("look", ["depth", "shaded", "normals"])
def test_a_scan_is_drawn_anew_from_its_points(scan: Path, look: str) -> None:
    sample, views = shown(scan, "point_cloud", scan_size=96)
    view = next(v for v in views if v.key == f"{look}/front")
    row, column = np.unravel_index(int(np.argmax(np.abs(np.diff(view.image.astype(int).sum(axis=2))))), (96, 95))
    bump = (column / 96, row / 96)
    box = (bump[0] - 0.03, bump[1] - 0.03, bump[0] + 0.03, bump[1] + 0.03)
    cut = cut_out(view, box, sample)
    assert cut.from_source
    assert cut.lens.camera is not None
    assert cut.lens.camera.mm_per_px < 0.5 * view.origin.mm_per_px  # type: ignore[attr-defined]  # a ScanOrigin
    assert cut.image.shape[0] > 2 * 0.18 * 96
    again = cut_out(view, box, sample, cut.lens)
    assert np.array_equal(again.image, cut.image)
    if look == "depth":
        middle = cut.image[cut.image.shape[0] // 3 : -cut.image.shape[0] // 3].max()
        assert int(middle) - int(np.median(cut.image)) > 60, "the bump does not stand out"


def test_a_scan_without_finer_points_is_cut_out_of_the_view(scan: Path) -> None:
    sample, views = shown(scan, "point_cloud", scan_size=900)
    assert not cut_out(views[0], (0.4, 0.4, 0.6, 0.6), sample).from_source


def test_a_curve_is_plotted_over_a_shorter_time(tmp_path: Path) -> None:
    time_s = np.arange(0, 10, 0.01)
    curve = np.sin(time_s) + (np.abs(time_s - 7) < 0.03) * 3
    rows = "\n".join(f"{t:.2f},{v:.4f}" for t, v in zip(time_s, curve, strict=True))
    (tmp_path / "curve.csv").write_text("time (s),accel (g)\n" + rows)
    sample, (plot,) = shown(tmp_path / "curve.csv")
    x0, _, x1, _ = plot.panes[0].box_xyxy
    at = (x0 + 0.7 * (x1 - x0)) / plot.size_hw[1]
    cut = cut_out(plot, (at - 0.02, 0.2, at + 0.02, 0.8), sample)
    assert cut.from_source
    assert cut.lens.span_s is not None
    low, high = cut.lens.span_s
    assert 6 < low < 7 < high < 8
    calm = tmp_path / "calm.csv"
    calm.write_text("time (s),accel (g)\n" + "\n".join(f"{t:.2f},{np.sin(t):.4f}" for t in time_s))
    normal, (twin,) = shown(calm)
    same = cut_out(twin, (at - 0.02, 0.2, at + 0.02, 0.8), normal, cut.lens)
    assert same.lens.span_s == cut.lens.span_s
    assert same.lens.value_limits == cut.lens.value_limits, "the axes differ, so that the curves do not compare"
    assert not np.array_equal(same.image, cut.image)
