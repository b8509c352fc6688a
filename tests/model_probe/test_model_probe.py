"""What the probe finds out about a model: with everything, and with each capability missing in turn."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import numpy as np
import pytest

from tests.backends.openai_server import OpenAIServer, status
from tests.model_probe.seeing_server import LACKS, Model
from vlm_inspect.backends.backend import Reply, Request
from vlm_inspect.backends.openai_compatible import OpenAICompatible
from vlm_inspect.backends.settings import Connection
from vlm_inspect.errors import BackendError
from vlm_inspect.inspection import Usage
from vlm_inspect.model_probe import ModelReport, probe_model
from vlm_inspect.model_probe.box_habit import find_habit
from vlm_inspect.model_probe.pictures import COLOURS, draw_disc, draw_plate
from vlm_inspect.model_probe.questions import ask_about_plate, ask_sum, read_object, same_number
from vlm_inspect.prompting import describe_messages


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def probe(*lacks: str, refuses: Sequence[str] = (), seed: int = 1) -> tuple[ModelReport, Model]:
    model = Model(frozenset(lacks))
    with OpenAIServer([model], refuses=refuses) as server:
        backend = OpenAICompatible("tiny", Connection(server.base_url, timeout_s=10, max_retries=0))
        return probe_model(backend, seed=seed), model


@pytest.fixture(scope="module")
def whole() -> tuple[ModelReport, Model]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", "sk-test")
        return probe()


def test_a_model_with_everything_is_usable(whole: tuple[ModelReport, Model]) -> None:
    report, model = whole
    assert report.usable
    assert report.discs_read == "2 of 2"
    assert report.pictures == 8
    assert (report.json, report.form, report.token_probabilities) == (True, "schema", True)
    assert (report.several_answers, report.tools) == (True, True)
    assert report.normal is not None
    assert report.anomalous is not None
    assert report.normal.probability == pytest.approx(0.1)
    assert report.anomalous.probability == pytest.approx(0.9)
    assert report.latency_s > 0
    assert report.usage.calls == 7
    assert model.asked == ["sum", "disc", "disc", "box", "colours", "plate", "plate", "tool"]


@pytest.mark.parametrize("unit", ["per_mille", "pixels", "fraction"])
@pytest.mark.parametrize("order", ["xy", "yx"])
def test_the_way_of_writing_boxes_is_found_out_and_kept(unit: str, order: str) -> None:
    with OpenAIServer([Model(boxes=f"{unit} {order}")]) as server:
        backend = OpenAICompatible("tiny", Connection(server.base_url, timeout_s=10, max_retries=0))
        report = probe_model(backend, seed=2)
        assert report.boxes is not None
        assert (report.boxes.unit, report.boxes.rows_first) == (unit, order == "yx")
        assert (backend.boxes.unit, backend.boxes.rows_first) == (unit, order == "yx")
        again = OpenAICompatible("tiny", Connection(server.base_url))
        assert again.boxes == backend.boxes


@pytest.mark.parametrize("told", [None, "left", [1, 2, 3], [0, 0, 1000, 1000], [9, 9, 9, 9], [10**400, 1, 2, 3]])
def test_a_box_that_fits_no_reading_is_not_guessed(told: object) -> None:
    assert find_habit(told, (0.66, 0.2, 0.88, 0.45)) is None


BLIND = {"sees_pictures": False, "pictures": 0, "token_probabilities": False, "normal": None}
CHANGES: dict[str, dict[str, object]] = {
    "pictures": BLIND,
    "image_input": BLIND,
    "many_pictures": {"pictures": 2},
    "json": {"json": False},
    "logprobs": {"token_probabilities": False},
    "n": {"several_answers": False},
    "tools": {"tools": False},
    "sense": {},
    "verdicts": {"json": False, "token_probabilities": False},
}
SPOILS = {"pictures", "image_input", "sense", "verdicts"}


@pytest.mark.parametrize("lacking", LACKS)
def test_each_missing_capability_is_found_and_nothing_else(lacking: str, whole: tuple[ModelReport, Model]) -> None:
    report, _ = probe(lacking)
    assert report.usable == (lacking not in SPOILS)
    for name in ("sees_pictures", "pictures", "json", "form", "token_probabilities", "several_answers", "tools"):
        assert getattr(report, name) == CHANGES[lacking].get(name, getattr(whole[0], name)), name
    if lacking in {"sense", "verdicts"}:
        assert report.anomalous is not None
        assert report.anomalous.said == {"sense": "normal", "verdicts": "unreadable"}[lacking]
    elif "normal" in CHANGES[lacking]:
        assert report.normal is None
        assert report.anomalous is None


def test_a_refusal_of_pictures_is_told() -> None:
    report, _ = probe("image_input")
    assert "takes no images" in report.discs_read


@pytest.mark.parametrize(
    ("refuses", "form"), [(["json_schema"], "json"), (["json_schema", "json_object"], "text"), (["logprobs"], "schema")]
)
def test_the_form_that_the_server_takes_is_told(refuses: list[str], form: str) -> None:
    report, _ = probe(refuses=refuses)
    assert report.form == form
    assert report.token_probabilities == ("logprobs" not in refuses)
    assert report.usable


@pytest.mark.parametrize("code", [401, 404, 503])
def test_a_model_out_of_reach_is_an_error(code: int) -> None:
    with OpenAIServer([status(code)]) as server, pytest.raises(BackendError, match=str(code)):
        probe_model(OpenAICompatible("tiny", Connection(server.base_url, max_retries=0)))


class Guesser:
    """A backend without a server that always says the same."""

    name = "test:guesser"

    def generate(self, request: Request, *, samples: int = 1) -> Sequence[Reply]:
        return [Reply('{"colour": "red", "row": 1, "column": 1, "sum": 3}', usage=Usage(calls=1))] * samples


def test_a_guesser_is_found_out_whatever_is_drawn() -> None:
    reports = [probe_model(Guesser(), seed=seed) for seed in range(60)]
    assert not any(report.sees_pictures for report in reports)
    assert {report.tools for report in reports} == {None}


def test_pictures_differ_from_time_to_time() -> None:
    told = {describe_messages(ask_about_plate(Random(seed), anomalous=True).messages) for seed in range(3)}
    assert len(told) == 1, "the words are the same"
    assert not np.array_equal(draw_plate(Random(1), anomalous=True), draw_plate(Random(2), anomalous=True))
    assert len({draw_disc(c, r, k).tobytes() for c in COLOURS for r in (1, 2, 3) for k in (1, 2, 3)}) == 72


@pytest.mark.parametrize(
    ("text", "found", "alone"),
    [
        ('{"sum": 3}', {"sum": 3}, True),
        (' {"sum": 3}\n', {"sum": 3}, True),
        ('```json\n{"sum": 3}\n```', {"sum": 3}, False),
        ('<think>4?</think>{"sum": 3}', {"sum": 3}, False),
        ("[3]", None, False),
        ("three", None, False),
        ("", None, False),
        ("} {", None, False),
    ],
)
def test_answers_are_read(text: str, found: object, alone: bool) -> None:
    assert read_object(Reply(text)) == (found, alone)
    assert read_object(replace(Reply(text), finish_reason="length")) == (None, False)


def test_numbers_are_read_however_they_are_written() -> None:
    assert same_number(3, 3)
    assert same_number("3", 3)
    assert same_number(3.0, 3)
    assert not same_number(True, 1)
    assert not same_number(None, 0)
    assert "What is 11 plus 12" in describe_messages(ask_sum(11, 12).messages)
