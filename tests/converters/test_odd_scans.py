"""Scans as programs really write them: other line ends and letters, padding, odd numbers, colours in 16 bits."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from converters.errors import ConversionError
from converters.registry import read
from converters.sample import PointCloud

CORNERS = np.array([[x, y, z] for x in (0, 10) for y in (0, 6) for z in (0, 4)], dtype=np.float64)
FACES = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
TRIANGLES = [corner for a, b, c, d in FACES for corner in ((a, b, c), (a, c, d))]


def cloud(path: Path, data: bytes | str) -> PointCloud:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    found = read(path)
    assert isinstance(found, PointCloud)
    return found


def binary_stl(extra: bytes = b"", declared: int = 12) -> bytes:
    facets = (struct.pack("<12fH", 0, 0, 0, *CORNERS[list(one)].ravel(), 0) for one in TRIANGLES)
    return b"exported".ljust(80) + struct.pack("<I", declared) + b"".join(facets) + extra


def text_stl(words: Callable[[str], str] = str) -> str:
    corner = "      vertex {:.6E} {:.6E} {:.6E}\n"
    facet = "  facet normal 0 0 0\n    outer loop\n{}    endloop\n  endfacet\n"
    body = "".join(facet.format("".join(corner.format(*CORNERS[k]) for k in one)) for one in TRIANGLES)
    return words(f"solid part\n{body}endsolid part\n")


@pytest.mark.parametrize("extra", [b"\n", bytes(92), bytes(100), b"comment of the exporter"])
def test_bytes_after_the_last_triangle_are_noted(tmp_path: Path, extra: bytes) -> None:
    found = cloud(tmp_path / "a.stl", binary_stl(extra))
    assert found.mesh is not None
    assert len(found.mesh.faces) == 12
    assert found.notes == (f"{len(extra)} byte(s) after the last of 12 triangles were ignored.",)


def test_a_count_that_leaves_whole_triangles_over_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="declares 6 triangles, the file holds 12"):
        cloud(tmp_path / "a.stl", binary_stl(declared=6))


@pytest.mark.parametrize(
    "words",
    [
        str,
        str.upper,
        str.title,
        lambda text: text.replace("\n", "\r"),
        lambda text: text.replace("\n", "\r\n") + "\x1a",
    ],
    ids=["small", "capitals", "title", "CR", "CRLF and Ctrl-Z"],
)
def test_ascii_stl_in_any_letters_and_line_ends(tmp_path: Path, words: Callable[[str], str]) -> None:
    found = cloud(tmp_path / "a.stl", text_stl(words))
    assert found.mesh is not None
    assert len(found.mesh.faces) == 12
    assert np.ptp(found.mesh.vertices, axis=0).tolist() == [10, 6, 4]


def test_an_ascii_stl_that_breaks_off_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="truncated"):
        cloud(tmp_path / "a.stl", text_stl()[:-200])


def ply(order: str, end: str, body: bytes, properties: str = "", case: Callable[[str], str] = str) -> bytes:
    lines = ["ply", f"format {order} 1.0", "comment end_header is not here", "element vertex 8"]
    lines += [f"property float {name}" for name in "xyz"] + [line for line in properties.split(";") if line]
    return end.join([*map(case, lines), case("end_header"), ""]).encode() + body


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("order", ["ascii", "binary_little_endian", "binary_big_endian"])
@pytest.mark.parametrize("case", [str, str.upper])
def test_ply_headers_of_any_line_end(tmp_path: Path, end: str, order: str, case: Callable[[str], str]) -> None:
    points = CORNERS.copy()
    points[0] = np.frombuffer(b"\n\0\0A" * 3, "<f4")  # begins with a line feed, as a number may
    text = end.join(" ".join(map(str, row)) for row in points) + end
    kind = "<f4" if "little" in order else ">f4"
    body = text.encode() if order == "ascii" else points.astype(kind).tobytes()
    found = cloud(tmp_path / "a.ply", ply(order, end, body, case=case))
    np.testing.assert_allclose(found.points, points, rtol=1e-6)


@pytest.mark.parametrize(("most", "type_"), [(200, "ushort"), (51400, "ushort"), (200, "int"), (0.8, "float")])
def test_colours_count_by_their_values_not_their_type(tmp_path: Path, most: float, type_: str) -> None:
    kind = {"ushort": "<u2", "int": "<i4", "float": "<f4"}[type_]
    rows = np.zeros(8, [("xyz", "<f4", 3), ("rgb", kind, 3)])
    rows["xyz"], rows["rgb"] = CORNERS, (most, 0, 0)
    properties = ";".join(f"property {type_} {name}" for name in ("red", "green", "blue"))
    found = cloud(tmp_path / "a.ply", ply("binary_little_endian", "\n", rows.tobytes(), properties))
    assert found.colors is not None
    assert found.colors[0].tolist() == [200 if most != 0.8 else 204, 0, 0]


@pytest.mark.parametrize(
    "spelling",
    [
        "-nan",
        "nan",
        "+NaN",
        "nan(ind)",
        "-nan(ind)",
        "NaN(0x7ff8)",
        "1.#QNAN",
        "-1.#IND",
        "1.#INF",
        "-1.#INF00",
        "+inf",
    ],
)
@pytest.mark.parametrize("name", ["a.xyz", "a.ply", "a.pcd"])
def test_rows_without_a_place_are_left_out_and_counted(tmp_path: Path, spelling: str, name: str) -> None:
    rows = [" ".join([spelling] * 3)] * 5 + [" ".join(map(str, row)) for row in CORNERS]
    header = {
        "a.xyz": "",
        "a.ply": "ply\nformat ascii 1.0\nelement vertex 13\nproperty float x\nproperty float y\nproperty float z\n"
        "end_header\n",
        "a.pcd": "VERSION 0.7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH 13\nHEIGHT 1\nPOINTS 13\n"
        "DATA ascii\n",
    }[name]
    found = cloud(tmp_path / name, header + "\n".join(rows) + "\n")
    assert found.dropped == 5
    np.testing.assert_array_equal(found.points, CORNERS)


@pytest.mark.parametrize("name", ["a.pts", "a.asc", "a.xyz", "a.txt"])
@pytest.mark.parametrize("columns", ["i", "irgb", "rgb"])
def test_intensity_is_no_colour(tmp_path: Path, name: str, columns: str) -> None:
    intensity = np.random.default_rng(0).integers(0, 255, (8, 1))
    red = np.tile([200, 30, 30], (8, 1))
    parts = [part for key, part in (("i", intensity), ("rgb", red)) if key in columns]
    rows = np.hstack([CORNERS[np.random.default_rng(1).permutation(8)], *parts])
    text = "\n".join(" ".join(f"{value:g}" for value in row) for row in rows)
    count = "8\n" if name in {"a.pts", "a.txt"} else ""
    found = cloud(tmp_path / name, count + text + "\n")
    assert len(found.points) == 8
    assert (found.colors is None) if columns == "i" else (found.colors is not None and (found.colors == red).all())


def test_a_pts_that_announces_more_points_is_cut(tmp_path: Path) -> None:
    text = "9\n" + "\n".join(" ".join(map(str, row)) for row in CORNERS)
    with pytest.raises(ConversionError, match="announces 9 points and has 8"):
        cloud(tmp_path / "a.pts", text)


def off(keyword: str, vertex: str = "", face: str = "") -> str:
    rows = [" ".join(map(str, row)) + vertex for row in CORNERS]
    faces = ["4 " + " ".join(map(str, one)) + face for one in FACES]
    return "\n".join([keyword, "# made by hand", "8 6 0", *rows, *faces, ""])


@pytest.mark.parametrize(
    ("text", "colour"),
    [
        (off("OFF"), None),
        (off("off"), None),
        (off("COFF", " 200 30 30 255"), [200, 30, 30]),
        (off("coff", " 1.0 0.0 0.0 1.0"), [255, 0, 0]),
        (off("NCOFF".replace("NC", "CN"), " 0 0 1 200 30 30 255"), [200, 30, 30]),
        (off("OFF", "", " 200 30 30"), [200, 30, 30]),
        (off("OFF", "", " 0.5 0 0 1"), [128, 0, 0]),
        (off("OFF").replace("\n", "\r") + "\0\0", None),
    ],
)
def test_off_with_colours_of_vertices_or_faces(tmp_path: Path, text: str, colour: list[int] | None) -> None:
    found = cloud(tmp_path / "a.off", text)
    assert found.mesh is not None
    assert len(found.mesh.faces) == 12
    assert (found.colors is None) if colour is None else (found.colors is not None and (found.colors == colour).all())


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_pcd_in_small_letters_any_line_end_and_bytes_behind(tmp_path: Path, end: str) -> None:
    lines = ["version 0.7", "fields X Y Z", "size 4 4 4", "type f f f", "count 1 1 1", "width 8", "height 1"]
    header = end.join([*lines, "points 8", "data BINARY", ""])
    found = cloud(tmp_path / "a.pcd", header.encode() + CORNERS.astype("<f4").tobytes() + b"\0\0\0")
    np.testing.assert_array_equal(found.points, CORNERS)
    assert found.notes == ("3 bytes after the last point of the PCD were ignored.",)


def test_bits_that_are_no_number_raise_no_warning(tmp_path: Path) -> None:
    rows = np.vstack([np.full((2, 3), np.frombuffer(b"\1\0\x80\x7f", "<f4")[0]), CORNERS.astype("<f4")])
    rows[0] = np.frombuffer(b"\1\0\x80\x7f" * 3, "<f4")  # a signalling NaN
    np.save(tmp_path / "a.npy", rows)
    found = read(tmp_path / "a.npy", as_kind="point_cloud")
    assert isinstance(found, PointCloud)
    assert found.dropped == 2
