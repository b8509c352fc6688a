"""Organised scans as MVTec 3D-AD lays them out: what the part lies on goes, the photo of its pixels comes along."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from converters.errors import ConversionError
from converters.limits import reading
from converters.point_cloud import read_point_cloud
from converters.registry import read

SIZE = (60, 80)


def seen(height: NDArray[np.float64], *, noise: float = 1e-4) -> NDArray[np.float32]:
    """(60, 80, 3) in metres, as a camera 0.5 m above sees heights (60, 80) over a plane that leans a little."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[-0.06:0.06:60j, -0.08:0.08:80j]
    z = 0.5 + 0.1 * x - height + rng.normal(scale=noise, size=SIZE)
    return np.stack([x, y, z], axis=2).astype(np.float32)


def puck() -> NDArray[np.float64]:
    """Heights of a part of 20 mm in the middle, and of a crumb beside it."""
    y, x = np.mgrid[-0.06:0.06:60j, -0.08:0.08:80j]
    height = np.where(np.hypot(x, y) < 0.025, 0.02, 0.0)
    height[5:7, 10:12] = 0.02
    return height


def written(folder: Path, grid: NDArray[np.float32]) -> Path:
    path = folder / "xyz" / "000.tiff"
    path.parent.mkdir(parents=True)
    tifffile.imwrite(path, grid, photometric="rgb")
    return path


def test_the_plane_that_a_part_lies_on_is_left_out_and_said(tmp_path: Path) -> None:
    grid = seen(puck())
    grid[:4, :9] = 0.0
    path = written(tmp_path, grid)
    with reading(path) as read:
        cloud = read_point_cloud(path)
    y, x = np.divmod(cloud.grid.pixels, SIZE[1])
    shown = np.zeros(SIZE, dtype=bool)
    shown[y, x] = True
    assert (shown == (np.hypot(grid[..., 0], grid[..., 1]) < 0.025) & (grid[..., 2] > 0.0)).mean() > 0.995
    assert cloud.grid.size_hw == SIZE
    np.testing.assert_array_equal(cloud.points, grid.reshape(-1, 3)[cloud.grid.pixels])
    assert any("plane behind the part" in note for note in read.notes)


@pytest.mark.parametrize("frame", ["rectangle", "disc"])
def test_a_frame_without_points_is_no_end_of_the_plane(tmp_path: Path, frame: str) -> None:
    grid = seen(puck())
    y, x = np.mgrid[-1.0:1.0:60j, -1.0:1.0:80j]
    unseen = np.maximum(abs(x), abs(y)) > 0.85 if frame == "rectangle" else np.hypot(x, y) > 0.95
    grid[unseen] = np.nan
    grid[20:40, 52:58] = 0.0  # the shadow of the part
    cloud = read_point_cloud(written(tmp_path, grid))
    assert np.hypot(*cloud.points[:, :2].T).max() < 0.027
    assert len(cloud.points) > 0.95 * np.sum((np.hypot(grid[..., 0], grid[..., 1]) < 0.025) & (grid[..., 2] > 0.0))


@pytest.mark.parametrize("kind", ["sheet", "smooth bump", "fills the picture", "no plane"])
def test_a_scan_without_a_background_stays_whole(tmp_path: Path, kind: str) -> None:
    y, x = np.mgrid[-1.0:1.0:60j, -1.0:1.0:80j]
    heights = {
        "sheet": np.zeros(SIZE),
        "smooth bump": 0.01 * np.exp(-(x**2 + y**2) / 0.1),
        "fills the picture": np.where(np.abs(y) < 0.5, 0.02, 0.0),  # a bar from side to side
        "no plane": 0.03 * np.cos(3.0 * x) * np.cos(4.0 * y),
    }
    assert len(read_point_cloud(written(tmp_path, seen(heights[kind]))).points) == 60 * 80


def test_points_have_the_colours_of_the_photo_of_the_same_pixels(tmp_path: Path) -> None:
    path, photo = written(tmp_path, seen(puck())), np.random.default_rng(1).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
    (tmp_path / "rgb").mkdir()
    assert cv2.imwrite(str(tmp_path / "rgb" / "000.png"), photo[:, :, ::-1])
    cloud = read_point_cloud(path)
    np.testing.assert_array_equal(cloud.colors, photo.reshape(-1, 3)[cloud.grid.pixels])
    assert cv2.imwrite(str(tmp_path / "rgb" / "000.png"), photo[:30, :, ::-1])
    with reading(path) as read:
        assert read_point_cloud(path).colors is None
    assert any("80x30 pixels was not used: the scan has 80x60" in note for note in read.notes)
    (tmp_path / "rgb" / "000.png").write_bytes(b"no photo")
    with reading(path) as read:
        assert read_point_cloud(path).colors is None
    assert any("photo of the scan was not used" in note for note in read.notes)


@pytest.mark.parametrize(
    ("channels", "value", "said"),
    [
        ((0, 1, 2), 0.0, "holds no point: every pixel is 0"),
        ((0, 1, 2), np.nan, "all 4800 points are NaN"),
        ((2,), np.nan, "all 4800 points are NaN"),
        ((2,), 0.0, "holds no z: that channel is 0"),
    ],
)
def test_a_scan_that_lost_its_points_is_a_scan_and_says_so(
    tmp_path: Path, channels: tuple[int, ...], value: float, said: str
) -> None:
    grid = seen(puck())
    grid[..., list(channels)] = value
    with pytest.raises(ConversionError, match=said):
        read(written(tmp_path, grid))


def test_pixels_that_are_zero_or_no_number_hold_no_point(tmp_path: Path) -> None:
    grid = np.zeros((*SIZE, 3), np.float32)
    grid[:9] = np.nan
    with pytest.raises(ConversionError, match="holds no point"):
        read(written(tmp_path, grid))


@pytest.mark.parametrize("rows", ["from above", "mirrored"])
@pytest.mark.parametrize("base_mm", [0.0, 5.0, -5.0])
def test_a_map_of_heights_is_seen_from_above(tmp_path: Path, rows: str, base_mm: float) -> None:
    y, x = np.mgrid[-30.0:30.0:60j, -40.0:40.0:80j]
    y = y if rows == "mirrored" else -y
    part = (np.abs(x) < 15) & (np.abs(y) < 10)
    heights = np.where(part, 8.0, 0.0) + base_mm + np.random.default_rng(0).normal(scale=0.01, size=SIZE)
    path = tmp_path / "block.npy"
    np.save(path, np.stack([x, y, heights], axis=2))
    cloud = read_point_cloud(path)
    assert len(cloud.points) == part.sum()
    assert cloud.points[:, 2].min() > base_mm + 7.0
    assert cloud.viewpoint is not None
    assert cloud.viewpoint[2] > 100.0


def test_a_pcd_with_rows_is_organised(tmp_path: Path) -> None:
    grid = seen(puck())
    grid[30, 40] = np.nan
    head = "VERSION 0.7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nWIDTH 80\nHEIGHT 60\nVIEWPOINT 0 0 0 1 0 0 0\n"
    path = tmp_path / "puck.pcd"
    path.write_bytes(f"{head}POINTS 4800\nDATA binary\n".encode() + grid.tobytes())
    cloud = read_point_cloud(path)
    assert cloud.grid is not None
    assert cloud.grid.size_hw == SIZE
    assert cloud.dropped == 1
    assert np.hypot(*cloud.points[:, :2].T).max() < 0.027
    flat = tmp_path / "row.pcd"
    flat.write_bytes(path.read_bytes().replace(b"WIDTH 80\nHEIGHT 60", b"WIDTH 4800\nHEIGHT 1"))
    assert read_point_cloud(flat).grid is None


def test_points_in_columns_are_refused_with_what_to_do(tmp_path: Path) -> None:
    np.save(tmp_path / "turned.npy", np.random.default_rng(0).normal(size=(6, 50)))
    with pytest.raises(ConversionError, match=r"save it turned, \(N, 3\)"):
        read_point_cloud(tmp_path / "turned.npy")
