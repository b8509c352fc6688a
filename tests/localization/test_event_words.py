"""An event of a curve is told of its own channels: at its places, and in the tables of a batch."""

from pathlib import Path

import numpy as np

from converters.sample import Series
from converters.series import render_series
from converters.view import ViewBudget
from vlm_inspect.answers.translation import translation_to
from vlm_inspect.decision.events import record_curve_events
from vlm_inspect.localization.curves.localizer import _described
from vlm_inspect.localization.curves.readings import read_event
from vlm_inspect.sample_curve import SampleCurve, SampleEvent
from vlm_inspect.sinks.row import _told

EVENT = SampleEvent(400, 430, 460, 4.0, 4.3, 4.6, 0.99, ("temperature",), "a course as in no reference")


def test_a_place_of_another_channel_has_no_words_of_the_event() -> None:
    series = Series(
        Path("m.csv"), np.arange(1000) / 100, np.zeros((1000, 2)), ("force", "temperature"), ("N", "degC")
    )  # fmt: skip
    (view,) = render_series(series, ViewBudget())
    words = {
        view.origin.locate(box).channel: _described(view, box, (EVENT,))
        for box in ((0.40, 0.1, 0.52, 0.3), (0.40, 0.7, 0.52, 0.8))
    }
    assert words["force"] == ""
    assert "temperature: a course as in no reference" in words["temperature"]


def test_a_table_names_the_channels_of_an_event() -> None:
    (record,) = record_curve_events(SampleCurve(None, np.zeros(1000), (EVENT,)))
    assert _told(record) == "4.00 s to 4.60 s: temperature: a course as in no reference"


def test_values_outside_the_references_and_standing_still_are_told() -> None:
    rng = np.random.default_rng(3)
    usual = [40 + rng.normal(0, 0.5, 400) for _ in range(3)]
    values = 40 + rng.normal(0, 0.5, (400, 1))
    values[100:160] = 0.0
    series = Series(Path("m.csv"), np.arange(400) / 100, values, ("temperature",), ("degC",))
    found = read_event(series, 0, (95, 170), usual)
    falls, stays = found.words
    assert falls.startswith("it falls to 0 degC, below everything in the references, 38")
    assert stays == "it stays at exactly 0 degC for 0.59 s"
    assert found.extreme is not None
    assert 100 <= found.extreme < 160
    assert read_event(series, 0, (200, 300), usual).words == ()
    values[250] = 50.0
    (rises,) = read_event(series, 0, (240, 260), usual).words
    assert rises.startswith("it rises to 50 degC, above everything in the references, 41")
    german = translation_to("de")
    assert german is not None
    assert german(f"{falls}; {stays}").startswith("sie fällt auf 0 degC, unter alles in den Referenzen, 38,")
    assert german(stays) == "sie bleibt 0,59 s lang bei genau 0 degC"
