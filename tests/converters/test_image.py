"""Real files of every variant, read and looked at pixel by pixel; broken ones refused in one line."""

import struct
import tracemalloc
import zlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from converters.decoding import MAX_PAGES, MAX_PIXELS
from converters.errors import ConversionError
from converters.image import ImageOrigin, read_image, render_image, tile_windows
from converters.pixels import over_white, robust_range, to_8bit, upright
from converters.sample import ImageSample
from converters.view import ViewBudget

RNG = np.random.default_rng(7)
HW = (48, 64)


def gradient(dtype: str = "uint8", top: float = 255) -> NDArray:
    """(48, 64, 3): red rises to the right, green downwards, blue is half."""
    red = np.broadcast_to(np.linspace(0, top, HW[1]), HW)
    green = np.broadcast_to(np.linspace(0, top, HW[0])[:, None], HW)
    return np.stack([red, green, np.full(HW, top / 2)], axis=2).astype(dtype)


def one_page(path: Path) -> NDArray[np.uint8]:
    (page,) = read_image(path).pages
    assert page.dtype == np.uint8
    assert page.ndim == 3
    assert page.shape[2] == 3
    return page


def assert_close(page: NDArray, expected: NDArray, tolerance: int = 1) -> None:
    assert page.shape == expected.shape
    assert np.abs(page.astype(int) - expected.astype(int)).max() <= tolerance


# --- 8-bit -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "suffix", ["png", "bmp", "tif", "ppm", "tga", "qoi", "sgi", "pcx", "webp", "jp2", "gif", "ras"]
)
def test_lossless_8bit_formats_keep_every_value(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"part.{suffix}"
    pixels = gradient()
    if suffix == "ras":
        assert cv2.imwrite(str(path), pixels[:, :, ::-1])
    elif suffix == "gif":
        pixels = (pixels // 128) * np.uint8(128)  # few colours: a palette holds them all
        Image.fromarray(pixels).save(path)
    else:
        options = {"webp": {"lossless": True}, "jp2": {"irreversible": False}}.get(suffix, {})
        Image.fromarray(pixels).save(path, **options)
    np.testing.assert_array_equal(one_page(path), pixels)


@pytest.mark.parametrize("suffix", ["jpg", "avif"])
def test_lossy_formats_stay_close(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"part.{suffix}"
    Image.fromarray(gradient()).save(path, quality=95)
    assert_close(one_page(path), gradient(), 12)


def test_suffix_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    Image.fromarray(gradient()).save(path, format="PNG")
    np.testing.assert_array_equal(one_page(path), gradient())


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "LAB", "HSV"])
def test_every_mode_shows_the_same_picture(tmp_path: Path, mode: str) -> None:
    flat = Image.new("RGB", (16, 16), (255, 255, 255))
    flat.paste((0, 0, 0), (0, 0, 8, 16))
    path = tmp_path / "part.tif"
    if mode == "LAB":
        lightness = np.zeros((16, 16, 3), np.uint8)
        lightness[:, 8:, 0] = 255
        tifffile.imwrite(path, lightness, photometric="cielab")
    elif mode == "HSV":
        path = tmp_path / "part.npy"
        np.save(path, np.asarray(flat.convert("HSV").convert("RGB")))
    else:
        flat.convert(mode).save(path)
    page = one_page(path)
    assert page[:, :7].max() <= 3
    assert page[:, 9:].min() >= 252


def test_cmyk_jpeg_of_adobe_is_not_inverted(tmp_path: Path) -> None:
    path = tmp_path / "print.jpg"
    Image.new("CMYK", (32, 32), (0, 255, 255, 0)).save(path, quality=95)
    with Image.open(path) as image:
        assert "adobe" in image.info
    assert_close(one_page(path), np.full((32, 32, 3), (255, 0, 0), np.uint8), 3)


def test_grey_becomes_three_equal_channels(tmp_path: Path) -> None:
    path = tmp_path / "grey.png"
    grey = gradient()[:, :, 0]
    Image.fromarray(grey).save(path)
    np.testing.assert_array_equal(one_page(path), np.repeat(grey[:, :, None], 3, axis=2))


def test_min_is_white_is_turned_round(tmp_path: Path) -> None:
    grey = gradient()[:, :, 0]
    for dtype, scale in (("uint8", 1), ("uint16", 257)):
        path = tmp_path / f"{dtype}.tif"
        tifffile.imwrite(path, (255 - grey).astype(dtype) * np.array(scale, dtype), photometric="miniswhite")
        assert_close(one_page(path)[:, :, 1], grey)


# --- transparency ----------------------------------------------------------------------------------------------------


def test_alpha_lies_over_white(tmp_path: Path) -> None:
    rgba = np.zeros((4, 4, 4), np.uint8)
    rgba[:, :, 0] = 200
    rgba[:, 0, 3], rgba[:, 1, 3], rgba[:, 2:, 3] = 0, 128, 255
    path = tmp_path / "part.png"
    Image.fromarray(rgba).save(path)
    page = one_page(path)
    assert page[0, 0].tolist() == [255, 255, 255]
    assert page[0, 1].tolist() == [227, 127, 127]
    assert page[0, 3].tolist() == [200, 0, 0]


def test_grey_alpha_palette_transparency_and_colour_key(tmp_path: Path) -> None:
    grey_alpha = Image.new("LA", (4, 4), (0, 0))
    grey_alpha.putpixel((1, 1), (0, 255))
    grey_alpha.save(tmp_path / "la.png")
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([10, 20, 30, 200, 0, 0])
    palette.putpixel((1, 1), 1)
    palette.save(tmp_path / "p.png", transparency=0)
    palette.save(tmp_path / "p.gif", transparency=0)
    palette.save(tmp_path / "bytes.png", transparency=bytes([0, 255]))
    Image.new("RGB", (4, 4), (1, 2, 3)).save(tmp_path / "key.png", transparency=(1, 2, 3))
    for name in ("la.png", "p.png", "p.gif", "bytes.png", "key.png"):
        assert one_page(tmp_path / name)[3, 3].tolist() == [255, 255, 255], name
    for name in ("p.png", "p.gif", "bytes.png"):
        assert one_page(tmp_path / name)[1, 1].tolist() == [200, 0, 0], name


def test_alpha_of_16_bit_png_and_float_tiff(tmp_path: Path) -> None:
    deep = np.zeros((*HW, 4), np.uint16)
    deep[:, :, :3] = gradient("uint16", 65535)
    deep[:, 32:, 3] = 65535
    assert cv2.imwrite(str(tmp_path / "a.png"), deep[:, :, [2, 1, 0, 3]])
    tifffile.imwrite(tmp_path / "a.tif", deep / np.float32(65535), photometric="rgb", extrasamples=["unassalpha"])
    for name in ("a.png", "a.tif"):
        page = one_page(tmp_path / name)
        assert (page[:, :32] == 255).all(), name
        assert_close(page[:, 32:], gradient()[:, 32:], 2)


@given(st.integers(0, 255), st.integers(0, 255))
def test_over_white_is_the_rounded_mix(color: int, alpha: int) -> None:
    mixed = over_white(np.full((1, 1, 3), color, np.uint8), np.full((1, 1), alpha, np.uint8))
    assert abs(int(mixed[0, 0, 0]) - (alpha * color + (255 - alpha) * 255) / 255) <= 0.51


# --- deep pixels -----------------------------------------------------------------------------------------------------


def _cv2(path: Path, pixels: NDArray, *flags: int) -> None:
    assert cv2.imwrite(str(path), pixels[:, :, ::-1] if pixels.ndim == 3 else pixels, list(flags))


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("rgb16.png", lambda p: _cv2(p, gradient("uint16", 65535))),
        ("rgb16.ppm", lambda p: _cv2(p, gradient("uint16", 65535))),
        ("rgb16.tif", lambda p: tifffile.imwrite(p, gradient("uint16", 65535), photometric="rgb")),
        ("big-endian.tif", lambda p: tifffile.imwrite(p, gradient("uint16", 65535), byteorder=">", photometric="rgb")),
        ("bigtiff.tif", lambda p: tifffile.imwrite(p, gradient("uint16", 65535), bigtiff=True, photometric="rgb")),
        (
            "planar.tif",
            lambda p: tifffile.imwrite(
                p, np.moveaxis(gradient("uint16", 65535), 2, 0).copy(), photometric="rgb", planarconfig="separate"
            ),
        ),
        (
            "deflate.tif",
            lambda p: tifffile.imwrite(
                p, gradient("uint16", 65535), photometric="rgb", compression="zlib", predictor=True, tile=(16, 16)
            ),
        ),
        ("lzw.tif", lambda p: _cv2(p, gradient("uint16", 65535), cv2.IMWRITE_TIFF_COMPRESSION, 5)),
        ("float-lzw.tif", lambda p: _cv2(p, gradient("float32", 1), cv2.IMWRITE_TIFF_COMPRESSION, 5)),
        ("float.tif", lambda p: tifffile.imwrite(p, gradient("float32", 1), photometric="rgb")),
        ("double.tif", lambda p: tifffile.imwrite(p, gradient("float64", 1e9), photometric="rgb")),
        ("half.tif", lambda p: tifffile.imwrite(p, gradient("float16", 1), photometric="rgb")),
        ("signed.tif", lambda p: tifffile.imwrite(p, gradient("int32", 60000) - 30000, photometric="rgb")),
        ("light.pfm", lambda p: _cv2(p, gradient("float32", 1))),
        ("deep.npy", lambda p: np.save(p, gradient("uint16", 65535))),
    ],
)
def test_deep_colour_keeps_its_shape(tmp_path: Path, name: str, write: Callable[[Path], None]) -> None:
    path = tmp_path / name
    write(path)
    assert_close(one_page(path), gradient(), 8)  # the range is moved outwards to even numbers


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm", "lzw.tif", "jp2"])
def test_16_bit_grey_uses_its_own_range(tmp_path: Path, suffix: str) -> None:
    """A 12-bit sensor in a 16-bit file is neither black nor wrapped round."""
    path = tmp_path / f"sensor.{suffix}"
    grey = gradient("uint16", 4095)[:, :, 0]
    image = Image.fromarray(grey)
    image.save(path, **({"compression": "tiff_lzw"} if suffix == "lzw.tif" else {}))
    page = one_page(path)[:, :, 0]
    assert page.min() == 0
    assert page.max() >= 254
    assert (np.diff(page.astype(int), axis=1) >= 0).all()


def test_radiance_hdr(tmp_path: Path) -> None:
    path = tmp_path / "lamp.hdr"
    _cv2(path, gradient("float32", 8))
    page = one_page(path)
    assert (np.diff(page[:, :, 0].astype(int), axis=1) >= 0).all()
    assert page[:, -1, 0].min() >= 250


def test_hot_pixels_do_not_turn_the_rest_black(tmp_path: Path) -> None:
    grey = gradient("float32", 1)[:, :, 0]
    grey[0, 0], grey[0, 1], grey[1, 0], grey[1, 1] = 1e30, np.nan, np.inf, -np.inf
    path = tmp_path / "hot.tif"
    tifffile.imwrite(path, grey)
    page = one_page(path)[:, :, 0]
    assert page[0, 0] == 255
    assert page[0, 1] == 0
    assert page[1, 0] == 255
    assert page[1, 1] == 0
    assert_close(page[2:], gradient()[2:, :, 0], 3)


@pytest.mark.parametrize(
    ("value", "dtype", "level"),
    [(0, "uint16", 0), (65535, "uint16", 255), (32768, "uint16", 128), (0.5, "float32", 128), (-3, "float32", 0),
     (np.nan, "float32", 0), (7, "float64", 255), (200, "uint16", 200), (200, "int32", 200)],
)  # fmt: skip
def test_a_constant_image_is_a_constant_image(value: float, dtype: str, level: int) -> None:
    assert np.unique(to_8bit(np.full((5, 6), value, dtype))).tolist() == [level]


def test_one_bright_spot_on_a_flat_image_is_seen() -> None:
    flat = np.full((200, 200), 1000, np.uint16)
    flat[100, 100] = 3000
    shown = to_8bit(flat)
    assert shown[100, 100] - int(shown[0, 0]) > 150


def test_two_noisy_pictures_of_one_scene_get_one_range() -> None:
    scene = gradient("float64", 40000)[:, :, 0] + 2600
    ranges = {robust_range(scene + np.random.default_rng(seed).normal(0, 30, HW)) for seed in range(8)}
    assert len(ranges) == 1


@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=40),
    st.sampled_from(["float32", "float64"]),
)
def test_any_floats_map_in_order(values: list[float], dtype: str) -> None:
    with np.errstate(over="ignore"):
        row = np.array([values]).astype(dtype)
    shown = to_8bit(row)[0]
    order = np.argsort(row[0])
    ordered = shown[order][~np.isnan(row[0][order])].astype(int)
    assert (np.diff(ordered) >= 0).all()


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=2, max_size=40))
def test_the_range_of_integers_is_used(values: list[int]) -> None:
    shown = to_8bit(np.array([values], np.int32))
    if min(values) >= 0 and max(values) <= 255:
        assert shown[0].tolist() == values
    elif len(set(values)) > 1:
        assert int(shown.max()) - int(shown.min()) > 150


# --- orientation -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["8.jpg", "8.tif", "16.tif", "16-lzw.tif", "8.png", "16.png", "8.webp"])
def test_exif_orientation(tmp_path: Path, orientation: int, name: str) -> None:
    """The stored picture is the inverse of the upright one, whose top left corner is bright and top right half."""
    expected = np.zeros((32, 48), np.uint8)
    expected[:16, :16], expected[:16, 32:] = 255, 128
    inverse = {6: 8, 8: 6}.get(orientation, orientation)
    stored = upright(expected[:, :, None], inverse)[:, :, 0]
    path = tmp_path / name
    exif = Image.Exif()
    exif[0x0112] = orientation
    if name == "16.tif":
        tag = [(0x0112, "H", 1, orientation, True)]
        tifffile.imwrite(path, stored.astype(np.uint16) * 257, extratags=tag)
    elif name == "16-lzw.tif":
        Image.fromarray(stored.astype(np.uint16) * 257).save(
            path, tiffinfo={0x0112: orientation}, compression="tiff_lzw"
        )
    elif name == "8.tif":
        Image.fromarray(stored).save(path, tiffinfo={0x0112: orientation})
    elif name == "16.png":
        assert cv2.imwrite(str(path), np.repeat(stored[:, :, None], 3, axis=2).astype(np.uint16) * 257)
        _insert_png_exif(path, exif.tobytes())
    else:
        Image.fromarray(np.repeat(stored[:, :, None], 3, axis=2)).save(
            path, exif=exif, **({"lossless": True} if name == "8.webp" else {"quality": 100})
        )
    assert_close(one_page(path)[:, :, 1], expected, 4)


def _insert_png_exif(path: Path, exif: bytes) -> None:
    data = path.read_bytes()
    body = exif.removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(body)) + b"eXIf" + body + struct.pack(">I", zlib.crc32(b"eXIf" + body))
    path.write_bytes(data[:33] + chunk + data[33:])


def test_broken_exif_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "phone.jpg"
    Image.fromarray(gradient()).save(path, exif=b"Exif\0\0MM\0*\xff\xff\xff\xff", quality=95)
    assert_close(one_page(path), gradient(), 12)


# --- pages -----------------------------------------------------------------------------------------------------------


def test_pages_of_differing_modes_and_sizes(tmp_path: Path) -> None:
    path = tmp_path / "pages.tif"
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(gradient(), photometric="rgb")
        tiff.write(gradient("uint16", 65535)[:20, :, 0])
        tiff.write(gradient("float32", 1)[:, :30], photometric="rgb")
        tiff.write(gradient()[:, :, 1] > 128)
    sample = read_image(path)
    assert [page.shape for page in sample.pages] == [(48, 64, 3), (20, 64, 3), (48, 30, 3), (48, 64, 3)]
    assert_close(sample.pages[1][:, :, 0], gradient()[:20, :, 0], 1)
    assert set(np.unique(sample.pages[3])) == {0, 255}
    views = render_image(sample, ViewBudget())
    assert [view.key for view in views] == ["image", "image/1", "image/2", "image/3"]
    assert views[2].label == "page 3 of 4, 30 x 48 px"
    assert views[2].origin.locate((0, 0, 1, 1)).page == 2


def test_compressed_pages_saved_by_pillow(tmp_path: Path) -> None:
    path = tmp_path / "scan.tif"
    pages = [
        Image.fromarray(gradient()),
        Image.fromarray(gradient()[:, :, 0]),
        Image.fromarray(gradient()[::-1].copy()),
    ]
    pages[0].save(path, save_all=True, append_images=pages[1:], compression="tiff_lzw")
    read = read_image(path).pages
    np.testing.assert_array_equal(read[0], gradient())
    np.testing.assert_array_equal(read[2], gradient()[::-1])


def test_thumbnails_are_no_pages_and_bands_are(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "pyramid.tif") as tiff:
        tiff.write(gradient(), photometric="rgb")
        tiff.write(gradient()[::4, ::4], photometric="rgb", subfiletype=1)
    assert one_page(tmp_path / "pyramid.tif").shape == (48, 64, 3)
    bands = RNG.integers(0, 65535, (6, 20, 30), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "bands.tif", bands, photometric="minisblack", planarconfig="separate")
    assert len(read_image(tmp_path / "bands.tif").pages) == 6


def test_frames_of_an_animation_are_pages(tmp_path: Path) -> None:
    path = tmp_path / "belt.gif"
    frames = [Image.new("L", (20, 10), level) for level in (0, 100, 200)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert [int(page[0, 0, 0]) for page in read_image(path).pages] == [0, 100, 200]


# --- bad input -------------------------------------------------------------------------------------------------------


def _png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    idat = b"IDAT" + zlib.compress(bytes(1000))
    chunks = [body, idat, b"IEND"]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks
    )


def _tiff_bomb(path: Path) -> None:
    """A float RGB page that says it is 60000 x 60000 and holds one strip."""
    tifffile.imwrite(path, np.zeros((16, 16, 3), np.float32), photometric="rgb")
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        for code in (256, 257):
            tag = tiff.pages[0].tags[code]
            data[tag.valueoffset : tag.valueoffset + 4] = (
                struct.pack("<I", 60000) if tag.dtype == 4 else b"\x60\xea\0\0"
            )
    path.write_bytes(data)


def _pages_bomb(path: Path) -> None:
    tifffile.imwrite(path, np.zeros((MAX_PAGES + 1, 4, 4), np.uint16), photometric="minisblack")


BOMBS: dict[str, Callable[[Path], object]] = {
    "bomb.png": lambda p: p.write_bytes(_png_header(20000, 20000)),
    "near.png": lambda p: p.write_bytes(_png_header(13400, 13340)),
    "bomb.tif": _tiff_bomb,
    "pages.tif": _pages_bomb,
    "bomb.hdr": lambda p: p.write_bytes(b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 60000 +X 60000\n" + bytes(999)),
    "bomb.pfm": lambda p: p.write_bytes(b"PF\n60000 60000\n-1.0\n" + bytes(999)),
    "bomb.ppm": lambda p: p.write_bytes(b"P6\n60000 60000\n255\n" + bytes(999)),
    "bomb.bmp": lambda p: p.write_bytes(
        b"BM" + struct.pack("<IHHIIiiHHIIiiII", 1000, 0, 0, 54, 40, 50000, 50000, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(99)
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_before_it_is_decoded(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    BOMBS[name](path)
    tracemalloc.start()
    try:
        with pytest.raises(ConversionError, match=r"over the limit of (178 million|64)") as caught:
            read_image(path)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


def test_the_limit_counts_all_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("converters.decoding.MAX_PIXELS", 500)
    path = tmp_path / "belt.gif"
    frames = [Image.new("L", (20, 10), level) for level in (0, 100, 200)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    with pytest.raises(ConversionError, match="over the limit"):
        read_image(path)
    assert MAX_PIXELS == 178_000_000


@pytest.mark.parametrize(
    "name",
    ["a.png", "a.jpg", "a.webp", "a.bmp", "a.gif", "a.tif", "lzw.tif", "jpeg.tif", "rgb16.png", "rgb16.tif",
     "float.tif", "lzw16.tif", "a.hdr", "a.pfm", "a.ppm", "a.jp2", "a.avif", "a.npy"],
)  # fmt: skip
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_truncated_files_are_one_line(tmp_path: Path, name: str, share: float) -> None:
    noise = RNG.integers(0, 255, (*HW, 3), dtype=np.uint8)
    path = tmp_path / name
    kind = name.partition(".")[0]
    if kind in {"rgb16", "lzw16"}:
        _cv2(path, noise.astype(np.uint16) * 200, *((cv2.IMWRITE_TIFF_COMPRESSION, 5) if "tif" in name else ()))
    elif name in {"float.tif"}:
        tifffile.imwrite(path, noise.astype(np.float32), photometric="rgb", compression="zlib", rowsperstrip=8)
    elif name in {"a.hdr", "a.pfm"}:
        _cv2(path, noise.astype(np.float32))
    elif name == "a.npy":
        np.save(path, noise)
    else:
        compression = {"lzw": {"compression": "tiff_lzw"}, "jpeg": {"compression": "jpeg"}}.get(kind, {})
        Image.fromarray(noise).save(path, **compression)
    assert read_image(path).pages[0].shape == (*HW, 3)
    data = path.read_bytes()
    path.write_bytes(data[: max(1, int(len(data) * share))])
    with pytest.raises(ConversionError) as caught:
        read_image(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_large_honest_image_raises_no_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", HW[0] * HW[1] - 1)  # Pillow warns from here to twice as many
    path = tmp_path / "large.png"
    Image.fromarray(gradient()).save(path)
    np.testing.assert_array_equal(one_page(path), gradient())


@pytest.mark.parametrize("name", ["words.png", "words.jpg", "words.tif", "words.npy"])
def test_text_that_is_called_an_image(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("This is no picture.\n" * 30)
    with pytest.raises(ConversionError, match="not an image that Pillow or OpenCV reads"):
        read_image(path)


def test_empty_missing_folder_and_object_array(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    np.save(tmp_path / "objects.npy", np.array([{}, {}]), allow_pickle=True)
    np.save(tmp_path / "cube.npy", np.zeros((4, 4, 4, 4)))
    for name, reason in (
        ("empty.png", "the file is empty"),
        ("missing.png", "no such file"),
        ("", "is a folder"),
        ("objects.npy", "damaged"),
        ("cube.npy", "is not an image"),
    ):
        with pytest.raises(ConversionError, match=reason):
            read_image(tmp_path / name)


def test_postscript_is_never_run(tmp_path: Path) -> None:
    path = tmp_path / "drawing.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n")
    with pytest.raises(ConversionError, match="not an image"):
        read_image(path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_flipped_bytes_give_a_picture_or_one_line(tmp_path: Path, data: st.DataObject) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (12, 14, 3), dtype=np.uint8)
    suffix = data.draw(st.sampled_from(["png", "jpg", "tif", "gif", "webp", "bmp", "ppm", "deep.tif", "deep.png"]))
    path = tmp_path / f"broken.{suffix}"
    if suffix == "deep.tif":
        tifffile.imwrite(path, noise.astype(np.float32), photometric="rgb")
    elif suffix == "deep.png":
        _cv2(path, noise.astype(np.uint16) * 256)
    else:
        Image.fromarray(noise).save(path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, min(len(content) - 1, 300)))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    message = ""
    try:
        pages = read_image(path).pages
        assert all(page.dtype == np.uint8 and page.shape[2] == 3 for page in pages)
    except ConversionError as error:
        message = str(error)
    assert "\n" not in message


# --- views -----------------------------------------------------------------------------------------------------------


def sample_of(height: int, width: int, pages: int = 1) -> ImageSample:
    page = np.zeros((height, width, 3), np.uint8)
    return ImageSample(path=Path("part.png"), pages=(page,) * pages)


def test_a_small_image_is_one_untouched_view() -> None:
    sample = ImageSample(path=Path("part.png"), pages=(gradient(),))
    (view,) = render_image(sample, ViewBudget())
    np.testing.assert_array_equal(view.image, gradient())
    assert (view.key, view.kind, view.label) == ("image", "image", "image, 64 x 48 px")
    assert view.origin.locate((0.25, 0.5, 0.5, 1.0)).source_xyxy == (16, 24, 32, 48)
    assert view.origin.locate((0, 0, 1, 1)).page is None


def test_a_large_image_is_whole_and_in_tiles_at_full_resolution() -> None:
    whole, *tiles = render_image(sample_of(900, 1600), ViewBudget(max_side=1024))
    assert whole.size_hw == (576, 1024)
    assert whole.label == "image, 1600 x 900 px, shown at 64%; 2 overlapping tiles at 100% follow"
    assert [tile.key for tile in tiles] == ["tile", "tile"]
    assert [tile.size_hw for tile in tiles] == [(900, 900)] * 2
    assert tiles[1].label == "image, tile 2 of 2: x 700 to 1600, y 0 to 900 px, at 100%"


def test_too_many_tiles_become_larger_windows() -> None:
    whole, *tiles = render_image(sample_of(3000, 4000), ViewBudget(max_side=256, max_tiles=12))
    assert len(tiles) == 12
    assert "12 overlapping tiles at 23% follow" in whole.label
    assert all(max(tile.size_hw) == 256 for tile in tiles)


@pytest.mark.parametrize("max_tiles", [0, 1, 2])
def test_tiles_that_show_no_more_are_left_out_and_it_says_so(max_tiles: int) -> None:
    (whole,) = render_image(sample_of(2000, 2000), ViewBudget(max_side=512, max_tiles=max_tiles))
    assert whole.label.endswith("shown at 26%; no tiles")


def test_large_pages_share_the_tiles() -> None:
    views = render_image(sample_of(800, 800, pages=3), ViewBudget(max_side=500, max_tiles=13))
    keys = [view.key for view in views]
    assert keys == ["image", *["tile"] * 4, "image/1", *["tile/1"] * 4, "image/2", *["tile/2"] * 4]


@given(st.integers(1, 9000), st.integers(1, 9000), st.integers(1, 2000), st.integers(0, 24))
def test_tiles_cover_the_page_overlap_and_stay_in_the_budget(
    height: int, width: int, max_side: int, max_tiles: int
) -> None:
    windows = tile_windows((height, width), max_side, max_tiles)
    assert len(windows) <= max_tiles
    if max(height, width) <= max_side:
        assert not windows
    if not windows:
        return
    for axis, length in ((0, width), (1, height)):
        spans = sorted({(window[axis], window[axis + 2]) for window in windows})
        assert spans[0][0] == 0
        assert spans[-1][1] == length
        for (_, before), (after, end) in pairwise(spans):
            side = end - after
            assert before - after >= side // 8 - 1
    assert len(set(windows)) == len(windows)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_what_is_drawn_in_the_source_is_found_at_its_place_of_every_view_and_back(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(20, 300)), data.draw(st.integers(20, 300))
    side = data.draw(st.integers(8, 16))
    x, y = data.draw(st.integers(0, width - side)), data.draw(st.integers(0, height - side))
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[y : y + side, x : x + side] = 255
    budget = ViewBudget(max_side=data.draw(st.integers(60, 320)), max_tiles=data.draw(st.integers(0, 12)))
    views = render_image(ImageSample(path=Path("part.png"), pages=(pixels,)), budget)
    found_whole = 0
    for view in views:
        assert isinstance(view.origin, ImageOrigin)
        assert max(view.size_hw) <= budget.max_side
        x0, y0, x1, y1 = view.origin.window_xyxy
        if not (x0 <= x and y0 <= y and x + side <= x1 and y + side <= y1):
            continue
        found_whole += 1
        rows, columns = np.nonzero(view.image[:, :, 0] > 127)
        view_height, view_width = view.size_hw
        box_xyxyn = (
            columns.min() / view_width,
            rows.min() / view_height,
            (columns.max() + 1) / view_width,
            (rows.max() + 1) / view_height,
        )
        source_xyxy = view.origin.locate(box_xyxyn).source_xyxy
        assert source_xyxy is not None
        pixel = max((x1 - x0) / view_width, (y1 - y0) / view_height)
        assert np.abs(np.array(source_xyxy) - (x, y, x + side, y + side)).max() <= pixel
    assert found_whole >= 1


def test_shrinking_is_antialiased() -> None:
    """Stripes one pixel wide become an even grey, not a moiré."""
    stripes = np.zeros((600, 600, 3), np.uint8)
    stripes[:, ::2] = 255
    (whole,) = render_image(ImageSample(path=Path("p.png"), pages=(stripes,)), ViewBudget(max_side=100, max_tiles=0))
    inner = whole.image[5:-5, 5:-5].astype(int)
    assert inner.min() >= 115
    assert inner.max() <= 140


def test_a_real_photo(shared_data: Path) -> None:
    path = sorted((shared_data / "mvtec/bottle").rglob("*.jpg"))[0]
    views = render_image(read_image(path), ViewBudget(max_side=256, max_tiles=9))
    with Image.open(path) as image:
        assert views[0].label.startswith(f"image, {image.width} x {image.height} px")
    assert views[0].size_hw == (256, 256)
    assert 4 <= len(views) - 1 <= 9
