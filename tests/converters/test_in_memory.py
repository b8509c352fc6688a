"""A part in memory is read as the file that it would be: same numbers, same refusals, nothing left behind."""

import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from PIL import Image

from converters.errors import ConversionError
from converters.in_memory import Source, as_file, path_of
from converters.registry import read
from converters.sample import ImageSample, PointCloud, Sample

GREY = np.random.default_rng(1).integers(0, 255, (80, 90, 3), dtype=np.uint8)


def sample_of(source: Source) -> Sample:
    with as_file(source) as (path, kind):
        return read(path, kind)


def picture_of(source: Source) -> Any:
    sample = sample_of(source)
    assert isinstance(sample, ImageSample)
    return sample.pages[0]


def cloud_of(source: Source) -> PointCloud:
    sample = sample_of(source)
    assert isinstance(sample, PointCloud)
    return sample


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def test_a_path_is_that_file(tmp_path: Path) -> None:
    with as_file(str(tmp_path / "part.png")) as (path, kind):
        assert (path, kind) == (tmp_path / "part.png", None)
    assert path_of(b"bytes") is None


def test_bytes_arrays_and_pictures_are_the_same_picture(tmp_path: Path) -> None:
    for source in (png(Image.fromarray(GREY)), bytearray(png(Image.fromarray(GREY))), GREY, Image.fromarray(GREY)):
        assert np.array_equal(picture_of(source), GREY)
    assert np.array_equal(picture_of(GREY[::2, ::2]), GREY[::2, ::2])  # an array that is no block of memory


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "HSV", "I", "I;16", "F", "RGBa", "La"])
def test_a_picture_of_any_mode_is_what_its_file_would_be(mode: str, tmp_path: Path) -> None:
    middle = {"RGBa": "RGBA", "La": "LA"}.get(mode, "L" if mode in {"I", "I;16", "F"} else "RGB")
    image = Image.fromarray(GREY).convert(middle)
    image = image.convert(mode) if mode != "I;16" else Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    assert image.mode == mode
    assert picture_of(image).shape == GREY.shape
    if mode in {"L", "RGBA", "P", "I;16"}:
        image.save(tmp_path / "a.png")
        assert np.array_equal(picture_of(image), picture_of(tmp_path / "a.png"))


def test_a_small_picture_is_no_curve_and_a_turned_one_is_turned() -> None:
    assert picture_of(Image.new("L", (9, 8))).shape == (8, 9, 3)
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.fromarray(GREY).save(file, "PNG", exif=exif)
    assert picture_of(Image.open(file)).shape == (90, 80, 3)


def test_clouds_and_meshes_keep_every_bit() -> None:
    points = np.random.default_rng(2).normal(1e5, 1.0, (500, 3))
    colors = np.random.default_rng(3).integers(0, 255, (500, 4), dtype=np.uint8)
    cloud = cloud_of(trimesh.PointCloud(points, colors=colors))
    assert np.array_equal(cloud.points, points)
    assert cloud.colors is not None
    assert np.array_equal(cloud.colors, colors[:, :3])
    box = trimesh.creation.box((3.0, 4.0, 5.0))
    for mesh in (box, trimesh.Scene(box)):
        found = cloud_of(mesh).mesh
        assert found is not None
        assert len(found.faces) == 12
        assert np.allclose(np.ptp(found.vertices, axis=0), (3, 4, 5))
    assert cloud_of(points.astype(np.float32)).points.shape == (500, 3)  # an array of three columns


def test_open3d_gives_points_colours_normals_and_meshes() -> None:
    o3d = pytest.importorskip("open3d")
    points = np.random.default_rng(2).normal(size=(100, 3))
    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(points))
    cloud.colors = o3d.utility.Vector3dVector(np.full((100, 3), 0.5))
    cloud.normals = o3d.utility.Vector3dVector(np.tile([0.0, 0.0, 1.0], (100, 1)))
    found = cloud_of(cloud)
    assert np.array_equal(found.points, points)
    assert found.colors is not None
    assert found.normals is not None
    assert (found.colors == 128).all()
    assert (found.normals == (0, 0, 1)).all()
    assert np.array_equal(
        cloud_of(o3d.t.geometry.PointCloud.from_legacy(cloud)).points.astype("f4"), points.astype("f4")
    )
    assert cloud_of(o3d.geometry.TriangleMesh.create_box()).mesh is not None


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (b"", "bytes: the file is empty"),
        (b"\x89PNG\r\n\x1a\nbroken", "bytes: "),
        (np.array([object()]), "array: holds Python objects"),
        (np.zeros((2, 2, 2, 2)), "array: "),
        (trimesh.PointCloud(np.zeros((0, 3))), "scan: "),
        (42, "int is no part: give a path"),
        (None, "NoneType is no part"),
    ],
)
def test_what_cannot_be_read_is_named_and_leaves_nothing(
    source: Any, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(ConversionError) as refused:
        sample_of(source)
    assert str(refused.value).startswith(told)
    assert str(tmp_path) not in str(refused.value)
    assert list(tmp_path.iterdir()) == []
