"""Pictures and clips as programs really write them: alpha that nobody filled, odd chunks, edit lists, folders."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from converters.digest import sha256_of
from converters.errors import ConversionError
from converters.registry import read, render
from converters.sample import ImageSample, VideoClip
from converters.video_container import shown_share
from converters.view import ViewBudget


def page(path: Path) -> np.ndarray:
    found = read(path, as_kind="image")
    assert isinstance(found, ImageSample)
    return found.pages[0]


def bmp_with_alpha(path: Path, bgra: np.ndarray) -> None:
    """A BMP of 32 bits with BITMAPV4HEADER and masks for all four channels, as frame grabbers write them."""
    height, width = bgra.shape[:2]
    header = struct.pack("<IiiHHIIiiII", 108, width, -height, 1, 32, 3, bgra.nbytes, 2835, 2835, 0, 0)
    header += struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + b"BGRs" + bytes(48)
    path.write_bytes(struct.pack("<2sIHHI", b"BM", 14 + 108 + bgra.nbytes, 0, 0, 122) + header + bgra.tobytes())


@pytest.mark.parametrize("suffix", ["bmp", "tga", "png", "tif", "webp"])
@pytest.mark.parametrize("alpha", [0, 255])
def test_alpha_that_nobody_filled_hides_nothing(tmp_path: Path, suffix: str, alpha: int) -> None:
    rgba = np.full((12, 16, 4), (90, 120, 150, alpha), np.uint8)
    rgba[4:8, 4:8, :3] = 10
    path = tmp_path / f"a.{suffix}"
    if suffix == "bmp":
        bmp_with_alpha(path, np.ascontiguousarray(rgba[:, :, [2, 1, 0, 3]]))
    else:
        options = {"lossless": True, "exact": True} if suffix == "webp" else {}
        Image.fromarray(rgba).save(path, **options)
    np.testing.assert_array_equal(page(path), rgba[:, :, :3])
    notes = read(path).notes
    assert notes == (("The opacity (alpha) is 0 everywhere; the colours were taken as opaque.",) if not alpha else ())


def chunk(kind: bytes, data: bytes, *, crc: int | None = None) -> bytes:
    told = zlib.crc32(kind + data) if crc is None else crc
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", told)


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"zTXt", b"log\0\0" + zlib.compress(b"x" * 2**21)),
        chunk(b"tEXt", b"a\0b", crc=1),
        chunk(b"iCCP", b"broken"),
        chunk(b"tIME", b""),
        chunk(b"vpAg", b"123"),
    ],
    ids=["a text of 2 MiB", "a wrong checksum of a text", "a broken profile", "an empty time", "a chunk of its own"],
)
def test_a_png_whose_remarks_are_odd(tmp_path: Path, extra: bytes) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[:33] + extra + data[33:] + b"trailing bytes")
    np.testing.assert_array_equal(page(tmp_path / "a.png"), pixels)
    (tmp_path / "cut.png").write_bytes(data[:33] + extra + data[33 : len(data) * 2 // 3])
    with pytest.raises(ConversionError):
        page(tmp_path / "cut.png")


def test_a_tiff_that_is_cut_is_refused_and_libtiff_is_silent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "lzw.tif", compression="tiff_lzw")
    np.testing.assert_array_equal(page(tmp_path / "lzw.tif"), pixels)
    data = bytearray((tmp_path / "lzw.tif").read_bytes())
    data[2000:2200] = bytes(200)  # OpenCV would show the rest of it as if nothing were wrong
    (tmp_path / "broken.tif").write_bytes(data)
    with pytest.raises(ConversionError):
        page(tmp_path / "broken.tif")
    tifffile.imwrite(tmp_path / "raw.tif", pixels, photometric="rgb")
    (tmp_path / "cut.tif").write_bytes((tmp_path / "raw.tif").read_bytes()[:-100])
    with pytest.raises(ConversionError, match="end after the file does"):
        page(tmp_path / "cut.tif")
    assert capfd.readouterr().err == ""


def write_clip(path: Path, count: int = 60) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25.0, (64, 48))
    for k in range(count):
        writer.write(np.full((48, 64, 3), 4 * k, np.uint8))
    writer.release()


def with_edit(path: Path, length_s: float, start_s: float) -> None:
    """Rewrite the one entry of the clip's edit list: show `length_s` from `start_s` on."""
    data = bytearray(path.read_bytes())
    movie, media = data.index(b"mvhd") + 4, data.index(b"mdhd") + 4
    movie_scale, media_scale = (struct.unpack_from(">I", data, at + 12)[0] for at in (movie, media))
    entry = data.index(b"elst") + 4
    assert data[entry] == 0
    assert struct.unpack_from(">I", data, entry + 4) == (1,)
    struct.pack_into(">Ii", data, entry + 8, round(length_s * movie_scale), round(start_s * media_scale))
    path.write_bytes(data)


@pytest.mark.parametrize("start_s", [0.0, 1.4])
def test_an_edit_list_shows_a_part_of_the_packets(tmp_path: Path, start_s: float) -> None:
    write_clip(tmp_path / "a.mp4")
    assert shown_share(tmp_path / "a.mp4") == pytest.approx(1.0)
    with_edit(tmp_path / "a.mp4", 1.0, start_s)
    clip = read(tmp_path / "a.mp4")
    assert isinstance(clip, VideoClip)
    assert shown_share(tmp_path / "a.mp4") == pytest.approx(25 / 60, abs=0.01)
    assert clip.frame_count == pytest.approx(25, abs=1)
    assert clip.duration_s == pytest.approx(1.0, abs=0.05)
    first = next(iter(clip.frames(frozenset({0})))).image
    assert float(first.mean()) == pytest.approx(4 * 25 * start_s, abs=9)


def folder_of(path: Path, names: list[str], sizes: tuple[tuple[int, int], ...] = ((20, 10),)) -> Path:
    path.mkdir()
    for k, name in enumerate(names):
        Image.new("RGB", sizes[k % len(sizes)], (k, k, k)).save(path / name)
    (path / "Thumbs.db").write_bytes(b"not a frame")
    (path / "._f0.png").write_bytes(b"not a frame either")
    return path


@pytest.mark.parametrize(
    "names",
    [
        [f"f{k}.png" for k in range(12)],
        [f"{k:06d}.jpg" for k in range(0, 60, 10)],
        [f"cam1_{k}_l.png" for k in range(5)],
    ],
)
def test_pictures_numbered_in_sequence_are_frames_without_a_clock(tmp_path: Path, names: list[str]) -> None:
    folder = folder_of(tmp_path / "frames", names)
    digest = sha256_of(folder)
    clip = read(folder)
    assert isinstance(clip, VideoClip)
    assert (clip.frame_count, clip.time_is_index) == (len(names), True)
    view = render(clip, ViewBudget())[0]
    assert " s" not in view.label
    assert view.origin.locate((0.0, 0.0, 0.2, 0.2)).time_s is None
    (folder / "Thumbs.db").unlink()
    assert sha256_of(folder) == digest


@pytest.mark.parametrize(
    ("names", "sizes", "why"),
    [
        (["a.png", "b.png", "c.png"], ((20, 10),), "not numbered"),
        (["DSC_0001.jpg", "DSC_0002.jpg"], ((20, 10),), "are photos"),
        (["part 1.png", "part 2.png"], ((20, 10),), "are photos"),
        ([f"x{k}.png" for k in range(6)], ((20, 10), (30, 10)), "several sizes"),
        (["x1.png", "x2.jpg"], ((20, 10),), "several types"),
        (["x1.png", "x2.png", "x50.png"], ((20, 10),), "missing"),
    ],
)
def test_a_folder_of_photos_is_no_clip(tmp_path: Path, names: list[str], sizes: tuple, why: str) -> None:
    folder = folder_of(tmp_path / "photos", names, sizes)
    with pytest.raises(ConversionError, match=rf"{why}.*vlm-inspect batch.*--as video"):
        read(folder)
    if len(sizes) == 1:
        assert read(folder, as_kind="video").kind == "video"


def test_of_one_photo_in_a_folder_the_photo_is_asked_for(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "photos", ["one.png"], ((20, 10),))
    with pytest.raises(ConversionError, match=r"one photo in a folder is not a clip; give the photo itself.*one\.png"):
        read(folder)
    assert read(folder, as_kind="video").kind == "video"


def test_numbered_photos_of_parts_are_no_clip_and_numbered_frames_are_one_that_says_so(tmp_path: Path) -> None:
    """Pictures called 000.png may be either: in a clip each is like the one before."""
    rng = np.random.default_rng(0)
    parts, frames = tmp_path / "parts", tmp_path / "frames"
    scene = rng.integers(0, 255, (48, 200), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
    for folder in (parts, frames):
        folder.mkdir()
    for k in range(12):
        Image.fromarray(rng.integers(0, 255, (12, 16), dtype=np.uint8).repeat(8, 0).repeat(8, 1)).save(
            parts / f"{k:03d}.png"
        )
        Image.fromarray(scene[:, 2 * k : 2 * k + 128]).save(frames / f"{k:03d}.png")
    with pytest.raises(ConversionError, match=r"as unlike the one before as any other.*vlm-inspect batch.*--as video"):
        read(parts)
    assert read(parts, as_kind="video").notes == ()
    for k in range(12):
        (parts / f"{k:03d}.png").rename(parts / f"frame_{k:03d}.png")
    assert read(parts).notes == ()  # who calls them frames means it
    clip = read(frames)
    assert clip.kind == "video"
    assert clip.notes[0].startswith("the 12 pictures of frames were taken for the frames of one clip; where they are")
    assert "vlm-inspect batch" in clip.notes[0]
    for k in range(4, 12):
        (frames / f"{k:03d}.png").unlink()
    assert read(frames).notes[0].startswith("the 4 pictures of frames were taken for")


def test_photos_that_name_a_camera_are_no_frames(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Canon"
    for k in range(3):
        Image.new("RGB", (20, 10)).save(tmp_path / f"x{k}.jpg", exif=exif)
    with pytest.raises(ConversionError, match="name the camera"):
        read(tmp_path)


def test_a_curve_without_a_clock_is_told_in_samples(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("F [N]\n" + "1.5\n2.5\n1.5\n" * 20)
    view = render(read(tmp_path / "a.csv"), ViewBudget())[0]
    place = view.origin.locate((0.45, 0.4, 0.55, 0.6))
    assert place.time_s is None
    assert place.sample == pytest.approx(30, abs=4)
    assert "samples 0 to 59" in view.label


def test_names_that_are_no_text_and_links_to_themselves(tmp_path: Path) -> None:
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    odd = tmp_path / "caf\udce9.csv"
    odd.write_text("0,1\n1,x\n")
    for path in (tmp_path / "loop.png", odd, tmp_path / ("n" * 300), Path("a\0b")):
        with pytest.raises(ConversionError) as caught:
            read(path)
        assert "\n" not in str(caught.value)
