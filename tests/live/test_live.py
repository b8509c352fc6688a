"""Live sources: real streams over HTTP and RTSP that drop, freeze and come back; and a clip, every frame of it."""

import csv
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from converters.digest import sha256_of
from converters.errors import ConversionError
from converters.video import read_video
from tests.live.rtsp_server import rtsp
from tests.localization.clip_events.test_camera import street
from tests.waiting import LONGEST_S
from vlm_inspect import cli
from vlm_inspect.clip_beginning import NormalSpan
from vlm_inspect.commands.live_watch import _with_normal
from vlm_inspect.config import InspectorConfig
from vlm_inspect.errors import InspectError, ReferenceSampleError
from vlm_inspect.live.buffer import FrameBuffer, LiveFrame
from vlm_inspect.live.recorder import ClipLengths, EventRecorder
from vlm_inspect.live.recording import Recording
from vlm_inspect.live.scorer import StreamScorer
from vlm_inspect.live.source import LiveSource, is_stream, shown_address
from vlm_inspect.live.watching import LiveEvents, rate_of, record_normal
from vlm_inspect.localization.clip_events.normal_clips import NormalClips, learn_clips

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # FFmpeg reads it once, and here a film is written first
FPS, SIDE = 25, (96, 160)


def picture(k: int, *, odd: bool = False) -> np.ndarray:
    """A bright bar that travels to and fro once in 20 frames over a grey wall; odd: a white square jumps about."""
    rng = np.random.default_rng(k)
    image = np.full((*SIDE, 3), 90, np.uint8)
    x = 20 + round(50 * (1 + np.sin(2 * np.pi * k / 20)))
    image[30:60, x : x + 12] = 200
    if odd:
        y, x = int(rng.integers(0, 60)), int(rng.integers(0, 120))
        image[y : y + 30, x : x + 30] = 255
    return np.clip(image + rng.normal(scale=2.0, size=image.shape), 0, 255).astype(np.uint8)


def write(path: Path, pictures: list[np.ndarray]) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, SIDE[::-1])
    for one in pictures:
        writer.write(one)
    writer.release()
    return path


@pytest.fixture(scope="module")
def normal(tmp_path_factory: pytest.TempPathFactory) -> NormalClips:
    clip = read_video(write(tmp_path_factory.mktemp("n") / "normal.avi", [picture(k) for k in range(100)]))
    return learn_clips([clip], None)


@contextmanager
def streaming(pictures: list[Iterable[np.ndarray]], every_s: float = 0.002) -> Iterator[str]:
    """Serve one film after the other, each until it ends and the connection with it."""
    left = list(pictures)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not left:
                self.send_error(503)
                return
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for one in left.pop(0):
                jpeg = cv2.imencode(".jpg", one)[1].tobytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg + b"\r\n")
                time.sleep(every_s)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/video.mjpg"
    finally:
        server.shutdown()
        server.server_close()


def test_a_stream_that_drops_is_reached_again_and_says_so() -> None:
    stop, said = threading.Event(), []
    with (
        streaming([[picture(k) for k in range(60)], [picture(k) for k in range(60)]]) as address,
        LiveSource(address, stop, said.append, waits_s=(0.05,)) as source,
    ):
        frames, gaps = 0, 0
        for frame in source.frames():
            gaps += frame is None
            frames += frame is not None
            if gaps and frames > 60:
                break
        stop.set()
    assert gaps >= 1
    assert said[0].endswith("is lost; trying to reach it again")
    assert said[1].endswith("is back")


def test_rtsp_that_ends_freezes_and_comes_back_says_so_each_time() -> None:
    films = [[picture(k) for k in range(15)], [picture(0), None], [picture(k) for k in range(100)]]
    stop, said, images, gaps = threading.Event(), [], [], 0
    with rtsp(films, fps=100, user="me:secret") as plain:
        with pytest.raises(InspectError, match=r"cannot be opened; check .* user and password") as error:
            LiveSource(plain.replace("//", "//me:wrong@"), stop).__enter__()
        assert "wrong" not in str(error.value)
        address = plain.replace("//", "//me:secret@")
        with LiveSource(address, stop, said.append, waits_s=(0.05,), silent_s=1.0) as source:
            for frame in source.frames():
                gaps += frame is None
                images += [] if frame is None else [frame.image]
                if gaps == 2 and len(images) > 20:
                    break
            stop.set()
    assert (len(images), images[0].shape) == (21, (*SIDE, 3))
    assert np.abs(images[0][..., ::-1].astype(int) - picture(0)).mean() < 4  # it is the picture that was sent
    why = ("is lost", "is back", "has given no frame for 1 s", "is back")
    assert [line.split("/line1 ")[1].split(";")[0] for line in said] == list(why)
    assert "secret" not in str(said)


def test_where_too_much_waits_the_older_half_gives_way_as_one_gap() -> None:
    buffer = FrameBuffer(most_bytes=20 * picture(0).nbytes)
    full = [buffer.put(LiveFrame(picture(0), float(k))) for k in range(25)]
    assert (full.index(True), sum(full), buffer.dropped) == (20, 1, 10)
    waiting = [buffer.get(0.1) for _ in range(16)]
    assert waiting[0] is None
    assert [one.time_s for one in waiting[1:] if one is not None] == list(range(10, 25))
    with pytest.raises(TimeoutError):
        buffer.get(0.01)
    slow = FrameBuffer()
    assert [slow.put(LiveFrame(picture(0), 2.0 * k)) for k in range(17)] == [False] * 16 + [True]  # 30 s ago is no news
    slow.clear()
    assert slow.dropped == 0


def test_the_rate_of_a_source_is_that_after_the_first_burst() -> None:
    late = [1.0 + k / 15 for k in range(60)]
    assert rate_of([*np.linspace(0, 0.1, 30), *late], 0.0) == pytest.approx(15.0)
    assert rate_of([*np.linspace(0, 0.1, 30), *late], 14.985) == 14.985
    assert rate_of([*np.linspace(0, 0.1, 30), *late], 25.0) == pytest.approx(15.0)  # what HTTP streams claim
    assert rate_of([5.0] * 20, 0.0) == 25.0


def test_a_source_that_comes_back_with_another_size_loses_no_frame(tmp_path: Path) -> None:
    recorder = EventRecorder(tmp_path, FPS, ClipLengths(0.4, 0.4, 4.0))
    clips = []
    for k in range(40):
        image = picture(k) if k < 20 else cv2.resize(picture(k), (80, 48))
        recorder.add(LiveFrame(image, 1_800_000_000 + k / FPS))
        clips += recorder.judge(np.array([2.0 if k < 30 else 0.0]))
    assert [read_video(path).frame_count for path in clips] == [40]


def test_no_source_is_one_line_and_no_password_is_told() -> None:
    with pytest.raises(InspectError, match=r"http://…@127.0.0.1:1/x cannot be opened") as error:
        LiveSource("http://me:secret@127.0.0.1:1/x?token=1", threading.Event()).__enter__()
    assert "secret" not in str(error.value)
    assert shown_address("rtsp://u:p@ss@cam/1") == "rtsp://…@cam/1"
    assert is_stream("rtsp://cam/1")
    assert not is_stream("/parts/in")


def test_frames_are_judged_one_by_one_as_they_are_all_at_once(normal: NormalClips) -> None:
    pictures = [picture(k, odd=60 <= k < 75) for k in range(120)]
    scorer = StreamScorer(normal)
    found = [scorer.add(pictures[k : k + 8]) for k in range(0, 120, 8)]
    kept = scorer._features
    assert kept is not None
    assert len(kept) <= 2 * scorer.margin + 8  # however long the stream is
    heights = np.concatenate([*found, scorer.finish()])
    assert len(heights) == 120
    assert (heights[62:74] > 1.0).all()
    assert (heights[:50] < 1.0).mean() > 0.95
    assert len(scorer.finish()) == 0


def test_a_camera_that_moves_away_is_an_event_for_somebody_to_look_at() -> None:
    shifts = np.zeros((120, 2))
    shifts[60:, 0] = np.minimum(3.0 * np.arange(60), 90)
    scorer = StreamScorer(learn_clips([street(1, 200)], None))
    heights = np.concatenate([scorer.add([one.image for one in street(7, 120, shifts).frames()]), scorer.finish()])
    assert (heights[80:] > 1.0).all()
    assert (heights[:50] < 1.0).mean() > 0.95


def test_an_event_becomes_one_clip_with_what_was_before_and_after(tmp_path: Path) -> None:
    recorder = EventRecorder(tmp_path, FPS, ClipLengths(0.4, 0.4, 2.0))
    heights = np.zeros(200)
    heights[50:60], heights[64:70] = 1.5, 1.2  # a pause that is too short to end it
    heights[120:200] = 2.0  # longer than a clip may be
    clips = []
    for k in range(200):
        recorder.add(LiveFrame(picture(k), 1_800_000_000.5 + k / FPS))
        clips += recorder.judge(heights[k : k + 1])
        assert len(recorder._past) <= 10
    clips += recorder.finish()
    lengths = [read_video(path).frame_count for path in clips]
    assert lengths == [10 + 20 + 10, 50, 40]
    assert clips[0].name in (
        "event-20270115T080002.100Z.avi",
        "event-20270115T080002.099Z.avi",
    )  # where the clip begins
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in clips)


def test_events_of_a_clip_are_parts_once_and_no_frame_is_left_out(tmp_path: Path, normal: NormalClips) -> None:
    film = write(tmp_path / "film.avi", [picture(k, odd=40 <= k < 50) for k in range(90)])
    os.utime(film, (1_800_000_000, 1_800_000_000))  # when its last frame was seen
    folder = tmp_path / "events"
    folder.mkdir()
    (folder / ".event-1.part.avi").write_bytes(b"left by a kill")
    judged: set[str] = set()

    def watched(stop: threading.Event) -> list[Path]:
        with Recording(film, stop) as source:
            events = LiveEvents(source, normal, folder, judged.__contains__, lengths=ClipLengths(0.5, 0.5))
            found = [one for one in events if one is not None]
            assert source.seen == (0 if stop.is_set() else 90)
        return found

    first = watched(threading.Event())
    assert [path.name for path in folder.iterdir()] == [first[0].name]
    assert re.fullmatch(
        r"event-film-0000(0\.9|1\.0)\ds\.avi", first[0].name
    )  # half a second before 1.6 s, or a little more
    stopped = threading.Event()
    stopped.set()
    assert watched(stopped) == first  # what was not judged before a kill comes first
    assert watched(threading.Event()) == first  # and once, although it is found again
    judged.add(sha256_of(first[0]))
    assert watched(threading.Event()) == []


def test_a_clip_that_breaks_off_is_said_after_its_events(tmp_path: Path, normal: NormalClips) -> None:
    film = write(tmp_path / "film.avi", [picture(k, odd=k >= 40) for k in range(90)])
    with Recording(film, threading.Event()) as source:
        film.write_bytes(
            film.read_bytes()[: film.stat().st_size // 2]
        )  # after it was opened: it is cut while it is read
        found = []
        with pytest.raises(InspectError, match=r"of 90 frames can be decoded.*before that were looked at"):
            found.extend(one for one in LiveEvents(source, normal, tmp_path) if one is not None)
    with pytest.raises(ConversionError, match="truncated"):
        Recording(film, threading.Event()).__enter__()


def test_the_beginning_is_recorded_as_normal(tmp_path: Path) -> None:
    film = write(tmp_path / "film.avi", [picture(k) for k in range(40)])
    with Recording(film, threading.Event()) as source:
        clip = read_video(record_normal(source, tmp_path / "n.avi", NormalSpan(frames=30)))
        assert len(list(source.frames())) == 10  # what follows is still to be watched
    assert (clip.frame_count, round(clip.fps)) == (30, FPS)
    with Recording(film, threading.Event()) as source, pytest.raises(ReferenceSampleError, match="takes 12 at least"):
        record_normal(source, tmp_path / "n.avi", NormalSpan(frames=5))


def test_watch_of_a_stream_judges_an_event_and_ends_in_good_order(tmp_path: Path) -> None:
    out = tmp_path / "events.csv"
    film = (picture(k, odd=k > 100 and k % 100 >= 85) for k in range(10_000))  # longer than anybody waits
    with streaming([film], every_s=1 / FPS) as address:
        command = [sys.executable, "-m", "vlm_inspect", "watch", address, "--normal-until", "60", "--csv", str(out)]
        options = ["--before", "0.5", "--after", "0.5", "--localizer", "none"]
        with subprocess.Popen(
            [*command, *options], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr is not None
            lines = []
            while not any("event-" in line for line in lines):
                lines.append(process.stderr.readline())
                assert lines[-1], lines
            process.send_signal(signal.SIGINT)
            told, errors = process.communicate(timeout=LONGEST_S)
    assert process.returncode == 0, errors
    assert any(line.startswith("recording what is normal: 60 frames") for line in lines)
    assert "NG" in told
    assert "event-" in out.read_text()


def test_wrong_live_commands_are_one_line_and_leave_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out, film = str(tmp_path / "o.csv"), tmp_path / "film.avi"
    write(film, [picture(k) for k in range(20)])
    (tmp_path / "no.yaml").write_text("class_name: a\nrulez: []\n")
    before = sorted(tmp_path.iterdir())
    for wrong, told in (
        ([], "name what to watch"),
        ([str(tmp_path), "--camera", "0"], "give one of them"),
        (["rtsp://127.0.0.1:1/x", "--normal-until", "5s"], "cannot be opened"),
        (["--camera", "9", "--normal-until", "5s"], "camera 9 cannot be opened; check that it is plugged in"),
        ([str(film)], "held against normal clips"),
        ([str(film), "--normal-until", "60"], "ended after 20 frames of a normal beginning of 60"),
        ([str(film), "--normal-until", "5"], "gave 5 normal frames; it takes 12 at least"),
        ([str(film), "--normal-until", "15", "--rules", str(tmp_path / "no.yaml")], "rulez"),
        ([str(tmp_path / "no.yaml"), "--normal-until", "5"], "not a video"),
    ):
        with pytest.raises(SystemExit) as left:
            cli.main(["watch", *wrong, "--csv", out, "--quiet"])
        assert left.value.code == 2
        error = capfd.readouterr().err
        assert told in error
        assert error.count("\n") == 1
        assert sorted(tmp_path.iterdir()) == before


def test_watch_of_a_clip_ends_with_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    film = write(tmp_path / "film.avi", [picture(k, odd=100 <= k < 110) for k in range(130)])
    out = tmp_path / "o.csv"
    options = ["--normal-until", "60", "--csv", str(out), "--after", "0.4", "--localizer", "none"]
    with pytest.raises(SystemExit) as left:
        cli.main(["watch", str(film), *options])
    told = capfd.readouterr()
    assert left.value.code == 0
    assert "1 part: 1 NG" in told.out
    assert f"130 frames of {film} were looked at" in told.err
    assert re.search(r"events are known up to \d+\.\d s late; it ends with the clip", told.err)
    (clip,) = (tmp_path / "o.events").iterdir()  # the normal clip stands beside the table
    (row,) = csv.DictReader(out.open(encoding="utf-8"))
    assert row["source"] == str(clip)
    when = re.match(r"(\d\.\d\d) s to \d\.\d\d s: ", row["events"])
    assert when is not None
    assert row["events"] in told.err
    begins = float(
        clip.stem.removeprefix("event-film-").removesuffix("s")
    )  # one clock: the name says when the clip begins
    assert begins + float(when[1]) == pytest.approx(100 / FPS, abs=0.3)
    assert row["defects"]


def test_what_an_earlier_watch_recorded_as_normal_serves_the_next(tmp_path: Path) -> None:
    said: list[str] = []
    source = LiveSource(0, threading.Event())  # a camera that is never opened
    clip = tmp_path / "o.normal.avi"
    clip.write_bytes(b"a clip")
    made = _with_normal(InspectorConfig(normal_until="6s"), source, clip, said.append)
    assert (made.normal_until, made.references) == (None, (str(clip),))
    assert "delete it to record it anew" in said[0]
    assert _with_normal(InspectorConfig(), source, clip, said.append).references == ()
