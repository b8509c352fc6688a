"""Curves and clips over time: lines, marked stretches, frames."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from PIL import Image

from converters.errors import ConversionError
from converters.frame_seek import frame_at, frames_from
from converters.sample import Series
from tests.service.conftest import Starter, part, settings_in
from tests.waiting import LONGEST_S
from vlm_inspect.frame_curve import ClipEvent, FrameCurve
from vlm_inspect.inspection import CurveEventRecord, EventRecord
from vlm_inspect.sample_curve import SampleCurve
from vlm_inspect.service.settings import ServiceSettings
from vlm_inspect.service.timeline import timeline_of_case, timeline_of_curve, timeline_of_samples
from vlm_inspect.store import CaseStore

BOOK = """class_name: motor
rules:
  - {id: peak, text: No peak is above 2., check: {measure: max, max: 2, channel: accel}}
"""
FRAMES = 40
NAMES = {"avi": ("MJPG", 0), "mp4": ("mp4v", 0)}


def write_clip(path: Path, count: int = FRAMES) -> None:
    """Frame n is 4 n + 20 bright."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*NAMES[path.suffix[1:]][0]), 20.0, (96, 64))
    for number in range(count):
        writer.write(np.full((64, 96, 3), 20 + 4 * number, dtype=np.uint8))
    writer.release()


def series_text(count: int = 20_000, spike: int = 12_345) -> bytes:
    rows = [f"{n / 1000:.3f},{9 if n == spike else (n % 7) / 7:.4f},{n % 3}" for n in range(count)]
    return "\n".join(["time [s],accel [g],phase", *rows]).encode()


def with_book(folder: Path) -> ServiceSettings:
    settings = settings_in(folder)
    (settings.rules / "motor.yaml").write_text(BOOK)
    (settings.rules / "belt.yaml").write_text("class_name: belt\n")
    return settings


def sent(client: httpx.Client, name: str, content: bytes, rules: str) -> dict[str, Any]:
    answer = client.post("/v1/inspections", files={"file": (name, content)}, data={"rules": rules}, timeout=LONGEST_S)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def test_a_curve_keeps_its_spikes_and_marks_where_they_are(start: Starter, tmp_path: Path) -> None:
    client = start(settings=with_book(tmp_path))
    case = sent(client, "motor.csv", series_text(), "motor")["id"]
    told = client.get(f"/v1/inspections/{case}/timeline").json()
    assert (told["kind"], told["clock"], told["film"]) == ("curve", "s", None)
    accel, phase = told["lines"]
    assert (accel["name"], accel["unit"], phase["name"]) == ("accel", "g", "phase")
    assert len(accel["times"]) == len(accel["values"]) < 7000
    assert accel["times"][accel["values"].index(9.0)] == pytest.approx(12.345)
    assert any(one["first"] <= 12.345 <= one["last"] and one["channels"] == [0] for one in told["stretches"])
    assert client.get(f"/v1/inspections/{case}/timeline").json() == told, "it is kept"
    assert client.get(f"/v1/inspections/{case}/frames/0.jpg").status_code == 404
    plate = client.post("/v1/inspections", files=part(), data={"rules": "plate"}).json()["id"]
    assert client.get(f"/v1/inspections/{plate}/timeline").status_code == 404


def test_a_clip_is_played_in_sheets_and_frame_by_frame(start: Starter, tmp_path: Path) -> None:
    write_clip(tmp_path / "belt.avi")
    client = start(settings=with_book(tmp_path))
    case = sent(client, "belt.avi", (tmp_path / "belt.avi").read_bytes(), "belt")["id"]
    told = client.get(f"/v1/inspections/{case}/timeline").json()
    assert (told["kind"], told["clock"], told["film"]["count"]) == ("clip", "s", FRAMES)
    assert told["film"]["marks"][-1] == [FRAMES - 1, pytest.approx((FRAMES - 1) / 20)]
    sheet = client.get(f"/v1/inspections/{case}/frames/16.jpg", params={"count": 16})
    assert sheet.headers["content-type"] == "image/jpeg"
    pixels = np.asarray(Image.open(io.BytesIO(sheet.content)).convert("L"))
    assert pixels.shape == (4 * 64, 4 * 96)
    assert pixels[32, 48] == pytest.approx(20 + 4 * 16, abs=3)
    assert pixels[3 * 64 + 32, 3 * 96 + 48] == pytest.approx(20 + 4 * 31, abs=3)
    assert client.get(f"/v1/inspections/{case}/frames/{FRAMES}.jpg").status_code == 404
    assert client.get(f"/v1/inspections/{case}/frames/0.jpg", params={"count": 17}).status_code == 422


@pytest.mark.parametrize("name", ["a.avi", "a.mp4"])
def test_a_frame_is_found_without_those_before_it(tmp_path: Path, name: str) -> None:
    write_clip(tmp_path / name)
    for number in (0, 1, 17, FRAMES - 1):
        assert frame_at(tmp_path / name, number).mean() == pytest.approx(20 + 4 * number, abs=4), number
    assert len(frames_from(tmp_path / name, FRAMES - 2, 16)) == 2
    with pytest.raises(ConversionError, match="no frame 40"):
        frame_at(tmp_path / name, FRAMES)


def test_frames_of_an_animation_and_of_a_folder(tmp_path: Path) -> None:
    pictures = [Image.new("RGB", (32, 24), (level, level, level)) for level in (0, 80, 160, 240)]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=100)
    (tmp_path / "frames").mkdir()
    for number, picture in enumerate(pictures):
        picture.save(tmp_path / "frames" / f"frame{number}.png")
    for name in ("a.gif", "frames"):
        assert [round(one.mean(), -1) for one in frames_from(tmp_path / name, 1, 2)] == [80, 160]


def test_events_of_a_clip_are_stretches_with_their_places(start: Starter, tmp_path: Path) -> None:
    case_id = start().post("/v1/inspections", files=part(250)).json()["id"]
    times = np.concatenate([np.arange(50) / 25.0, 2.0 + np.arange(50) / 10.0])  # the camera slows down
    box = (0.1, 0.2, 0.3, 0.4)
    event = ClipEvent(60, 70, 80, times[60], times[70], times[80], 0.9, box, "motion", "too fast")
    curve = FrameCurve(times, np.linspace(0, 1, 100), (event,), normal_frames=10)
    with CaseStore(tmp_path / "cases.db") as store:
        told = timeline_of_curve(curve, store.load(case_id).inspection)
    assert told.normal_until == pytest.approx(times[9])
    (one,) = told.stretches
    assert (one.first, one.last, one.places) == (times[60], times[80], ((70, box),))
    assert told.film is not None
    assert dict(told.film.marks)[60] == pytest.approx(times[60]), "uneven times are kept between the ends"


def test_events_of_a_curve_lie_on_their_channels(start: Starter, tmp_path: Path) -> None:
    case_id = start().post("/v1/inspections", files=part(250)).json()["id"]
    times = np.arange(1000) / 100.0
    series = Series(Path("a.csv"), times, np.zeros((1000, 3)), ("a", "b", ""), ("g", "", ""))
    event = {"channels": ["b", "channel 3"], "description": "a burst", "score": 0.9}
    event |= {"start_sample": 400, "peak_sample": 410, "end_sample": 420, "start_s": 4.0, "peak_s": 4.1, "end_s": 4.2}
    with CaseStore(tmp_path / "cases.db") as store:
        inspection = store.load(case_id).inspection
    inspection = inspection.model_copy(update={"curve_events": (CurveEventRecord.model_validate(event),)})
    told = timeline_of_samples(series, SampleCurve(times, np.full(1000, 0.1), ()), inspection)
    (one,) = told.stretches
    assert (one.first, one.peak, one.last, one.channels) == (4.0, 4.1, 4.2, (1, 2))
    assert [(line.name, line.limit) for line in told.lines][-1] == ("P(anomalous)", 0.5)


def test_a_clip_that_came_from_elsewhere_shows_the_events_of_its_record(start: Starter, tmp_path: Path) -> None:
    write_clip(tmp_path / "belt.avi")
    client = start(settings=with_book(tmp_path))
    case_id = sent(client, "belt.avi", (tmp_path / "belt.avi").read_bytes(), "belt")["id"]
    event = {
        "kind": "motion",
        "description": "too fast",
        "score": 0.9,
        "start_frame": 5,
        "peak_frame": 6,
        "end_frame": 9,
    }
    event |= {"start_s": 0.25, "peak_s": 0.3, "end_s": 0.45, "box_xyxyn": (0.1, 0.2, 0.3, 0.4)}
    with CaseStore(tmp_path / "cases.db") as store:
        case = store.load(case_id)
        told = case.inspection.model_copy(update={"events": (EventRecord.model_validate(event),)})
        timeline = timeline_of_case(replace(case, inspection=told))
    (one,) = timeline.stretches
    assert (one.first, one.peak, one.last, one.text) == (0.25, 0.3, 0.45, "too fast")
    assert one.places == ((6, (0.1, 0.2, 0.3, 0.4)),)
