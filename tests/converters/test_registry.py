"""Which kind a file is, from its content, and the whole way from a file to views."""

import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import trimesh
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from converters.detection import is_organised_scan, kind_of_columns
from converters.digest import sha256_of
from converters.errors import ConversionError
from converters.registry import READERS, RENDERERS, convert, detect_kind, read, render
from converters.view import ViewBudget

RNG = np.random.default_rng(3)
POINTS = RNG.normal(size=(60, 3))
TIME = np.arange(60) * 0.01
BUDGET = ViewBudget(max_side=200, scan_size=64, max_frames=4, grid=2)


def organised(height: int = 40, width: int = 50) -> NDArray[np.float32]:
    """(H, W, 3) coordinates as MVTec 3D-AD has them: a bump seen by a depth camera, zero where nothing came back."""
    rows, columns = np.indices((height, width))
    z = 0.5 + 0.02 * np.sin(rows / 7) * np.cos(columns / 9)
    xyz = np.stack([(columns - width / 2) * z / 100, (rows - height / 2) * z / 100, z], axis=2).astype(np.float32)
    xyz[:5] = 0
    return xyz


def _pcd(path: Path, data: str = "ascii") -> None:
    rows = POINTS.astype(np.float32)
    header = (
        "# .PCD v0.7 - Point Cloud Data file format\nVERSION 0.7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\n"
        f"WIDTH {len(rows)}\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS {len(rows)}\nDATA {data}\n"
    )
    text = "".join(f"{x} {y} {z}\n" for x, y, z in rows)
    path.write_bytes(header.encode() + (text.encode() if data == "ascii" else rows.tobytes()))


def _video(path: Path, codec: str) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 10, (64, 48))
    assert writer.isOpened()
    for level in range(0, 250, 25):
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()


def _animation(path: Path, **options: object) -> None:
    frames = [Image.new("RGB", (64, 48), (level, 255 - level, 0)) for level in range(0, 250, 50)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100, **options)


def _frames(path: Path) -> None:
    path.mkdir()
    (path / ".hidden").write_text("not a frame")
    for index in range(3):
        Image.new("RGB", (64, 48), (index * 80, 0, 0)).save(path / f"{index:03}.png")


def _text(path: Path, columns: NDArray, header: str = "", delimiter: str = ",") -> None:
    np.savetxt(path, columns, delimiter=delimiter, header=header, comments="", fmt="%.6f")


def _mesh(path: Path, kind: str) -> None:
    exported = trimesh.creation.box((3, 2, 1)).export(file_type=kind)
    path.write_bytes(exported.encode() if isinstance(exported, str) else exported)


FILES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "photo.png": ("image", lambda p: Image.new("RGB", (64, 48), (9, 8, 7)).save(p)),
    "photo.jpg": ("image", lambda p: Image.new("RGB", (64, 48), (9, 8, 7)).save(p)),
    "still.gif": ("image", lambda p: Image.new("P", (64, 48)).save(p)),
    "still.webp": ("image", lambda p: Image.new("RGB", (64, 48)).save(p)),
    "photo.tga": ("image", lambda p: Image.new("RGB", (64, 48)).save(p)),
    "photo.avif": ("image", lambda p: Image.new("RGB", (64, 48)).save(p)),
    "light.hdr": ("image", lambda p: cv2.imwrite(str(p), np.ones((48, 64, 3), np.float32))),
    "plain.ppm": ("image", lambda p: p.write_text("P3\n2 2\n255\n" + "1 2 3 " * 4)),
    "pages.tif": ("image", lambda p: tifffile.imwrite(p, np.zeros((3, 48, 64), np.uint16), photometric="minisblack")),
    "float.tif": ("image", lambda p: tifffile.imwrite(p, RNG.random((48, 64, 3)).astype("f4"), photometric="rgb")),
    "height.tif": ("image", lambda p: tifffile.imwrite(p, RNG.normal(size=(48, 64)).astype("f4"))),
    "picture.npy": ("image", lambda p: np.save(p, np.zeros((48, 64, 3), np.uint8))),
    "grey.npy": ("image", lambda p: np.save(p, RNG.random((70, 80)))),
    "colors.npy": ("image", lambda p: np.save(p, RNG.random((48, 64, 3)))),
    "belt.gif": ("video", _animation),
    "belt.webp": ("video", _animation),
    "belt.png": ("video", _animation),
    "belt.mp4": ("video", lambda p: _video(p, "mp4v")),
    "belt.avi": ("video", lambda p: _video(p, "MJPG")),
    "belt.mov": ("video", lambda p: _video(p, "mp4v")),
    "belt.mkv": ("video", lambda p: _video(p, "MJPG")),
    "belt.webm": ("video", lambda p: _video(p, "VP80")),
    "frames": ("video", _frames),
    "part.stl": ("point_cloud", lambda p: _mesh(p, "stl")),
    "ascii.stl": ("point_cloud", lambda p: _mesh(p, "stl_ascii")),
    "part.obj": ("point_cloud", lambda p: _mesh(p, "obj")),
    "part.off": ("point_cloud", lambda p: _mesh(p, "off")),
    "part.glb": ("point_cloud", lambda p: _mesh(p, "glb")),
    "part.ply": ("point_cloud", lambda p: _mesh(p, "ply")),
    "part.pcd": ("point_cloud", _pcd),
    "binary.pcd": ("point_cloud", lambda p: _pcd(p, "binary")),
    "part.xyz": ("point_cloud", lambda p: _text(p, POINTS, delimiter=" ")),
    "part.txt": ("point_cloud", lambda p: _text(p, np.hstack([POINTS, POINTS]), delimiter="\t")),
    "part.csv": ("point_cloud", lambda p: _text(p, POINTS, "x,y,z")),
    "named.csv": ("point_cloud", lambda p: _text(p, np.hstack([POINTS, POINTS]), "X [mm];Y [mm];Z [mm];a;b;t", ";")),
    "compare.txt": ("point_cloud", lambda p: _text(p, np.hstack([POINTS, POINTS]), "//X Y Z R G B", " ")),
    "points.npy": ("point_cloud", lambda p: np.save(p, POINTS)),
    "points.npz": ("point_cloud", lambda p: np.savez_compressed(p, points=POINTS, time=TIME)),
    "unnamed.npz": ("point_cloud", lambda p: np.savez(p, POINTS)),
    "organised.npy": ("point_cloud", lambda p: np.save(p, organised())),
    "mvtec.tiff": ("point_cloud", lambda p: tifffile.imwrite(p, organised(), photometric="rgb")),
    "bands.tiff": ("point_cloud", lambda p: tifffile.imwrite(p, organised(), photometric=1, planarconfig=1)),
    "curve.csv": ("series", lambda p: _text(p, np.column_stack([TIME, POINTS]), "t,x,y,z")),
    "stamped.csv": (
        "series",
        lambda p: p.write_text("\n".join(f"2025-01-01T00:00:{s:02},{s % 3},{s % 5}" for s in range(60))),
    ),
    "vibration.csv": ("series", lambda p: _text(p, POINTS, "a,b,c")),
    "logger.txt": ("series", lambda p: _text(p, np.column_stack([TIME, POINTS[:, :2]]))),
    "two.csv": ("series", lambda p: _text(p, POINTS[:, :2])),
    "four.txt": ("series", lambda p: _text(p, np.hstack([POINTS, POINTS[:, :1]]), delimiter=" ")),
    "pressures.txt": ("series", lambda p: _text(p, POINTS, "P1 P2 P3", " ")),
    "skips.csv": ("series", lambda p: _text(p, POINTS, "t;a;skip", ";")),
    "channel.npy": ("series", lambda p: np.save(p, POINTS[:, 0])),
    "channels.npy": ("series", lambda p: np.save(p, np.hstack([POINTS, POINTS[:, :2]]))),
    "counts.npy": ("series", lambda p: np.save(p, (POINTS * 100).astype(np.int16))),
    "curve.npz": ("series", lambda p: np.savez(p, time=TIME, values=POINTS)),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_kind_with_and_without_its_suffix(tmp_path: Path, name: str) -> None:
    kind, write = FILES[name]
    path = tmp_path / name
    write(path)
    assert detect_kind(path) == kind
    if name.endswith((".xyz", ".tga")):
        return  # nothing in it says so but the suffix
    bare = path.rename(tmp_path / "without-suffix")
    assert detect_kind(bare) == kind
    assert detect_kind(bare.rename(tmp_path / "wrong.mp3")) == kind


@pytest.mark.parametrize("name", FILES)
def test_every_file_becomes_a_sample_of_its_kind_and_views(tmp_path: Path, name: str) -> None:
    kind, write = FILES[name]
    path = tmp_path / name
    write(path)
    sample = read(path)
    assert sample.kind == kind
    assert sample.path == path
    views = render(sample, BUDGET)
    assert views
    assert all(view.key and view.label for view in views)
    place = views[0].origin.locate((0.2, 0.2, 0.8, 0.8))
    told = {
        "image": place.source_xyxy,
        "point_cloud": place.point_mm,
        "video": place.frame,
        "series": place.sample if place.time_s is None else place.time_s,
    }
    assert told[kind] is not None


def test_convert_is_read_and_render(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(RNG.integers(0, 255, (48, 300, 3), dtype=np.uint8)).save(path)
    views, again = convert(path, budget=BUDGET), render(read(str(path)), BUDGET)
    assert [view.label for view in views] == [view.label for view in again]
    assert all((a.image == b.image).all() for a, b in zip(views, again, strict=True))
    assert len(convert(path)) == 1


def test_as_kind_overrides_the_content(tmp_path: Path) -> None:
    cloud = tmp_path / "three.csv"
    _text(cloud, POINTS, "x,y,z")
    assert read(cloud).kind == "point_cloud"
    assert read(cloud, "series").kind == "series"
    belt = tmp_path / "belt.gif"
    _animation(belt)
    assert read(belt, "image").kind == "image"
    with pytest.raises(ConversionError, match="--as takes image, point_cloud, video, series"):
        read(cloud, "picture")


def test_registry_names_every_kind() -> None:
    assert list(READERS) == list(RENDERERS) == ["image", "point_cloud", "video", "series"]


def test_detecting_a_table_loads_no_heavy_library(tmp_path: Path) -> None:
    path = tmp_path / "curve.csv"
    _text(path, POINTS, "a,b,c")
    code = (
        "import sys; from pathlib import Path; import converters.registry as r; "
        f"assert r.detect_kind(Path({str(path)!r})) == 'series'; "
        "print([m for m in ('torch', 'cv2', 'trimesh', 'scipy', 'matplotlib', 'tifffile') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- coordinates or colours ------------------------------------------------------------------------------------------


def test_organised_scans_by_sign_by_nan_and_by_the_run_of_their_coordinates() -> None:
    xyz = organised()
    assert is_organised_scan(xyz)
    positive = xyz + np.float32(1.0) * (xyz != 0).any(axis=2, keepdims=True)
    assert positive.min() == 0
    assert is_organised_scan(positive)
    nan = RNG.random((20, 20, 3))
    assert not is_organised_scan(nan)
    nan[3, 3] = np.nan
    assert is_organised_scan(nan)


def test_a_float_photo_with_black_pixels_is_no_scan() -> None:
    photo = RNG.random((60, 80, 3)).astype(np.float32) * np.linspace(0.2, 1, 80, dtype=np.float32)[None, :, None]
    photo[:10] = 0
    assert not is_organised_scan(photo)
    assert is_organised_scan(np.zeros((10, 10, 3), np.float32)), "no photo: its reader says that it holds no point"
    few = np.zeros((60, 60, 3), np.float32)
    few[30, 30] = 0.5
    assert is_organised_scan(few)
    assert not is_organised_scan(np.full((3, 3, 3), 0.5, np.float32)), "a small grey picture"
    assert not is_organised_scan(np.ones((10, 10, 3), np.uint8))
    assert not is_organised_scan(np.ones((10, 10), np.float32))


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("x", "y", "z"), "point_cloud"),
        (("Z", "Y", "X"), "point_cloud"),
        (("x", "y", "z", "intensity", "timestamp"), "point_cloud"),
        (("x_mm", "y_mm", "z_mm"), "point_cloud"),
        (("time_s", "x", "y", "z"), "series"),
        (("Timestamp", "x", "y", "z"), "series"),
        (("x", "y", "force"), "series"),
        (("x_acceleration", "y_acceleration", "z_acceleration"), "series"),
        (("x1", "x2", "x3"), "series"),
    ],
)
def test_names_of_columns(names: tuple[str, ...], kind: str) -> None:
    assert kind_of_columns(RNG.normal(size=(20, len(names))), names) == kind


@given(st.floats(0, 1e6), st.floats(1e-6, 1e3), st.integers(2, 200))
def test_three_columns_that_begin_with_an_even_time_are_a_series(start: float, step: float, count: int) -> None:
    step = max(step, start * 1e-9)  # what float64 can still tell apart
    values = np.column_stack([start + step * np.arange(count), np.ones((count, 2))])
    assert kind_of_columns(values) == "series"
    assert kind_of_columns(values[:, [1, 0, 2]]) == "point_cloud"


# --- bad input -------------------------------------------------------------------------------------------------------


def _one_line(path: Path, reason: str, as_kind: str | None = None) -> None:
    with pytest.raises(ConversionError, match=reason) as caught:
        read(path, as_kind)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


def test_missing_empty_and_unknown(tmp_path: Path) -> None:
    _one_line(tmp_path / "missing.ply", "no such file or folder")
    _one_line(tmp_path / "missing.ply", "no such file or folder", "image")
    for name in ("empty.png", "empty.csv", "empty"):
        (tmp_path / name).touch()
        _one_line(tmp_path / name, "the file is empty; copy or export it again")
    (tmp_path / "blank.txt").write_text(" \n\n")
    _one_line(tmp_path / "blank.txt", "empty")
    (tmp_path / "letter.doc").write_text("Dear Sir,\nthe part is broken.\n")
    _one_line(tmp_path / "letter.doc", r"supported are images .*--as image\|point_cloud\|video\|series")
    (tmp_path / "blob").write_bytes(bytes(range(256)) * 20)
    _one_line(tmp_path / "blob", "--as")


def test_folders_without_frames(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    _one_line(tmp_path / "nothing", "the folder holds no file")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("words")
    _one_line(tmp_path / "notes", "no file in the folder is an image")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("words.png", "not an image that Pillow or OpenCV reads"),
        ("words.csv", "is not a number"),
        ("words.mp4", "not a video"),
        ("words.ply", "words.ply"),
        ("words.npy", "words.npy"),
    ],
)
def test_words_under_any_suffix(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / name).write_text("name,remark\nshaft,fine\ngear,worn\n")
    _one_line(tmp_path / name, reason)


def test_a_heif_photo_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "phone.heic").write_bytes(struct.pack(">I", 24) + b"ftypheic" + bytes(200))
    _one_line(tmp_path / "phone.heic", "convert it to JPEG or PNG")


def test_pickles_and_archives_are_not_opened(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{}, {}]), allow_pickle=True)
    _one_line(tmp_path / "objects.npy", "not a NumPy array of numbers")
    np.save(tmp_path / "words.npy", np.array(["a", "b"]))
    _one_line(tmp_path / "words.npy", "holds no numbers")
    np.save(tmp_path / "none.npy", np.empty((0, 3)))
    _one_line(tmp_path / "none.npy", "none.npy")
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04" + bytes(50))
    _one_line(tmp_path / "broken.npz", "not a NumPy npz")
    np.savez_compressed(tmp_path / "objects.npz", np.array([{}, {}], dtype=object))
    _one_line(tmp_path / "objects.npz", "objects.npz")


def test_an_archive_that_unpacks_to_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLM_INSPECT_READ_MEMORY", "100K")
    np.savez_compressed(tmp_path / "bomb.npz", data=np.zeros(10_000))
    _one_line(tmp_path / "bomb.npz", "over the limit of 0.1 MB")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    _one_line(tmp_path / "pipe", "neither a file nor a folder")


def test_what_slips_through_a_reader_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(path: Path) -> None:
        raise cv2.error(f"OpenCV stumbled\nover {path}")

    monkeypatch.setitem(READERS, "image", stumble)
    path = tmp_path / "photo.png"
    Image.new("L", (4, 4)).save(path)
    _one_line(path, "cannot be read as image .OpenCV stumbled over")


@pytest.mark.parametrize("name", [name for name in FILES if name != "frames"])
@pytest.mark.parametrize("share", [0.03, 0.6])
def test_truncated_files_are_views_or_one_line(tmp_path: Path, name: str, share: float) -> None:
    """A shorter table or cloud may still be one; whatever cannot be read is an error of one line."""
    path = tmp_path / name
    FILES[name][1](path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    message = ""
    try:
        assert render(read(path), BUDGET)
    except ConversionError as error:
        message = str(error)
    assert "\n" not in message
    if path.suffix in {".png", ".jpg", ".tif", ".npz", ".npy", ".glb", ".mp4", ".ply"}:
        assert name in message


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(min_size=0, max_size=300),
    st.sampled_from(["", ".csv", ".png", ".stl", ".npy", ".xyz"]),
    st.sampled_from([b"", b"ply\n", b"OFF\n", b"II*\0", b"BM", b"\x93NUMPY\x01\0", b"solid a\nfacet normal", b"PF\n"]),
)
def test_any_bytes_are_a_kind_or_one_line(tmp_path: Path, body: bytes, suffix: str, start: bytes) -> None:
    path = tmp_path / f"any{suffix}"
    path.write_bytes(start + body)
    message = ""
    try:
        assert detect_kind(path) in READERS
    except ConversionError as error:
        message = str(error)
    assert "\n" not in message


# --- digest ----------------------------------------------------------------------------------------------------------


def test_digest_of_a_file_and_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a.txt") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    _frames(tmp_path / "one")
    _frames(tmp_path / "two")
    first = sha256_of(tmp_path / "one")
    assert first == sha256_of(tmp_path / "two")
    (tmp_path / "two" / ".DS_Store").write_text("x")
    assert first == sha256_of(tmp_path / "two")
    (tmp_path / "two" / "000.png").rename(tmp_path / "two" / "003.png")
    renamed = sha256_of(tmp_path / "two")
    assert renamed != first
    (tmp_path / "two" / "003.png").write_bytes(b"other")
    assert sha256_of(tmp_path / "two") != renamed
    with pytest.raises(ConversionError, match=r"missing.*cannot be read"):
        sha256_of(tmp_path / "missing")


# --- real data -------------------------------------------------------------------------------------------------------


def test_real_files(shared_data: Path) -> None:
    scans = sorted((shared_data / "gear").glob("*.ply")) + sorted((shared_data / "gear").glob("*.stl"))
    clips = [*(shared_data / "video").glob("*.mp4"), *[d for d in (shared_data / "ucsd_ped1").iterdir() if d.is_dir()]]
    photos = (
        sorted((shared_data / "mvtec/screw").rglob("*.jpg"))[:5] + sorted((shared_data / "deeppcb").glob("*.jpg"))[:2]
    )
    assert {detect_kind(path) for path in scans} == {"point_cloud"}
    assert {detect_kind(path) for path in clips} == {"video"}
    assert {detect_kind(path) for path in photos} == {"image"}


def test_a_link_to_nowhere_says_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "part.png").symlink_to("gone.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    _one_line(tmp_path / "part.png", "a link to gone.png, and there is nothing")
    _one_line(tmp_path / "loop.png", "loop.png")
