"""Clips: really written files in every container, whose frames carry their own number."""

import math
import os
import struct
import subprocess
import sys
import tracemalloc
import weakref
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from converters.errors import ConversionError
from converters.frame_grid import FrameCell, FramesOrigin, GridLayout, fit_layout
from converters.sample import Frame, VideoClip
from converters.video import read_video, render_video
from converters.video_scan import FrameScan, choose_frames, find_changes
from converters.view import ViewBudget

FPS = 20
SIZE_HW = (96, 160)
BITS = 8


def numbered(index: int, size_hw: tuple[int, int] = SIZE_HW) -> np.ndarray:
    """A frame whose bars are the binary digits of its number."""
    height, width = size_hw
    frame = np.zeros((height, width, 3), np.uint8)
    for bit in range(BITS):
        if index >> bit & 1:
            frame[:, bit * width // BITS : (bit + 1) * width // BITS] = 255
    return frame


def number_of(image: np.ndarray) -> int:
    height, width = image.shape[:2]
    return sum(
        1 << bit for bit in range(BITS) if image[height // 2, int((bit + 0.5) * width / BITS)].mean() > 127
    )  # fmt: skip


def write_clip(path: Path, fourcc: str, frames, fps: float = FPS) -> Path:
    import cv2

    frames = list(frames)
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*fourcc), fps, (width, height))
    assert writer.isOpened()
    for frame in frames:
        writer.write(frame[:, :, ::-1])
    writer.release()
    return path


CONTAINERS = [
    ("clip.mp4", "mp4v"),
    ("clip.mov", "mp4v"),
    ("clip.avi", "MJPG"),
    ("clip.avi", "XVID"),
    ("clip.mkv", "MJPG"),
    ("clip.webm", "VP80"),
    ("clip.webm", "VP90"),
]


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> dict[tuple[str, str], Path]:
    """40 numbered frames at 20 frames a second in every container."""
    frames = [numbered(index) for index in range(40)]
    return {
        (name, fourcc): write_clip(tmp_path_factory.mktemp(fourcc) / name, fourcc, frames)
        for name, fourcc in CONTAINERS
    }


def check_cells(clip: VideoClip, views, second_of) -> list[int]:
    """Every cell shows the frame that it says, at the second that it says, and maps back to it."""
    shown = []
    for view in views:
        height, width = view.size_hw
        assert view.key == view.kind == "frames"
        assert len(view.panes) == len(view.origin.cells)
        for pane, cell in zip(view.panes, view.origin.cells, strict=True):
            x0, y0, x1, y1 = pane.box_xyxy
            assert pane.box_xyxy == cell.box_xyxy
            assert number_of(view.image[y0:y1, x0:x1]) == cell.frame
            assert cell.time_s == pytest.approx(second_of(cell.frame), abs=2e-3)
            place = view.origin.locate((x0 / width, y0 / height, x1 / width, y1 / height))
            assert (place.frame, place.time_s) == (cell.frame, cell.time_s)
            assert place.source_xyxy == pytest.approx((0, 0, clip.size_hw[1], clip.size_hw[0]))
            assert view.mask[y0:y1, x0:x1].all()
        assert view.mask.sum() == sum((b[2] - b[0]) * (b[3] - b[1]) for b in (p.box_xyxy for p in view.panes))
        shown += [cell.frame for cell in view.origin.cells]
    assert shown == sorted(set(shown))
    return shown


@pytest.mark.parametrize("which", CONTAINERS, ids="-".join)
def test_every_container_shows_the_frame_it_says(clips, which):
    clip = read_video(clips[which])
    assert (clip.frame_count, clip.size_hw) == (40, SIZE_HW)
    assert clip.fps == pytest.approx(FPS, rel=1e-3)
    assert clip.duration_s == pytest.approx(2.0, rel=1e-3)
    views = render_video(clip, ViewBudget())
    shown = check_cells(clip, views, lambda frame: frame / FPS)
    assert (shown[0], shown[-1], len(shown), len(views)) == (0, 39, 36, 4)
    last = views[0].origin.cells[-1]
    wanted = f"frames 0 to {last.frame} of 40, 0.0 s to {last.time_s:.1f} s, left to right, top to bottom"
    assert views[0].label == wanted


def test_the_suffix_does_not_matter(clips, tmp_path):
    path = tmp_path / "clip.txt"
    path.write_bytes(clips["clip.mkv", "MJPG"].read_bytes())
    assert read_video(path).frame_count == 40


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_animations_keep_their_own_times(tmp_path, suffix):
    times_ms = [100, 400, 50, 200, 1000]
    images = [Image.fromarray(numbered(index)) for index in range(5)]
    path = tmp_path / f"clip.{suffix}"
    images[0].save(path, save_all=True, append_images=images[1:], duration=times_ms, loop=0)
    clip = read_video(path)
    assert clip.frame_count == 5
    check_cells(clip, render_video(clip, ViewBudget()), lambda frame: sum(times_ms[:frame]) / 1000)


def test_variable_rate_comes_from_the_timestamps_not_the_header(clips, tmp_path):
    import cv2

    path, times_ms = tmp_path / "variable.mkv", [0, 40, 80, 500, 520, 2000]
    source = cv2.VideoCapture(str(clips["clip.avi", "MJPG"]), cv2.CAP_FFMPEG, [cv2.CAP_PROP_FORMAT, -1])
    settings_ = [cv2.VIDEOWRITER_PROP_RAW_VIDEO, 1, cv2.VIDEOWRITER_PROP_KEY_INTERVAL, 1]
    fourcc = cv2.VideoWriter.fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, fourcc, 1000, SIZE_HW[::-1], settings_)
    for time_ms in times_ms:
        assert writer.set(cv2.VIDEOWRITER_PROP_PTS, time_ms)
        writer.write(source.read()[1])
    writer.release()
    assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT) > 1000  # the header: duration x 1000 a second
    clip = read_video(path)
    assert clip.frame_count == 6
    assert clip.fps == pytest.approx(5 / 2.0)
    check_cells(clip, render_video(clip, ViewBudget()), lambda frame: times_ms[frame] / 1000)


@pytest.mark.parametrize("announced", [0, 7, 1_000_000])
def test_a_wrong_frame_count_in_the_header_is_not_believed(clips, tmp_path, announced):
    data = bytearray(clips["clip.avi", "MJPG"].read_bytes())
    main, stream = data.index(b"avih") + 8, data.index(b"strh") + 8
    data[main + 16 : main + 20] = data[stream + 32 : stream + 36] = struct.pack("<I", announced)
    path = tmp_path / "clip.avi"
    path.write_bytes(data)
    clip = read_video(path)
    assert clip.frame_count == 40
    assert [number_of(frame.image) for frame in clip.frames(frozenset({39, 3}))] == [3, 39]


def test_rotation_is_respected(clips, tmp_path):
    data = bytearray(clips["clip.mp4", "mp4v"].read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40
    data[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, SIZE_HW[0] << 16, 0, 1 << 30)
    path = tmp_path / "upright.mp4"
    path.write_bytes(data)
    clip = read_video(path)
    assert clip.size_hw == SIZE_HW[::-1]
    frame = next(clip.frames(frozenset({5})))
    assert number_of(np.rot90(frame.image)) == 5


def test_folder_of_frames_in_natural_order_without_times(tmp_path):
    for index in range(12):
        Image.fromarray(numbered(index)).save(tmp_path / f"frame{index}.png")
    (tmp_path / ".hidden.png").write_bytes(b"no image")
    (tmp_path / "notes.txt").write_text("no frame")
    clip = read_video(tmp_path)
    assert (clip.frame_count, clip.fps, clip.time_is_index) == (12, 1.0, True)
    assert [number_of(frame.image) for frame in clip.frames()] == list(range(12))
    views = render_video(clip, ViewBudget())
    assert [view.label for view in views] == [
        "frames 0 to 8 of 12, left to right, top to bottom",
        "frames 9 to 11 of 12, left to right, top to bottom",
    ]
    assert views[1].origin.locate((0.0, 0.0, 0.1, 0.1)).time_s is None
    assert views[1].origin.locate((0.0, 0.0, 0.1, 0.1)).frame == 9


def test_folder_with_frames_of_two_sizes_names_the_file(tmp_path):
    for index in range(3):
        Image.fromarray(numbered(index, (64, 64 + 8 * (index == 2)))).save(tmp_path / f"{index}.png")
    with pytest.raises(ConversionError, match=r"2\.png: 72 x 64 pixels, but the first frame has 64 x 64"):
        read_video(tmp_path)


def test_few_frames_make_a_small_grid(clips):
    clip = read_video(clips["clip.avi", "MJPG"])
    (view,) = render_video(clip, ViewBudget(max_frames=2))
    assert [cell.frame for cell in view.origin.cells] == [0, 39]
    assert view.origin.cells[0].box_xyxy[1] == view.origin.cells[1].box_xyxy[1]
    (single,) = render_video(clip, ViewBudget(max_frames=1))
    assert single.label == "frame 0 of 40, 0.0 s"


def cut(data: bytes, share: float) -> bytes:
    return data[: int(len(data) * share)]


@pytest.mark.parametrize("share", [0.97, 0.6, 0.1])
@pytest.mark.parametrize("which", CONTAINERS, ids="-".join)
def test_truncated_files_are_refused(clips, tmp_path, which, share):
    path = tmp_path / which[0]
    path.write_bytes(cut(clips[which].read_bytes(), share))
    with pytest.raises(ConversionError, match="truncated") as caught:
        read_video(path)
    assert "\n" not in str(caught.value)


def test_a_damaged_middle_is_not_a_shorter_clip(clips, tmp_path):
    data = bytearray(clips["clip.mp4", "mp4v"].read_bytes())
    data[len(data) // 3 : len(data) * 2 // 3] = bytes(len(data) * 2 // 3 - len(data) // 3)
    path = tmp_path / "clip.mp4"
    path.write_bytes(data)
    with pytest.raises(ConversionError, match=r"damaged: \d+ of \d+ frames"):
        read_video(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "the file is empty", id="empty"),
        pytest.param(os.urandom(5000), "not a video", id="random bytes"),
        pytest.param(b"#EXTM3U\nhttp://127.0.0.1/clip.ts\n", "not a video", id="a playlist with an address"),
        pytest.param(b"\x1aE\xdf\xa3" + bytes(400), "no video that can be decoded", id="header only"),
        pytest.param(struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0), "no video that can be decoded", id="no track"),
        pytest.param(b"GIF89a\x10\x00\x10\x00\x00\x00\x00", "damaged or truncated", id="gif header"),
    ],
)
def test_what_is_no_clip_is_refused(tmp_path, content, message):
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(ConversionError, match=message) as caught:
        read_video(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_truncated_gif_missing_file_and_empty_folder(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (4, 64, 64, 3), np.uint8)
    images = [Image.fromarray(image) for image in noise]
    images[0].save(tmp_path / "clip.gif", save_all=True, append_images=images[1:], duration=50)
    (tmp_path / "cut.gif").write_bytes(cut((tmp_path / "clip.gif").read_bytes(), 0.6))
    with pytest.raises(ConversionError, match="damaged or truncated"):
        read_video(tmp_path / "cut.gif")
    with pytest.raises(ConversionError, match="No such file"):
        read_video(tmp_path / "none.mp4")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConversionError, match="no image in the folder"):
        read_video(tmp_path / "folder")


def test_the_decoder_says_nothing_on_stderr(clips, tmp_path):
    data = bytearray(clips["clip.mp4", "mp4v"].read_bytes())
    media = data.index(b"mdat") + 600
    data[media : media + 800] = os.urandom(800)
    (tmp_path / "clip.mp4").write_bytes(data)
    (tmp_path / "cut.mp4").write_bytes(struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0))
    code = "\n".join(
        [
            "import sys; from pathlib import Path; from converters.video import read_video",
            "from converters.errors import ConversionError",
            "for name in sys.argv[1:]:",
            "    try: read_video(Path(name))",
            "    except ConversionError as error: print(error)",
        ]
    )
    names = [str(tmp_path / "clip.mp4"), str(tmp_path / "cut.mp4")]
    done = subprocess.run([sys.executable, "-c", code, *names], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "cut.mp4: no video that can be decoded" in done.stdout


def test_a_cut_is_chosen_between_the_even_frames(tmp_path):
    rng = np.random.default_rng(0)
    scenes = rng.integers(0, 255, (2, *SIZE_HW, 3), np.uint8)
    scenes[1] //= 3
    frames = [scenes[int(137 <= index < 201)] for index in range(300)]
    clip = read_video(write_clip(tmp_path / "clip.avi", "MJPG", frames))
    assert find_changes(clip.frames.scan, 12).tolist() == [137, 201]
    views = render_video(clip, ViewBudget(max_frames=9))
    shown = [cell.frame for cell in views[0].origin.cells]
    assert {0, 137, 201, 299} <= set(shown)
    assert len(shown) == 9


def test_a_steady_clip_has_no_changes(tmp_path):
    rng = np.random.default_rng(0)
    belt = rng.integers(0, 255, (SIZE_HW[0], 600, 3), np.uint8)
    frames = [belt[:, 2 * index : 2 * index + SIZE_HW[1]] for index in range(200)]
    clip = read_video(write_clip(tmp_path / "clip.avi", "MJPG", frames))
    assert find_changes(clip.frames.scan, 12).size == 0
    views = render_video(clip, ViewBudget(max_frames=5))
    assert [cell.frame for cell in views[0].origin.cells] == [0, 50, 100, 149, 199]


def scan_of(times_s: np.ndarray, changes: np.ndarray) -> FrameScan:
    return FrameScan(SIZE_HW, times_s, np.arange(len(times_s)), changes)


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.floats(0.001, 5.0), min_size=1, max_size=120),
    most=st.integers(2, 40),
    seed=st.integers(0, 99),
)
def test_choice_is_bounded_ordered_and_spans_the_clip(steps, most, seed):
    times_s = np.concatenate([[0.0], np.cumsum(steps)])
    changes = np.random.default_rng(seed).exponential(5.0, len(times_s)) ** 2
    chosen = choose_frames(scan_of(times_s, changes), most)
    assert list(chosen) == sorted(set(chosen))
    assert len(chosen) <= most
    assert (chosen[0], chosen[-1]) == (0, len(steps))
    if len(times_s) <= most:
        assert chosen == tuple(range(len(times_s)))


def test_frames_are_even_in_time_not_in_number():
    times_s = np.concatenate([np.arange(100) * 0.01, 1.0 + np.arange(9)])
    chosen = choose_frames(scan_of(times_s, np.zeros(len(times_s))), 9)
    assert times_s[list(chosen)] == pytest.approx(np.arange(10)[:9] * 9 / 8, abs=0.51)


@settings(max_examples=60, deadline=None)
@given(
    frame_hw=st.tuples(st.integers(8, 3000), st.integers(8, 3000)),
    count=st.integers(1, 30),
    grid=st.integers(1, 5),
    max_side=st.integers(400, 2048),
    point=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_grids_fit_and_points_map_back(frame_hw, count, grid, max_side, point):
    layout = fit_layout(frame_hw, count, ViewBudget(max_side=max_side, grid=grid))
    shown = min(count, grid**2)
    size_hw = layout.size_hw(shown)
    boxes = layout.cell_boxes(shown)
    assert max(size_hw) <= max_side or min(layout.cell_wh) == 8
    assert all(0 <= x0 < x1 <= size_hw[1] and 0 <= y0 < y1 <= size_hw[0] for x0, y0, x1, y1 in boxes)
    origin = FramesOrigin(size_hw, frame_hw, tuple(FrameCell(box, k, k / 2) for k, box in enumerate(boxes)))
    for k, (x0, y0, x1, y1) in enumerate(boxes):
        x, y = x0 + point[0] * (x1 - x0), y0 + point[1] * (y1 - y0)
        place = origin.locate((x / size_hw[1], y / size_hw[0], x / size_hw[1], y / size_hw[0]))
        assert (place.frame, place.time_s) == (k, k / 2)
        wanted = (point[0] * frame_hw[1], point[1] * frame_hw[0])
        assert place.source_xyxy == pytest.approx((*wanted, *wanted), abs=1e-6 * max(frame_hw) + 1e-6)
    below = origin.locate((0.0, 1.0, 0.0, 1.0))
    assert below.frame is not None
    assert all(math.isfinite(edge) for edge in below.source_xyxy)


def test_captions_do_not_cover_the_pictures(clips):
    clip = read_video(clips["clip.avi", "MJPG"])
    (view,) = render_video(clip, ViewBudget(max_frames=9))
    assert isinstance(fit_layout(clip.size_hw, 9, ViewBudget()), GridLayout)
    for x0, y0, x1, y1 in (pane.box_xyxy for pane in view.panes):
        caption = view.image[y0 - 16 : y0, x0:x1]
        assert 0.01 < (caption.mean(axis=2) < 100).mean() < 0.4  # dark writing on white
        assert set(np.unique(view.image[y0 + 4 : y1 - 4, x0:x1]) // 64) <= {0, 3}  # bars, nothing drawn over them
    assert view.panes[0].name == "frame 0, 0.00 s"


def test_only_a_few_frames_are_held_at_once():
    alive: weakref.WeakValueDictionary[int, Frame] = weakref.WeakValueDictionary()
    peak = 0

    def decode(wanted=None):
        nonlocal peak
        for index in range(200):
            if wanted is None or index in wanted:
                frame = Frame(index, index / FPS, numbered(index))
                alive[id(frame)] = frame
                peak = max(peak, len(alive))
                yield frame
                del frame

    clip = VideoClip(Path("memory"), SIZE_HW, 200, FPS, decode)
    check_cells(clip, render_video(clip, ViewBudget()), lambda frame: frame / FPS)
    assert 1 <= peak <= 2


def test_memory_does_not_grow_with_the_length(tmp_path):
    peaks = []
    for count in (20, 120):
        frames = (numbered(index, (240, 320)) for index in range(count))
        path = write_clip(tmp_path / f"{count}.avi", "MJPG", frames)
        tracemalloc.start()
        views = render_video(read_video(path), ViewBudget(max_frames=9))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(views) == 1
    assert peaks[1] < peaks[0] + 500_000  # 100 more frames of 230 kB each


def test_a_file_that_changes_between_the_passes(clips, tmp_path):
    path = tmp_path / "clip.avi"
    path.write_bytes(clips["clip.avi", "MJPG"].read_bytes())
    clip = read_video(path)
    write_clip(path, "MJPG", [numbered(index) for index in range(10)])
    with pytest.raises(ConversionError, match=r"changed while it was being read|damaged"):
        render_video(clip, ViewBudget())


@pytest.mark.parametrize(
    ("name", "count", "fps"), [("bottle-detection.mp4", 1189, 29.83), ("conveyor_belt.mp4", 40, 20)]
)
def test_real_clips(shared_data, name, count, fps):
    clip = read_video(shared_data / "video" / name)
    assert clip.frame_count == count
    assert clip.fps == pytest.approx(fps, rel=1e-3)
    views = render_video(clip, ViewBudget())
    assert 34 <= sum(len(view.panes) for view in views) <= 36
    assert all(max(view.size_hw) <= 1024 for view in views)


def test_real_folder(shared_data):
    clip = read_video(shared_data / "ucsd_ped1" / "Test001")
    assert (clip.frame_count, clip.size_hw, clip.time_is_index) == (200, (158, 238), True)
    (view,) = render_video(clip, ViewBudget(max_frames=9))
    assert view.origin.cells[-1].frame == 199


def test_frames_at_unequal_times_are_said(tmp_path):
    pictures = [Image.new("RGB", (32, 24), (10 * k, 90, 60)) for k in range(20)]
    for name, durations in (("even", [100] * 20), ("uneven", [100, 100, 100, 400] * 5)):
        pictures[0].save(tmp_path / f"{name}.gif", save_all=True, append_images=pictures[1:], duration=durations)
    assert read_video(tmp_path / "even.gif").notes == ()
    (note,) = read_video(tmp_path / "uneven.gif").notes
    assert "0.1 s apart as a rule and up to 0.4 s" in note
