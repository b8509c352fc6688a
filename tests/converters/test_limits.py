"""What one file may take of memory and time: measured in a process of its own, from files that promise too much."""

import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import lzf
import numpy as np
import pytest
import tifffile
from PIL import Image

from converters.errors import ConversionError
from converters.limits import ReadLimits, check_time, claim, note, reading
from converters.registry import read
from tests.waiting import LONGEST_S

_READ = """
import resource, sys
import cv2, numpy, scipy.spatial, tifffile, trimesh
from converters.registry import read
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    said = read(sys.argv[1]).kind
except ValueError as error:
    said = str(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, said)
"""


def peak_of(path: Path, **environment: str) -> tuple[float, str]:
    """Peak memory in MB that reading takes beside the libraries, and the kind or the error."""
    ran = subprocess.run(
        [sys.executable, "-c", _READ, str(path)],
        env={**os.environ, **environment}, capture_output=True, text=True, timeout=LONGEST_S, check=True,
    )  # fmt: skip
    kilobytes, _, said = ran.stdout.strip().partition(" ")
    assert not ran.stderr
    return int(kilobytes) / 1000, said


def write_deep_tiff(path: Path) -> None:
    blank = np.zeros((512, 512, 3), np.float64)
    tifffile.imwrite(
        path, (blank for _ in range(169)), shape=(6656, 6656, 3), dtype=np.float64, tile=(512, 512),
        compression="zlib", photometric="rgb",
    )  # fmt: skip


def write_npz(path: Path) -> None:
    np.savez_compressed(path, points=np.zeros((20_000_000, 3), np.int8))


def write_pcd(path: Path) -> None:
    header = "VERSION 0.7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH {0}\nHEIGHT 1\nPOINTS {0}\n"
    packed = lzf.compress(bytes(12_000_000))
    text = header.format(20_000_000) + "DATA binary_compressed\n"
    path.write_bytes(text.encode() + struct.pack("<II", len(packed), 240_000_000) + packed)


def write_png(path: Path) -> None:
    Image.new("RGB", (13_000, 13_000)).save(path, compress_level=1)


BOMBS = {"deep.tif": write_deep_tiff, "cloud.npz": write_npz, "cloud.pcd": write_pcd, "large.png": write_png}


@pytest.mark.parametrize("name", BOMBS)
def test_what_unpacks_to_too_much_is_refused_before_memory_is_taken(tmp_path: Path, name: str) -> None:
    BOMBS[name](tmp_path / name)
    megabytes, said = peak_of(tmp_path / name)
    assert "GB of memory to read, over the limit of 2.0 GB a file" in said
    assert "raise VLM_INSPECT_READ_MEMORY" in said
    assert megabytes < 200


def uneven_ply(path: Path, faces: int) -> None:
    header = (
        "ply\nformat binary_little_endian 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\n"
        f"element face {faces}\nproperty list uchar uchar vertex_indices\nend_header\n"
    )
    row = bytes((3, 0, 1, 2, 4, 0, 1, 2, 3))
    path.write_bytes(header.encode() + np.eye(4, 3, dtype="<f4").tobytes() + row * (faces // 2))


def test_uneven_lists_take_memory_in_proportion_to_their_triangles(tmp_path: Path) -> None:
    uneven_ply(tmp_path / "a.ply", 600_000)  # 2.7 MB; 0.9 million triangles
    megabytes, said = peak_of(tmp_path / "a.ply")
    assert said == "point_cloud"
    assert megabytes < 500  # an array an element took 900


def test_the_limit_can_be_raised_and_lowered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uneven_ply(tmp_path / "a.ply", 60_000)
    path = tmp_path / "a.ply"
    assert read(path).kind == "point_cloud"
    with pytest.raises(ConversionError, match="over the limit of 1 MB"):
        read(path, limits=ReadLimits(memory_bytes=10**6))
    monkeypatch.setenv("VLM_INSPECT_READ_MEMORY", "1M")
    with pytest.raises(ConversionError, match="over the limit of 1 MB"):
        read(path)
    monkeypatch.setenv("VLM_INSPECT_READ_MEMORY", "1.5G")
    assert read(path).kind == "point_cloud"


@pytest.mark.parametrize(
    ("variable", "value"),
    [("VLM_INSPECT_READ_MEMORY", "much"), ("VLM_INSPECT_READ_MEMORY", "0"), ("VLM_INSPECT_READ_SECONDS", "-1")],
)
def test_a_variable_that_is_no_limit_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    (tmp_path / "a.csv").write_text("0,1\n1,2\n")
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConversionError, match=f"{variable}='{value}'"):
        read(tmp_path / "a.csv")


def test_an_endless_animation_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [Image.fromarray(np.full((800, 800), k % 2 * 255, np.uint8)) for k in range(2)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames * 150, duration=40)
    monkeypatch.setenv("VLM_INSPECT_READ_SECONDS", "0.2")
    began = time.process_time()
    with pytest.raises(ConversionError, match=r"not read within 0.2 s.*raise VLM_INSPECT_READ_SECONDS"):
        read(tmp_path / "a.gif")
    assert time.process_time() - began < 5.0


def test_a_large_file_may_take_longer_and_a_frame_counts_on_the_clock_of_its_folder(tmp_path: Path) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"x")
    with large.open("wb") as file:
        file.truncate(160 * 2**20)
    with reading(small) as outer:
        assert outer.seconds == 20.0
        with reading(large) as inner:
            assert inner is outer
    with reading(large) as alone:
        assert alone.seconds == 200.0


def test_outside_a_reading_memory_counts_time_and_notes_do_not(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"takes about 9\.0 GB"):
        claim(tmp_path, 9e9)
    check_time(tmp_path)
    note("nobody hears it")
