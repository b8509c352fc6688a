"""A long clip is asked about window by window: every answer counts, with its times; replayed from its record."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.backends.openai_server import Behaviour, Body, OpenAIServer, Response, answer, status
from tests.localization.clip_events.belts import FPS, belt
from tests.test_prompting import PARTS
from vlm_inspect import cli
from vlm_inspect.clip_windows import ClipWindow, WindowSettings, plan_windows, unseen_share
from vlm_inspect.errors import ParseError
from vlm_inspect.frame_curve import ClipEvent
from vlm_inspect.looks.windows import merge_windows
from vlm_inspect.prompting import describe_messages
from vlm_inspect.prompting.window_request import about_window
from vlm_inspect.replay import replay
from vlm_inspect.store import CaseStore
from vlm_inspect.verdict import RuleResult, Verdict

NORMAL = {"reasoning": "boxes pass", "anomalous": False, "probability": 0.05, "answer": "no", "rules": []}
FALLEN = {
    **NORMAL,
    "reasoning": "a box lies on its side",
    "anomalous": True,
    "probability": 0.95,
    "answer": "yes",
    "defects": [{"type": "fallen box", "view": 0, "box": [860, 40, 980, 220], "severity": "critical"}],
}
GOLDEN = Path(__file__).parents[1] / "golden" / "windows" / "video.txt"
CONFIG = "windows: {length_s: 1.0}\nviews: {max_frames: 18, max_side: 400}\nlocalizer: none\n"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of a belt, with a dark disc on the wall from 1.2 s to 1.6 s."""
    path = tmp_path_factory.mktemp("clips") / "belt.avi"
    source = belt(3, 100, mark_at=range(30, 40))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, source.size_hw[::-1])
    for frame in source.frames():
        writer.write(frame.image[..., ::-1])
    writer.release()
    return path


Ask = Callable[..., tuple[int, dict[str, Any], OpenAIServer]]


@pytest.fixture
def ask(clip: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Ask:
    def run(*behaviours: Behaviour, options: tuple[str, ...] = ()) -> tuple[int, dict[str, Any], OpenAIServer]:
        (tmp_path / "settings.yaml").write_text(CONFIG, encoding="utf-8")
        with OpenAIServer(behaviours) as server, pytest.raises(SystemExit) as left:
            cli.main(
                ["ask", str(clip), "--config", str(tmp_path / "settings.yaml"), "--model", "openai:tiny",
                 "--base-url", server.base_url, "--json", "-", "--html", str(tmp_path / "page.html"),
                 "--save", "--store", str(tmp_path / "cases.db"), *options]
            )  # fmt: skip
        out, err = capfd.readouterr()
        assert out, err
        return int(str(left.value.code)), json.loads(out), server

    return run


def texts(body: Body) -> str:
    return " ".join(part["text"] for m in body["messages"] if isinstance(m["content"], list)
                    for part in m["content"] if part["type"] == "text")  # fmt: skip


def test_every_window_is_asked_about_and_all_answers_are_one(ask: Ask, tmp_path: Path) -> None:
    code, found, server = ask(answer(NORMAL), answer(FALLEN), answer(NORMAL))
    assert (code, found["outcome"]) == (1, "NG")
    asked = [texts(one.body) for one in server.requests]
    assert len(asked) == 4
    assert "window 2 only: 1.00 s to 1.96 s of a clip of 100 frames" in asked[1]
    assert "1.00 s" not in asked[3].split("How to read")[1].split("window 4")[0]
    defect = found["defects"][0]
    assert found["views"][defect["view"]]["label"].startswith("frames 25 to ")
    assert 1.0 <= defect["time_s"] < 2.0
    assert [step["window"]["anomalous"] for step in found["steps"]] == [False, True, False, False]
    assert [step["window"]["first"] for step in found["steps"]] == [0, 25, 50, 75]
    assert found["usage"]["calls"] == 4
    assert "1.00 s to 1.96 s: a box lies on its side" in found["reasoning"]
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "window 2, 1.00 s to 1.96 s, anomalous" in page
    assert page.count("boxes pass") >= 3

    with CaseStore(tmp_path / "cases.db") as store:
        case = store.load(store.list()[0].id)
        assert len(case.windows) == len(case.replies) == 4
        assert case.told_look.facts.window is not None
        assert case.told_look.facts.window.number == 2
        came = replay(case)
    assert came.same, came.differences
    assert came.inspection.defects == case.inspection.defects


def test_a_window_that_is_anomalous_is_looked_at_again_at_once(ask: Ask, tmp_path: Path) -> None:
    calm = {**NORMAL, "reasoning": "it stands after all"}
    code, found, server = ask(answer(NORMAL), answer(FALLEN), answer(calm), answer(NORMAL), options=("--look-again",))
    assert code != 1
    assert len(server.requests) == 5
    again = texts(server.requests[2].body)
    assert "window 2 only" in again
    assert "a box lies on its side" in again
    assert [step["phase"] for step in found["steps"]] == ["judge", "judge", "look_again", "judge", "judge"]
    assert [step["window"]["number"] for step in found["steps"]] == [1, 2, 2, 3, 4]
    assert found["views"][found["steps"][2]["saw"][0]["view"]]["label"].startswith("frames 25 to ")
    assert "it stands after all" in found["reasoning"]
    assert "on its side" not in found["reasoning"]
    told = " ".join(found["notes"])
    assert "The second look at window 2 of 4 (1.00 s to 1.96 s) changed the model's verdict from anomalous to" in told
    assert "1 of them were looked at twice" in told
    with CaseStore(tmp_path / "cases.db") as store:
        case = store.load(store.list()[0].id)
    assert len(case.looks) == 5
    assert len(case.windows) == len(case.replies) == 4
    came = replay(case)
    assert came.same, came.differences


def test_a_window_that_was_not_read_is_review_and_said(ask: Ask, tmp_path: Path) -> None:
    code, found, _ = ask(answer(NORMAL), answer("", finish_reason="length"), answer(NORMAL))
    assert code == 3
    assert any("window 2 of 4 (1.00 s to 1.96 s) could not be read" in one for one in found["review_reasons"])
    assert found["steps"][1]["window"]["anomalous"] is None
    with CaseStore(tmp_path / "cases.db") as store:
        assert replay(store.load(store.list()[0].id)).same


def test_a_lost_window_leaves_what_the_others_say(ask: Ask) -> None:
    code, found, server = ask(answer(NORMAL), answer(FALLEN), status(400, "too large"), answer(NORMAL))
    assert (code, len(server.requests)) == (1, 4)
    assert any("Asking about window 3 of 4 (2.00 s to 2.96 s) failed" in note for note in found["notes"])
    assert any("could not be read" in note for note in found["notes"])


def test_stretches_in_no_window_are_no_ok_without_a_normal_clip(ask: Ask) -> None:
    code, found, server = ask(answer(NORMAL), options=("--windows", "2"))
    assert (code, len(server.requests)) == (3, 2)
    assert any("50% of the clip lie in no window" in one for one in found["review_reasons"])
    assert any("the other 50% of its frames" in note for note in found["notes"])


def test_one_request_where_windows_are_not_wanted(ask: Ask) -> None:
    code, found, server = ask(answer(NORMAL), options=("--windows", "1"))
    assert (code, len(server.requests), "steps" in found) == (0, 1, False)


def test_an_answered_window_is_kept_by_bench(clip: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "settings.yaml").write_text(CONFIG, encoding="utf-8")
    for name in ("normal/a.avi", "anomalous/b.avi"):
        path = tmp_path / "clips" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(clip.read_bytes() + name.encode())

    def says(body: Body) -> Response:
        return answer(FALLEN if "window 2 only" in texts(body) else NORMAL)(body)

    def run(out: str, server: OpenAIServer) -> list[dict[str, Any]]:
        with pytest.raises(SystemExit) as left:
            cli.main(
                ["bench", str(tmp_path / "clips"), "--out", str(tmp_path / out), "--shots", "0", "--config",
                 str(tmp_path / "settings.yaml"), "--model", "openai:tiny", "--base-url", server.base_url,
                 "--concurrency", "1"]
            )  # fmt: skip
        assert left.value.code == 0, capfd.readouterr().err
        return [json.loads(line) for line in (tmp_path / out / "items.jsonl").read_text().splitlines()]

    with OpenAIServer([says]) as server:
        first = run("one", server)
        asked = len(server.requests)
        again = run("two", server)
        assert len(server.requests) == asked
    assert [one["outcome"] for one in first] == ["NG", "NG"]
    assert [(one["usage"]["calls"], one["spared"]["calls"]) for one in again] == [(0, 4), (0, 4)]
    assert [one["prompt_sha256"] for one in first] == [one["prompt_sha256"] for one in again]


def window(number: int, count: int = 3, *, measured: bool = True) -> ClipWindow:
    first = 25 * (number - 1)
    return ClipWindow(number, count, first, first + 24, first / 25, (first + 24) / 25, 25 * count, measured)


def verdict(*, anomalous: bool = False, probability: float | None = None, **values: Any) -> Verdict:
    return Verdict(anomalous, "seen", probability, **values)


def test_what_a_window_ends_with_is_the_golden_text() -> None:
    whole = PARTS["video"]().request("inspect")
    asked = about_window(whole, window(2))
    first, told = (describe_messages(one.messages).rstrip("\n") for one in (whole, asked))
    assert told.startswith(first)
    if os.environ.get("UPDATE_GOLDEN") == "1":
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(told[len(first) :].lstrip("\n") + "\n", encoding="utf-8")
    assert told[len(first) :].lstrip("\n") + "\n" == GOLDEN.read_text(encoding="utf-8"), (
        "wording changed; UPDATE_GOLDEN=1 pytest accepts it"
    )
    assert asked.prompt_sha256 != whole.prompt_sha256


def test_ng_beats_review_beats_ok() -> None:
    unread = ParseError("cut short", reply_text="{", cause="truncated")
    ok, doubtful, bad = verdict(), verdict(doubts=("2 answers disagree",)), verdict(anomalous=True, probability=0.8)

    def merged(*opinions: Verdict | ParseError) -> Verdict:
        found = merge_windows([(window(n, len(opinions)), one) for n, one in enumerate(opinions, start=1)])
        assert isinstance(found, Verdict)
        return found

    assert (merged(ok, ok).anomalous, merged(ok, ok).doubts) == (False, ())
    assert "window 2 of 3" in merged(ok, doubtful, ok).doubts[0]
    assert merged(ok, unread).probability == 0.5, "what nobody read is no sign of normal"
    sure = merged(unread, doubtful, bad)
    assert (sure.anomalous, sure.doubts, sure.probability) == (True, (), 0.8)
    assert any("could not be read" in one for one in sure.warnings)
    failed = merge_windows([(window(1, 2), unread), (window(2, 2), unread)])
    assert isinstance(failed, ParseError)
    assert failed.cause == "truncated"


def test_what_nothing_looked_at_is_a_doubt() -> None:
    def doubts(*, measured: bool) -> tuple[str, ...]:
        found = merge_windows([(window(n, 8, measured=measured), verdict()) for n in (1, 2, 3, 4)])
        assert isinstance(found, Verdict)
        return found.doubts

    assert "50% of the clip" in doubts(measured=False)[0]
    assert doubts(measured=True) == ()


def test_a_rule_is_as_good_as_in_its_worst_window() -> None:
    def told(*statuses: str | None) -> RuleResult:
        answers = [
            (window(n), verdict(rules=() if status is None else (RuleResult("count", status, "why"),)))  # type: ignore[arg-type]
            for n, status in enumerate(statuses, start=1)
        ]
        found = merge_windows(answers)
        assert isinstance(found, Verdict)
        return found.rules[0]

    assert told("pass", "pass", "pass") == RuleResult("count", "pass", "why")
    assert told("pass", "cannot_tell", "pass").status == "cannot_tell"
    assert told("pass", "cannot_tell", "fail") == RuleResult("count", "fail", "2.00 s to 2.96 s: why")
    assert told("pass", None, "pass") == RuleResult(
        "count", "cannot_tell", "1.00 s to 1.96 s: The model left this rule out."
    )


def event(first: int, last: int, score: float = 0.9) -> ClipEvent:
    return ClipEvent(first, (first + last) // 2, last, None, None, None, score, (0, 0, 1, 1), "motion", "")


def test_windows_are_cut_beside_events_and_chosen_by_them() -> None:
    settings = WindowSettings(most=4, length_frames=100)
    assert plan_windows(200, None, settings) == ()
    whole = plan_windows(400, None, settings, events=[event(90, 130)])
    spans = [(one.first, one.last) for one in whole]
    assert spans[1:] in ([(90, 199), (200, 299), (300, 399)], [(131, 199), (200, 299), (300, 399)])
    assert unseen_share(whole) == 0
    some = plan_windows(2000, None, settings, events=[event(1510, 1530), event(905, 1005, 0.99), event(20, 30, 0.6)])
    held = {frame // 100 for one in some for frame in (one.first, one.last)}
    assert {9, 15, 0} <= held
    assert len(some) == 4
    assert unseen_share(some) == pytest.approx(0.8)
    timed = plan_windows(1000, np.arange(1000) / 10, WindowSettings(most=8, length_s=15))
    assert [one.span for one in timed][:2] == ["0.00 s to 14.20 s", "14.30 s to 28.50 s"]
