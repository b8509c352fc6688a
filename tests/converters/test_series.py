"""Curves: every way to store them, what their time is, and plots whose pixels map back to seconds."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters import series as series_module
from converters.errors import ConversionError
from converters.sample import Series
from converters.series import read_series, render_series, shared_limits
from converters.series_plot import thin_out
from converters.view import ViewBudget

NAN = math.nan


def write(folder: Path, text: str) -> Path:
    path = folder / "curve.csv"
    path.write_text(text, encoding="utf-8")
    return path


def curve(
    time_s: np.ndarray, *channels: np.ndarray, names: tuple[str, ...] = (), units: tuple[str, ...] = ()
) -> Series:
    count = len(channels)
    return Series(Path("curve"), time_s, np.stack(channels, axis=1), names or ("",) * count, units or ("",) * count)


@pytest.mark.parametrize(
    ("text", "time_s", "names"),
    [
        pytest.param("time [s],v\n0.5,1\n1.5,2\n", [0.5, 1.5], ("v",), id="s"),
        pytest.param("t/ms,v\n0,1\n20,2\n", [0, 0.02], ("v",), id="ms"),
        pytest.param("Time_us,v\n0,1\n20,2\n", [0, 2e-5], ("v",), id="us in the name"),
        pytest.param("Zeit in min;v\n0;1\n2;2\n", [0, 120], ("v",), id="minutes, German"),
        pytest.param("elapsed (h),v\n0,1\n1,2\n", [0, 3600], ("v",), id="h"),
        pytest.param("seconds,v\n0,1\n1,2\n", [0, 1], ("v",), id="a unit as name"),
        pytest.param("v,time\n1,0\n2,1\n", [0, 1], ("v",), id="time is not first"),
        pytest.param(
            "timestamp,v\n2024-05-01T10:00:00,1\n2024-05-01T10:00:00.250,2\n", [0, 0.25], ("v",), id="ISO 8601"
        ),
        pytest.param("timestamp,v\n1700000000,1\n1700000002,2\n", [0, 2], ("v",), id="seconds since 1970"),
        pytest.param("timestamp,v\n1700000000000,1\n1700000000500,2\n", [0, 0.5], ("v",), id="milliseconds since 1970"),
        pytest.param("0.0 5\n0.1 6\n0.2 4\n", [0, 0.1, 0.2], ("",), id="a first column that rises evenly"),
    ],
)
def test_time_becomes_seconds(tmp_path, text, time_s, names):
    series = read_series(write(tmp_path, text))
    assert series.time_s == pytest.approx(np.array(time_s), abs=1e-9)
    assert series.names == names
    assert not series.time_is_index
    assert series.values.shape == (len(time_s), 1)


@pytest.mark.parametrize(
    ("text", "time_s", "names"),
    [
        pytest.param("v\n5\n6\n4\n", [0, 1, 2], ("v",), id="one column"),
        pytest.param("1;5\n2;6\n3;4\n", [1, 2, 3], ("",), id="row numbers"),
        pytest.param("sample,v\n10,5\n11,6\n12,4\n", [10, 11, 12], ("v",), id="a sample number by name"),
        pytest.param("T [°C],p [bar]\n20,5\n21,6\n20.5,4\n", [0, 1, 2], ("T", "p"), id="T is a temperature"),
        pytest.param("min,max\n1,3\n2,4\n", [0, 1], ("min", "max"), id="min is no minute, two rows no ramp"),
        pytest.param("angle [deg],f [N]\n0,1\n1,2\n2,4\n", [0, 1, 2], ("angle", "f"), id="a ramp of another quantity"),
    ],
)
def test_without_time_the_sample_number_serves(tmp_path, text, time_s, names):
    series = read_series(write(tmp_path, text))
    assert series.time_is_index
    assert series.time_s.tolist() == time_s
    assert series.names == names


def test_channels_keep_names_units_and_gaps(tmp_path):
    series = read_series(write(tmp_path, "time [s];accel [g];temp (°C)\n0;1,5;\n1;;20\n"))
    assert (series.names, series.units) == (("accel", "temp"), ("g", "°C"))
    np.testing.assert_array_equal(series.values, [[1.5, NAN], [NAN, 20]])
    assert series.notes == ("Of 2 samples so many are missing: accel 1, temp 1.",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("a,b\nfoo,bar\n", "line 2, column 1: 'foo' is not a number", id="words"),
        pytest.param("t,v [mm]\n", "a header and no row of numbers below it", id="header alone"),
        pytest.param("t;v\ns;mm\n", "a header and no row of numbers below it", id="header and units"),
        pytest.param("1,x\n", "column 2: 'x' is not a number", id="one row with a word"),
        pytest.param("t,v\n1,2\n", "1 row of numbers; a series needs at least two", id="one row"),
        pytest.param("time,v\n0,1\n2,1\n1,1\n", "row 3: the time 1 is before 2", id="back in time"),
        pytest.param(
            "time,v\n0,1\n1,1\n1,1\n", "row 3: the time is that of the row before it", id="twice the same time"
        ),
        pytest.param("time,v\n0,1\n,1\n2,1\n", "row 2: the time is missing", id="a gap in time"),
        pytest.param("t,v\n0,1\n1,inf\n", "row 2, column 2: inf is not a measurement", id="infinite"),
        pytest.param("t,v\n0,1\n1,-1e200\n", "row 2, column 2: -1e[+]200 is not a measurement", id="absurd"),
        pytest.param("time\n0\n1\n", "a time column and no other", id="no channel"),
        pytest.param("t,v\n0,\n1,\n", "not one number in the channels", id="only gaps"),
        pytest.param("", "the file is empty", id="empty"),
    ],
)
def test_refuses_in_one_line(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(ConversionError, match=message) as caught:
        read_series(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("array", "shape"),
    [
        (np.arange(30), (30, 1)),
        (np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32), (30, 3)),
        (np.random.default_rng(0).normal(size=(3, 30)), (30, 3)),
        (np.array([(1.0, 2), (3.0, 4)], dtype=[("a", "f8"), ("b", "i4")]), (2, 2)),
    ],
    ids=["N", "N C", "C N", "fields"],
)
def test_npy_by_shape(tmp_path, array, shape):
    np.save(tmp_path / "curve.npy", array)
    series = read_series(tmp_path / "curve.npy")
    assert series.values.shape == shape
    assert series.values.dtype == np.float64
    assert series.time_is_index
    assert series.names == (array.dtype.names or ("",) * shape[1])


def test_npz_with_time_or_rate(tmp_path):
    v = np.sin(np.arange(50.0))
    np.savez(tmp_path / "timed.npz", time_ms=np.arange(50) * 5.0, accel=v, both=np.stack([v, -v]))
    series = read_series(tmp_path / "timed.npz")
    assert series.names == ("accel", "both 1", "both 2")
    assert series.time_s[-1] == pytest.approx(0.245)
    np.savez_compressed(tmp_path / "rate.npz", values=v, sample_rate=200)
    series = read_series(tmp_path / "rate.npz")
    assert (series.time_s[1], series.time_is_index) == (0.005, False)


def test_unusable_arrays_are_refused(tmp_path, monkeypatch):
    arrays = {"complex": np.ones(3, complex), "cube": np.ones((2, 2, 2)), "words": np.array(["a", "b"])}
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    np.save(tmp_path / "object.npy", np.array([{}, 1], dtype=object), allow_pickle=True)
    (tmp_path / "cut.npy").write_bytes((tmp_path / "cube.npy").read_bytes()[:150])
    np.savez(tmp_path / "lengths.npz", a=np.ones(3), b=np.ones(4))
    np.savez(tmp_path / "text.npz", a=np.array(["x"]))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "lengths.npz").read_bytes()[:200])
    files = sorted(file for file in tmp_path.iterdir())
    assert len(files) == 8
    for file in [*files, tmp_path / "missing.npy"]:
        with pytest.raises(ConversionError) as caught:
            read_series(file)
        assert str(caught.value).startswith(f"{file}: ")
        assert "\n" not in str(caught.value)
    np.savez_compressed(tmp_path / "bomb.npz", values=np.zeros(10_000))
    monkeypatch.setenv("VLM_INSPECT_READ_MEMORY", "100K")
    with pytest.raises(ConversionError, match="raise VLM_INSPECT_READ_MEMORY"):
        read_series(tmp_path / "bomb.npz")


def ink(view, panel) -> np.ndarray:
    """(h, w) True where the panel shows its curve: blue, unlike paper, grid and frame."""
    x0, y0, x1, y1 = panel.box_xyxy
    picture = view.image[y0:y1, x0:x1].astype(int)
    return (picture[:, :, 2] - picture[:, :, 0] > 60) & (picture[:, :, 0] < 160)


@settings(max_examples=10, deadline=None)
@given(
    count=st.sampled_from([40, 3000, 120_000]),
    place=st.floats(0.02, 0.98),
    start=st.floats(-50, 50),
    duration=st.floats(1e-3, 1e4),
    downwards=st.booleans(),
)
def test_a_spike_of_one_sample_is_seen_at_its_second(count, place, start, duration, downwards):
    time_s = start + np.linspace(0, duration, count)
    values = 0.1 * np.sin(np.arange(count) / 7)
    index = max(1, int(place * (count - 2)))
    values[index] = -3.0 if downwards else 3.0
    (view,) = render_series(curve(time_s, values), ViewBudget())
    (panel,) = view.origin.panels
    rows, columns = np.nonzero(ink(view, panel))
    extreme = rows.max() if downwards else rows.min()
    x = panel.box_xyxy[0] + columns[rows == extreme].mean() + 0.5
    width = view.size_hw[1]
    found = view.origin.locate((x / width, 0.4, x / width, 0.6)).time_s
    pixel_s = duration / (panel.box_xyxy[2] - panel.box_xyxy[0])
    assert found == pytest.approx(time_s[index], abs=1.6 * pixel_s)
    y_of_value = panel.box_xyxy[1] + (panel.y1 - values[index]) / (panel.y1 - panel.y0) * (
        panel.box_xyxy[3] - panel.box_xyxy[1]
    )
    assert extreme + panel.box_xyxy[1] == pytest.approx(y_of_value, abs=4)


@settings(max_examples=50, deadline=None)
@given(box=st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)))
def test_every_box_has_a_second_of_the_curve(box):
    x0, x1 = sorted((box[0], box[2]))
    y0, y1 = sorted((box[1], box[3]))
    time_s = SHORT.origin.locate((x0, y0, x1, y1)).time_s
    assert 2.0 <= time_s <= 6.0


SHORT = render_series(curve(np.linspace(2.0, 6.0, 9), np.arange(9.0)), ViewBudget())[0]


def test_the_ends_of_the_axis_are_the_ends_of_time():
    x0, _, x1, _ = SHORT.origin.panels[0].box_xyxy
    width = SHORT.size_hw[1]
    assert SHORT.origin.locate((0, 0, 0, 0)).time_s == 2.0
    assert SHORT.origin.locate((x0 / width,) * 4).time_s == 2.0
    assert SHORT.origin.locate((x1 / width, 0.5, x1 / width, 0.5)).time_s == 6.0
    middle = (x0 + x1) / 2 / width
    assert SHORT.origin.locate((middle, 0.1, middle, 0.2)).time_s == pytest.approx(4.0)


def test_a_box_lies_in_the_channel_whose_panel_is_nearest():
    time_s = np.linspace(0, 2, 50)
    (view,) = render_series(curve(time_s, np.sin(time_s), np.cos(time_s)), ViewBudget())
    height = view.size_hw[0]
    first, second = (panel.box_xyxy for panel in view.origin.panels)
    names = [panel.name for panel in view.origin.panels]
    places = [(0.5, y / height, 0.5, y / height) for y in (0, first[3] - 2, second[1] + 2, height)]
    assert [view.origin.locate(one).channel for one in places] == [names[0], names[0], names[1], names[1]]


def test_panels_mask_and_labels():
    time_s = np.linspace(0, 2, 50)
    channels = [np.sin(time_s * k) for k in (1, 2, 3)]
    (view,) = render_series(curve(time_s, *channels, names=("x", "y", ""), units=("g", "", "")), ViewBudget())
    assert (view.kind, view.key) == ("plot", "plot")
    assert view.label == "plot of x [g], y, channel 3, 0 s to 2 s"
    assert [pane.name for pane in view.panes] == ["x [g]", "y", "channel 3"]
    assert [panel.channel for panel in view.origin.panels] == [0, 1, 2]
    assert max(view.size_hw) <= ViewBudget().max_side
    inside = np.zeros(view.size_hw, bool)
    for pane, panel in zip(view.panes, view.origin.panels, strict=True):
        assert pane.box_xyxy == panel.box_xyxy
        x0, y0, x1, y1 = pane.box_xyxy
        inside[y0:y1, x0:x1] = True
        assert ink(view, panel).any(axis=0).mean() > 0.95
    np.testing.assert_array_equal(view.mask, inside)
    blue = (view.image[:, :, 2].astype(int) - view.image[:, :, 0] > 60) & ~inside
    assert not blue.any()  # no curve outside of its panel


def test_many_channels_are_split_bounded_and_stated(monkeypatch):
    monkeypatch.setattr(series_module, "MAX_PLOTS", 2)
    values = np.random.default_rng(0).normal(size=(30, 30))
    views = render_series(curve(np.arange(30.0), *values), ViewBudget())
    assert [len(view.origin.panels) for view in views] == [4, 4]
    assert [view.key for view in views] == ["plot/1", "plot/5"]
    assert all(f"(channels {4 * k + 1} to {4 * k + 4} of 30)" in view.label for k, view in enumerate(views))
    named = render_series(curve(np.arange(30.0), *values[:5], names=tuple("abcde")), ViewBudget())
    assert [view.key for view in named] == ["plot/a", "plot/e"]


def test_limits_are_shared_and_never_hide_a_value():
    time_s = np.arange(20.0)
    small, large = curve(time_s, np.sin(time_s), np.ones(20)), curve(time_s, 5 * np.sin(time_s), np.ones(20))
    limits = shared_limits([small, large])
    first, second = (render_series(one, ViewBudget(), limits)[0].origin.panels for one in (small, large))
    assert [(p.y0, p.y1) for p in first] == [(p.y0, p.y1) for p in second]
    assert first[0].y1 > 4.9
    only_small = shared_limits([small])
    panel = render_series(large, ViewBudget(), only_small)[0].origin.panels[0]
    assert panel.y1 > 4.9
    assert panel.y0 < -4.9


def test_gaps_stay_gaps_and_lone_samples_are_dots():
    values = np.array([0.0, 1.0, NAN, 0.5, NAN, 1.0, 0.0])
    (view,) = render_series(curve(np.arange(7.0), values), ViewBudget())
    (panel,) = view.origin.panels
    drawn = ink(view, panel).any(axis=0)
    width = len(drawn)
    assert drawn[int(0.5 / 6 * width)]
    assert drawn[int(3 / 6 * width)]
    assert not drawn[int(1.2 / 6 * width) : int(2.8 / 6 * width)].any()
    assert not drawn[int(3.2 / 6 * width) : int(4.8 / 6 * width)].any()


@pytest.mark.parametrize(
    "values",
    [np.zeros(5), np.full(5, 1e6), np.full(5, NAN), np.array([1e99, -1e99, 0, 0, 0]), np.arange(5) * 1e-30 + 7],
    ids=["zero", "constant", "gaps only", "huge", "rounding noise"],
)
def test_awkward_values_have_an_axis(values):
    views = render_series(curve(np.arange(5.0), values, np.arange(5.0), names=("$x_{", "名")), ViewBudget(max_side=400))
    panel = views[0].origin.panels[0]
    assert panel.y0 < panel.y1
    assert max(views[0].size_hw) <= 400
    assert ink(views[0], panel).any() == np.isfinite(values).any()


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(2, 400),
    columns=st.integers(1, 30),
    seed=st.integers(0, 1000),
    gaps=st.sampled_from([0.0, 0.3]),
)
def test_thinning_keeps_the_ends_and_every_extreme(count, columns, seed, gaps):
    rng = np.random.default_rng(seed)
    time_s, values = np.cumsum(rng.uniform(0.1, 1.0, count)), rng.normal(size=count)
    values[rng.uniform(size=count) < gaps] = NAN
    kept = thin_out(time_s, values, columns)
    assert (np.diff(kept) > 0).all()
    assert len(kept) <= max(4 * columns, 4)
    known = np.flatnonzero(np.isfinite(values))
    if known.size:
        wanted = {known[0], known[-1], known[values[known].argmin()], known[values[known].argmax()]}
        assert wanted <= set(kept.tolist())


def test_a_million_samples_are_plotted_quickly(tmp_path):
    values = np.random.default_rng(0).normal(size=1_000_000).astype(np.float32)
    np.save(tmp_path / "long.npy", values)
    (view,) = render_series(read_series(tmp_path / "long.npy"), ViewBudget())
    assert view.label == "plot of channel 1, samples 0 to 999999"
    assert ink(view, view.origin.panels[0]).mean() > 0.5


def test_plotting_leaves_pyplot_alone():
    import sys

    SHORT.origin.locate((0, 0, 1, 1))
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_a_column_of_words_is_left_out_and_said(tmp_path: Path) -> None:
    path = tmp_path / "plc.csv"
    path.write_text("t [s];status;force [N]\n" + "".join(f"0,{k};ok;1,{k}\n" for k in range(9)))
    series = read_series(path)
    assert (series.names, series.units) == (("force",), ("N",))
    assert series.values[:3, 0] == pytest.approx([1.0, 1.1, 1.2])
    assert series.notes == ("Column 2 (status) holds words, no numbers: ok.",)
    assert [(one.column, one.name, one.words) for one in series.words] == [(1, "status", {"ok": (0, 9)})]
    path.write_text("t,force\n0,1\n1,high\n2,3\n3,4\n")  # a word among numbers is no such column
    with pytest.raises(ConversionError, match="line 3, column 2: 'high' is not a number"):
        read_series(path)
