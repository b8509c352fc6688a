"""Real files of every scan format, written by other libraries or by hand, and broken ones refused in one line."""

import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import trimesh
from numpy.typing import NDArray
from pypcd4 import Encoding
from pypcd4 import PointCloud as PcdFile

from converters.errors import ConversionError
from converters.mesh_sampling import SAMPLES
from converters.point_cloud import read_point_cloud, render_point_cloud
from converters.projection import ScanOrigin, canonical_frame
from converters.raw_scan import MAX_POINTS
from converters.sample import PointCloud
from converters.view import ViewBudget

RNG = np.random.default_rng(5)
XYZ = RNG.uniform(-5.0, 5.0, (40, 3)).astype(np.float32)
RGB = RNG.integers(0, 256, (40, 3), dtype=np.uint8)
UNIT = (XYZ / np.linalg.norm(XYZ, axis=1, keepdims=True)).astype(np.float32)
SMALL = ViewBudget(scan_size=96)


def ply_header(form: str, count: int = len(XYZ), lines: str = "", tail: str = "") -> bytes:
    xyz = "property float x\nproperty float y\nproperty float z\n"
    return (
        f"ply\nformat {form} 1.0\ncomment made by hand\nelement vertex {count}\n{xyz}{lines}{tail}end_header\n".encode()
    )


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def rows(*columns: tuple[str, NDArray], order: str = "<") -> bytes:
    """Binary rows of named columns, each (N, k)."""
    dtype = [(name, array.dtype.newbyteorder(order), (array.shape[1],)) for name, array in columns]
    table = np.zeros(len(columns[0][1]), dtype=dtype)
    for name, array in columns:
        table[name] = array
    return table.tobytes()


# --- points ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("form", "order"), [("binary_little_endian", "<"), ("binary_big_endian", ">")])
def test_binary_ply_keeps_points_colors_and_normals(tmp_path: Path, form: str, order: str) -> None:
    lines = "".join(f"property float {n}\n" for n in ("nx", "ny", "nz")) + "property double quality\n"
    lines += "".join(f"property uchar {n}\n" for n in ("red", "green", "blue"))
    body = rows(("p", XYZ), ("n", UNIT), ("q", np.ones((40, 1))), ("c", RGB), order=order)
    cloud = read_point_cloud(write(tmp_path / "a.ply", ply_header(form, lines=lines) + body))
    np.testing.assert_array_equal(cloud.points, XYZ.astype(np.float64))
    np.testing.assert_array_equal(cloud.colors, RGB)
    np.testing.assert_allclose(cloud.normals, UNIT, atol=1e-6)
    assert cloud.points.dtype == np.float64
    assert cloud.mesh is None
    assert cloud.dropped == 0


def test_ascii_ply_with_float_colors(tmp_path: Path) -> None:
    lines = "".join(f"property float {n}\n" for n in ("red", "green", "blue"))
    text = "\r\n".join(
        " ".join(map(repr, [*map(float, p), *map(float, c / 255)])) for p, c in zip(XYZ, RGB, strict=True)
    )
    cloud = read_point_cloud(write(tmp_path / "a.ply", ply_header("ascii", lines=lines) + text.encode()))
    np.testing.assert_array_equal(cloud.points, XYZ.astype(np.float64))
    np.testing.assert_array_equal(cloud.colors, RGB)


@pytest.mark.parametrize("encoding", [Encoding.ASCII, Encoding.BINARY, Encoding.BINARY_COMPRESSED])
def test_pcd_of_every_encoding(tmp_path: Path, encoding: Encoding) -> None:
    packed = PcdFile.encode_rgb(RGB)
    columns = [*XYZ.T, packed, *UNIT.T]
    fields = ("x", "y", "z", "rgb", "normal_x", "normal_y", "normal_z")
    PcdFile.from_points(columns, fields, [np.float32] * 3 + [packed.dtype] + [np.float32] * 3).save(
        tmp_path / "a.pcd", encoding=encoding
    )
    cloud = read_point_cloud(tmp_path / "a.pcd")
    np.testing.assert_allclose(cloud.points, XYZ, rtol=1e-5)
    np.testing.assert_allclose(cloud.normals, UNIT, atol=1e-5)
    if encoding is not Encoding.ASCII:  # a colour packed into a float loses digits as text
        np.testing.assert_array_equal(cloud.colors, RGB)


def test_pcd_with_a_comment_tabs_and_nan(tmp_path: Path) -> None:
    head = "# .PCD v0.7\nVERSION 0.7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH 5\nHEIGHT 1\n"
    text = head + "VIEWPOINT 0 0 0 1 0 0 0\nPOINTS 5\nDATA ascii\n0\t0 0\n1  0 0\n0 1 0\n0 0 1\nnan nan nan\n"
    cloud = read_point_cloud(write(tmp_path / "a.pcd", text.encode()))
    assert cloud.points.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert cloud.dropped == 1


@pytest.mark.parametrize(("name", "delimiter"), [("a.xyz", " "), ("a.txt", "\t"), ("a.csv", ","), ("b.csv", ";")])
def test_text_without_a_header(tmp_path: Path, name: str, delimiter: str) -> None:
    np.savetxt(tmp_path / name, np.hstack([XYZ, UNIT, RGB]), delimiter=delimiter, fmt="%.7g")
    cloud = read_point_cloud(tmp_path / name)
    np.testing.assert_allclose(cloud.points, XYZ, rtol=1e-5)
    np.testing.assert_allclose(cloud.normals, UNIT, atol=1e-5)
    np.testing.assert_array_equal(cloud.colors, RGB)


def test_text_columns_are_found_by_name(tmp_path: Path) -> None:
    np.savetxt(
        tmp_path / "a.csv",
        np.hstack([RGB, XYZ]),
        delimiter=",",
        header="R,G,B,X [mm],Y [mm],Z [mm]",
        comments="",
        fmt="%.7g",
    )
    cloud = read_point_cloud(tmp_path / "a.csv")
    np.testing.assert_allclose(cloud.points, XYZ, rtol=1e-5)
    np.testing.assert_array_equal(cloud.colors, RGB)


@pytest.mark.parametrize("dtype", ["f4", "f8", ">f8", "i4"])
def test_npy(tmp_path: Path, dtype: str) -> None:
    np.save(tmp_path / "a.npy", XYZ.astype(dtype))
    np.testing.assert_array_equal(read_point_cloud(tmp_path / "a.npy").points, XYZ.astype(dtype).astype(np.float64))


def test_npy_with_named_fields(tmp_path: Path) -> None:
    table = np.zeros(40, dtype=[("x", "f4"), ("y", "f4"), ("z", "f4"), ("i", "u2")])
    table["x"], table["y"], table["z"] = XYZ.T
    np.save(tmp_path / "a.npy", table)
    np.testing.assert_array_equal(read_point_cloud(tmp_path / "a.npy").points, XYZ.astype(np.float64))


@pytest.mark.parametrize("name", ["points", "xyz", "arr_0"])
def test_npz(tmp_path: Path, name: str) -> None:
    np.savez_compressed(tmp_path / "a.npz", **{name: XYZ, "colors": RGB / 255, "normals": UNIT * 3})
    cloud = read_point_cloud(tmp_path / "a.npz")
    np.testing.assert_array_equal(cloud.points, XYZ.astype(np.float64))
    np.testing.assert_array_equal(cloud.colors, RGB)
    np.testing.assert_allclose(cloud.normals, UNIT, atol=1e-6)


def organised_grid() -> NDArray[np.float32]:
    """(40, 50, 3) as a depth camera gives it: a bump 0.4 m away, a corner that it did not see."""
    y, x = np.mgrid[-0.04:0.04:40j, -0.05:0.05:50j]
    z = 0.4 - 0.01 * np.exp(-((x - 0.01) ** 2 + y**2) / 2e-4)
    grid = np.stack([x, y, z], axis=2).astype(np.float32)
    grid[:6, :8] = 0.0
    grid[-1, -1] = np.nan
    return grid


@pytest.mark.parametrize("suffix", ["tiff", "npy"])
def test_organised_scan_drops_what_the_sensor_did_not_see(tmp_path: Path, suffix: str) -> None:
    path, grid = tmp_path / f"a.{suffix}", organised_grid()
    tifffile.imwrite(path, grid, photometric="rgb") if suffix == "tiff" else np.save(path, grid)
    cloud = read_point_cloud(path)
    assert len(cloud.points) == 40 * 50 - 6 * 8 - 1
    assert cloud.dropped == 1
    assert cloud.viewpoint == (0.0, 0.0, 0.0)
    assert cloud.grid is not None
    assert cloud.grid.size_hw == (40, 50)
    np.testing.assert_array_equal(cloud.points, grid.reshape(-1, 3)[cloud.grid.pixels])
    origin = render_point_cloud(cloud, SMALL)[0].origin
    assert isinstance(origin, ScanOrigin)
    assert origin.grid is cloud.grid


# --- meshes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["stl", "stl_ascii", "obj", "off", "glb", "ply", "ply_ascii"])
def test_mesh_is_sampled_and_kept(tmp_path: Path, suffix: str) -> None:
    box = trimesh.creation.box((4.0, 2.0, 1.0))
    kind, _, text = suffix.partition("_")
    path = tmp_path / f"box.{kind}"
    options = {"encoding": "ascii"} if kind == "ply" and text else {}
    path.write_bytes(_bytes(box.export(file_type=suffix if kind == "stl" else kind, **options)))
    cloud = read_point_cloud(path)
    assert cloud.mesh is not None
    assert cloud.mesh.vertices.shape == (8, 3)
    assert cloud.mesh.faces.shape == (12, 3)
    assert len(cloud.points) == SAMPLES + 8
    np.testing.assert_allclose(np.ptp(cloud.points, axis=0), [4.0, 2.0, 1.0], atol=1e-6)
    on_face = np.abs(np.abs(cloud.points) - [2.0, 1.0, 0.5]) < 1e-5
    assert on_face.any(axis=1).all()
    # The share of a face is its share of the area: 8 of 28 for each of the two largest.
    assert on_face[:, 2].mean() == pytest.approx(16 / 28, abs=0.005)
    assert cloud.normals is not None
    np.testing.assert_allclose(np.linalg.norm(cloud.normals, axis=1), 1.0, atol=1e-5)
    assert (np.einsum("nd,nd->n", cloud.normals, cloud.points) > 0).all()
    np.testing.assert_array_equal(cloud.points, read_point_cloud(path).points)


def _bytes(data: str | bytes) -> bytes:
    return data.encode() if isinstance(data, str) else data


def test_scene_places_its_parts(tmp_path: Path) -> None:
    scene = trimesh.Scene()
    box = trimesh.creation.box((1.0, 1.0, 1.0))
    scene.add_geometry(box)
    scene.add_geometry(box, transform=trimesh.transformations.translation_matrix([10.0, 0.0, 0.0]))
    cloud = read_point_cloud(write(tmp_path / "a.glb", scene.export(file_type="glb")))
    np.testing.assert_allclose(np.ptp(cloud.points, axis=0), [11.0, 1.0, 1.0], atol=1e-6)
    assert cloud.mesh is not None
    assert len(cloud.mesh.faces) == 24


@pytest.mark.parametrize("form", ["ascii", "binary_little_endian"])
def test_polygons_become_triangles_and_edges_are_skipped(tmp_path: Path, form: str) -> None:
    """A square pyramid: one face of four corners, four of three, an element of edges before and a list after."""
    corners = np.array([[0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0], [1, 1, 1]], dtype=np.float32)
    faces = [(3, 2, 1, 0), (0, 1, 4), (1, 2, 4), (2, 3, 4), (3, 0, 4)]
    tail = "element edge 2\nproperty int vertex1\nproperty int vertex2\n"
    tail += "element face 5\nproperty uchar flag\nproperty list uchar int vertex_indices\n"
    if form == "ascii":
        body = "\n".join(" ".join(map(str, row)) for row in corners.tolist()) + "\n0 1\n1 2\n"
        data = (body + "\n".join(f"7 {len(f)} " + " ".join(map(str, f)) for f in faces) + "\n").encode()
    else:
        data = corners.tobytes() + struct.pack("<4i", 0, 1, 1, 2)
        data += b"".join(struct.pack(f"<BB{len(f)}i", 7, len(f), *f) for f in faces)
    mesh = read_point_cloud(write(tmp_path / "a.ply", ply_header(form, 5, tail=tail) + data)).mesh
    assert mesh is not None
    assert trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).volume == pytest.approx(4 / 3)


def test_vertex_colors_of_a_mesh_are_mixed(tmp_path: Path) -> None:
    lines = "".join(f"property uchar {n}\n" for n in ("red", "green", "blue"))
    tail = "element face 1\nproperty list uchar int vertex_indices\n"
    text = b"0 0 0 255 0 0\n9 0 0 0 255 0\n0 9 0 0 0 255\n3 0 1 2\n"
    cloud = read_point_cloud(write(tmp_path / "a.ply", ply_header("ascii", 3, lines, tail) + text))
    assert cloud.colors is not None
    assert np.abs(cloud.colors.sum(axis=1, dtype=int) - 255).max() <= 2
    near_green = np.argmin(np.linalg.norm(cloud.points - [8.9, 0.0, 0.0], axis=1))
    assert cloud.colors[near_green][1] > 245


def test_real_cad_mesh_is_closed_and_scans_read(shared_data: Path) -> None:
    mesh = read_point_cloud(shared_data / "gear" / "gear.stl").mesh
    assert mesh is not None
    assert trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).is_watertight
    assert len(read_point_cloud(shared_data / "gear" / "gear_registered.ply").points) == 30_000


# --- far away, and partly broken -------------------------------------------------------------------------------


def test_coordinates_of_1e8_keep_their_shape(tmp_path: Path) -> None:
    np.save(tmp_path / "near.npy", bumpy_plate())
    np.save(tmp_path / "far.npy", bumpy_plate() + 1e8)
    near, far = (render_point_cloud(read_point_cloud(tmp_path / f"{n}.npy"), SMALL) for n in ("near", "far"))
    assert [view.key for view in near] == [view.key for view in far]
    for one, other in zip(near, far, strict=True):
        assert np.mean(np.abs(one.image.astype(int) - other.image.astype(int)) > 2) < 0.02
    place = far[0].origin.locate((0.4, 0.4, 0.6, 0.6))
    assert place.point_mm is not None
    assert all(abs(value - 1e8) < 40 for value in place.point_mm)


def bumpy_plate(count: int = 20_000) -> NDArray[np.float64]:
    """A closed plate 40 x 24 x 4 with a bump on top, off its middle."""
    box = trimesh.creation.box((40.0, 24.0, 4.0))
    points, _ = trimesh.sample.sample_surface(box, count, seed=3)
    points = np.asarray(points, dtype=np.float64)
    top = points[:, 2] > 1.999
    points[top, 2] += 3.0 * np.exp(-((points[top, 0] - 9.0) ** 2 + (points[top, 1] - 4.0) ** 2) / 8.0)
    return points


def test_points_without_a_place_are_dropped_and_counted(tmp_path: Path) -> None:
    points = np.vstack([XYZ, [[np.nan, 0, 0], [0, np.inf, 0], [0, 0, -np.inf]]])
    np.save(tmp_path / "a.npy", points)
    cloud = read_point_cloud(tmp_path / "a.npy")
    assert cloud.dropped == 3
    assert len(cloud.points) == 40


# --- refused in one line -----------------------------------------------------------------------------------------

TRIANGLE = "element face 1\nproperty list uchar int vertex_indices\n"
CORNERS = ply_header("ascii", 3, tail=TRIANGLE) + b"0 0 0\n1 0 0\n0 1 0\n"
NO_XYZ = b"ply\nformat ascii 1.0\nelement face 0\nproperty int a\nend_header\n"
PCD = "VERSION 0.7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH {n}\nHEIGHT 1\nPOINTS {n}\nDATA {data}\n"
BROKEN: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "empty file": ("a.ply", lambda: b"", "empty"),
    "ply without points": ("a.ply", lambda: ply_header("ascii", 0), "no points"),
    "ply of one point": ("a.ply", lambda: ply_header("ascii", 1) + b"1 2 3\n", "1 usable point,"),
    "ply of three points": ("a.ply", lambda: ply_header("ascii", 3) + b"1 2 3\n2 2 3\n1 3 3\n", "at least 4"),
    "ply all nan": ("a.ply", lambda: ply_header("ascii", 4) + b"nan nan nan\n" * 4, "all 4 points are NaN"),
    "one place": ("a.xyz", lambda: b"1 2 3\n" * 9, "one place"),
    "ply truncated": ("a.ply", lambda: ply_header("binary_little_endian") + XYZ.tobytes()[:-5], "truncated"),
    "ply count too low": ("a.ply", lambda: ply_header("ascii", 4) + b"1 2 3\n" * 5, "left over"),
    "ply count too high": ("a.ply", lambda: ply_header("ascii", 6) + b"1 2 3\n" * 5, "6 vertex rows"),
    "ply bomb": ("a.ply", lambda: ply_header("binary_little_endian", 10**15), str(MAX_POINTS)),
    "ply negative": ("a.ply", lambda: ply_header("ascii", -4), "-4"),
    "ply words": ("a.ply", lambda: ply_header("ascii", 4) + b"1 2 3\n1 two 3\n1 2 3\n4 5 6\n", "'two'"),
    "ply no end": ("a.ply", lambda: b"ply\nformat ascii 1.0\nelement vertex 3\n", "end_header"),
    "ply bad type": ("a.ply", lambda: ply_header("ascii", 4, "property quaternion q\n"), "quaternion"),
    "ply bad format": ("a.ply", lambda: ply_header("base64"), "base64"),
    "ply no xyz": ("a.ply", lambda: NO_XYZ, "no vertex"),
    "ply face outside": ("a.ply", lambda: CORNERS + b"3 0 1 3\n", "vertex 3"),
    "ply face below": ("a.ply", lambda: CORNERS + b"3 0 1 -1\n", "vertex -1"),
    "ply face list bomb": (
        "a.ply",
        lambda: ply_header("binary_little_endian", 3, tail=TRIANGLE.replace("uchar", "uint"))
        + XYZ[:3].tobytes()
        + b"\xff\xff\xff\xff",
        "truncated",
    ),
    "pcd bomb": ("a.pcd", lambda: PCD.format(n=10**12, data="binary").encode(), str(MAX_POINTS)),
    "pcd truncated": ("a.pcd", lambda: PCD.format(n=40, data="binary").encode() + XYZ.tobytes()[:-1], "truncated"),
    "pcd compressed bomb": (
        "a.pcd",
        lambda: PCD.format(n=40, data="binary_compressed").encode() + struct.pack("<II", 12, 2**31) + bytes(12),
        "truncated",
    ),
    "pcd compressed noise": (
        "a.pcd",
        lambda: PCD.format(n=40, data="binary_compressed").encode() + struct.pack("<II", 12, 480) + b"\xd0" * 12,
        "PCD",
    ),
    "pcd words": ("a.pcd", lambda: PCD.format(n=1, data="ascii").encode() + b"1 x 3\n", "'x'"),
    "pcd text short": ("a.pcd", lambda: PCD.format(n=4, data="ascii").encode() + b"1 2 3\n", "4 points"),
    "pcd no xyz": ("a.pcd", lambda: PCD.format(n=0, data="ascii").replace("x y z", "a b c").encode(), "no fields"),
    "pcd half header": ("a.pcd", lambda: b"VERSION 0.7\nFIELDS x y z\n", "header"),
    "text of words": ("a.xyz", lambda: b"the quick brown\nfox jumps over\n", "a.xyz"),
    "text of no number": ("a.xyz", lambda: b"nan nan nan\n" * 100, "holds no usable point"),
    "text of two columns": ("a.xyz", lambda: b"1 2\n3 4\n5 6\n7 8\n9 9\n", "x, y and z"),
    "csv of another kind": ("a.csv", lambda: b"time,force,torque\n0,1,2\n1,2,3\n2,3,4\n3,4,5\n", "no columns named"),
    "stl truncated": ("a.stl", lambda: trimesh.creation.box((1, 1, 1)).export(file_type="stl")[:-30], "truncated"),
    "stl lies": ("a.stl", lambda: bytes(80) + struct.pack("<I", 4 * 10**9) + bytes(50), "truncated"),
    "obj face outside": ("a.obj", lambda: b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n", "a.obj"),
    "off cut": ("a.off", lambda: b"OFF\n8 12 0\n0 0 0\n1 0 0\n", "a.off"),
    "glb cut": ("a.glb", lambda: trimesh.creation.box((1, 1, 1)).export(file_type="glb")[:-90], "a.glb"),
    "npy pickled": ("a.npy", lambda: npy_bytes(np.array([{"a": 1}], dtype=object)), "not numbers"),
    "npy truncated": ("a.npy", lambda: npy_bytes(XYZ)[:-40], "NumPy"),
    "npy of two columns": ("a.npy", lambda: npy_bytes(XYZ[:, :2]), "(40, 2)"),
    "npy bomb": ("a.npy", lambda: npy_bytes(XYZ).replace(b"(40, 3), }", b"(90000000000, 3), }")[:400], str(MAX_POINTS)),
    "png bytes": ("a.ply", lambda: b"\x89PNG\r\n\x1a\n" + bytes(50), "no PLY data"),
    "beyond all units": ("a.xyz", lambda: b"0 0 0\n1e300 0 0\n0 1 0\n0 0 1\n", "unit"),
}  # fmt: skip


def npy_bytes(array: NDArray) -> bytes:
    import io

    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_are_refused_in_one_line(tmp_path: Path, case: str) -> None:
    name, content, told = BROKEN[case]
    path = write(tmp_path / name, content())
    with pytest.raises(ConversionError) as caught:
        read_point_cloud(path)
    message = str(caught.value)
    assert told in message
    assert name in message
    assert "\n" not in message
    assert len(message) < 400


def test_missing_file_and_foreign_archive(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="No such file"):
        read_point_cloud(tmp_path / "none.ply")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ConversionError, match="no array named points"):
        read_point_cloud(tmp_path / "a.npz")


def test_image_tiff_is_not_a_scan(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((9, 9, 3), np.uint8), photometric="rgb")
    with pytest.raises(ConversionError, match="--as image"):
        read_point_cloud(tmp_path / "a.tif")


# --- views -----------------------------------------------------------------------------------------------------------


def test_solid_part_gives_six_depth_views_and_three_lit_sides() -> None:
    views = render_point_cloud(PointCloud(Path("a.ply"), bumpy_plate()), SMALL)
    keys = [view.key for view in views]
    assert keys[:3] == ["depth/front", "shaded/front", "normals/front"]
    assert {key for key in keys if key.startswith("depth/")} == {
        f"depth/{side}" for side in ("front", "back", "left", "right", "top", "bottom")
    }
    assert len(keys) == len(set(keys)) == 12
    assert {view.label for view in views} >= {"depth, front", "shaded, back"}
    for view in views:
        assert view.size_hw == (96, 96)
        assert isinstance(view.origin, ScanOrigin)
        assert view.mask is not None
        background = {"depth": 0, "normals": 0, "image": 255}[view.kind]
        assert (view.image[~view.mask] == background).all()
        if view.kind == "depth":
            assert view.image[view.mask].min() >= 70


def test_bump_is_the_brightest_place_of_the_front() -> None:
    front = next(v for v in render_point_cloud(PointCloud(Path("a"), bumpy_plate()), SMALL) if v.key == "depth/front")
    grey = front.image[:, :, 0].astype(int)
    row, column = np.unravel_index(grey.argmax(), grey.shape)
    box = (column / 96, row / 96, (column + 1) / 96, (row + 1) / 96)
    point = front.origin.locate(box).point_mm
    assert point is not None
    assert np.hypot(point[0] - 9.0, point[1] - 4.0) < 1.5
    assert point[2] > 4.0
    assert grey.max() - np.median(grey[front.mask]) > 40


def test_one_sided_scan_is_drawn_from_its_sensor(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", organised_grid())
    cloud = read_point_cloud(tmp_path / "a.npy")
    views = render_point_cloud(cloud, SMALL)
    assert [view.key for view in views] == ["depth/front", "shaded/front", "normals/front"]
    origin = views[0].origin
    assert isinstance(origin, ScanOrigin)
    away = origin.pose[:3, :3].T @ origin.camera.rotation[2]
    assert away @ cloud.points.mean(axis=0) > 0.9 * np.linalg.norm(cloud.points.mean(axis=0))
    as_given = render_point_cloud(cloud, SMALL, canonical_frame(cloud, pca=False))
    assert as_given[0].key == "depth/back"


def test_skin_without_a_known_sensor_has_one_side() -> None:
    y, x = np.mgrid[-20:20:90j, -30:30:120j]
    skin = np.column_stack([x.ravel(), y.ravel(), 2.0 * np.sin(x / 5).ravel()])
    assert {view.key for view in render_point_cloud(PointCloud(Path("a"), skin), SMALL)} == {
        "depth/front",
        "shaded/front",
        "normals/front",
    }


def test_long_rod_has_no_end_views() -> None:
    rod = np.asarray(trimesh.sample.sample_surface(trimesh.creation.box((100, 4, 3.5)), 9000, seed=1)[0])
    sides = {view.key for view in render_point_cloud(PointCloud(Path("a"), rod), SMALL)}
    assert "depth/left" not in sides
    assert "depth/top" in sides


def test_colors_of_the_scan_are_kept() -> None:
    points = bumpy_plate()
    colors = np.full((len(points), 3), (200, 40, 40), dtype=np.uint8)
    shaded = render_point_cloud(PointCloud(Path("a"), points, colors), SMALL)[1]
    seen = shaded.image[shaded.mask].astype(float)
    assert shaded.key == "shaded/front"
    assert np.all(seen[:, 0] > 2 * seen[:, 1])


def test_same_part_lying_differently_gives_the_same_views() -> None:
    points = lopsided_part()
    turn = np.linalg.qr(np.random.default_rng(8).normal(size=(3, 3)))[0]
    turn *= np.linalg.det(turn)
    one = render_point_cloud(PointCloud(Path("a"), points), SMALL)
    other = render_point_cloud(PointCloud(Path("b"), points @ turn.T + [300.0, -20.0, 7.0]), SMALL)
    assert [view.key for view in one] == [view.key for view in other]
    for a, b in zip(one, other, strict=True):
        if a.kind == "depth":
            assert a.mask is not None
            assert b.mask is not None
            assert (a.mask & b.mask).sum() > 0.97 * (a.mask | b.mask).sum()
            assert np.abs(a.image.astype(int) - b.image.astype(int))[a.mask & b.mask].mean() < 2.0


def lopsided_part() -> NDArray[np.float64]:
    parts = [
        trimesh.creation.box((30.0, 10.0, 5.0)),
        trimesh.creation.box((4.0, 8.0, 6.0)).apply_translation([14.0, 3.0, 3.0]),
        trimesh.creation.box((3.0, 6.0, 9.0)).apply_translation([11.0, 6.0, 3.0]),
    ]
    return np.asarray(trimesh.sample.sample_surface(trimesh.util.concatenate(parts), 40_000, seed=2)[0])


def test_given_frame_scales_two_scans_alike_and_says_what_it_cuts_off() -> None:
    short, long = bumpy_plate(), bumpy_plate() * [1.4, 1.0, 1.0]
    frame = canonical_frame(PointCloud(Path("a"), short))
    same = render_point_cloud(PointCloud(Path("b"), long), SMALL, frame)
    front = next(view for view in same if view.key == "depth/front")
    assert isinstance(front.origin, ScanOrigin)
    assert front.origin.mm_per_px == pytest.approx(2 * frame.half_extent_mm / 96)
    assert "points outside the picture" in front.label
    with pytest.raises(ConversionError, match="align"):
        render_point_cloud(PointCloud(Path("c"), short + 500.0), SMALL, frame)


def test_real_scan_gives_closed_views_with_its_hole(shared_data: Path) -> None:
    """The gear's bore stays open, while its 30 000 points leave no other hole in a 512 px picture."""
    import cv2

    cloud = read_point_cloud(shared_data / "gear" / "gear_registered.ply")
    front = render_point_cloud(cloud, ViewBudget())[0]
    assert front.mask is not None
    background = (~front.mask).astype(np.uint8)
    count, _, stats, _ = cv2.connectedComponentsWithStats(background, connectivity=4)
    assert count == 3  # the part (label 0), the outside and the bore
    bore_mm2 = stats[1:, cv2.CC_STAT_AREA].min() * front.origin.mm_per_px**2
    assert bore_mm2 == pytest.approx(np.pi * 2.0**2, rel=0.25)
