"""Curves as instruments and spreadsheets write them: preambles, units, clocks, and one decimal sign a table."""

from pathlib import Path

import numpy as np
import pytest

from converters.decimal_signs import shown_sign, with_point
from converters.errors import ConversionError
from converters.registry import read
from converters.sample import Series


def curve(path: Path, text: str | bytes) -> Series:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    found = read(path, as_kind="series")
    assert isinstance(found, Series)
    return found


KEYSIGHT = "x-axis,1,2\nsecond,Volt,Volt\n" + "".join(f"{k / 1e3:+E},{k:+E},{-k:+E}\n" for k in range(-2, 9))
TEKTRONIX_OLD = "".join(
    f"{key},{value},{unit}{k / 100:.6f}, {k:.4f},\n"
    for k, (key, value, unit) in enumerate(
        [
            ("Record Length", "2.5e+03", "Points,"),
            ("Sample Interval", "1.0e-02", "s,"),
            ("Trigger Point", "0", "Samples,"),
            ("Source", "CH1", ","),
            ("Vertical Units", "V", ","),
            ("Vertical Scale", "5.0", ","),
            ("Horizontal Units", "s", ","),
            *[("", "", ",")] * 5,
        ]
    )
)
TEKTRONIX_NEW = (
    "Model,MSO2024\nFirmware Version,1.52\n,\nPoint Format,Y,\nHorizontal Units,S,\nSample Interval,0.01,\n"
    "Record Length,100000,\nProbe Attenuation,10,10\nVertical Units,V,A\nLabel,,\nTIME,CH1,CH2\n"
    + "".join(f"{k / 100},{k},{2 * k}\n" for k in range(12))
)
RIGOL = "X,CH1,CH2,Start,Increment,\nSequence,Volt,Volt,-5.0e-02,1.0e-02\n" + "".join(
    f"{k},{k},{2 * k},,\n" for k in range(12)
)
SIGLENT = (
    "Record Length,Analog:7000\nSample Interval,Analog:0.0100000\nVertical Units,V\nHorizontal Units,S\n"
    "Model Number,SDS1104X-E\nSource,CH1\nSecond,Volt\n" + "".join(f"{k / 100:.6f},{k}\n" for k in range(12))
)
LABVIEW = (
    "LabVIEW Measurement\t\nWriter_Version\t2\nSeparator\tTab\nDecimal_Separator\t,\nDate\t2024/03/01\n"
    "***End_of_Header***\t\n\t\nChannels\t2\t\t\nSamples\t100\t100\t\nY_Unit_Label\tVolts\tVolts\t\nX0\t0\t0\t\n"
    "Delta_X\t0,010000\t0,010000\t\n***End_of_Header***\t\t\t\nX_Value\tFeed\tReturn\tComment\n"
    + "".join(f"{k / 100}\t{k},5\t{2 * k},5\t\n".replace(".", ",") for k in range(12))
)
PICO = "Time,Channel A\n(ms),(mV)\n\n" + "".join(f"{10 * k}.0,{k}\n" for k in range(12))


@pytest.mark.parametrize(
    ("text", "names", "units", "start", "step"),
    [
        (KEYSIGHT, ("1", "2"), ("V", "V"), -0.002, 0.001),
        (TEKTRONIX_OLD, ("CH1",), ("V",), 0.0, 0.01),
        (TEKTRONIX_NEW, ("CH1", "CH2"), ("V", "A"), 0.0, 0.01),
        (RIGOL, ("CH1", "CH2"), ("V", "V"), -0.05, 0.01),
        (SIGLENT, ("CH1",), ("V",), 0.0, 0.01),
        (LABVIEW, ("Feed", "Return"), ("V", "V"), 0.0, 0.01),
        (PICO, ("Channel A",), ("mV",), 0.0, 0.01),
        ("# fs: 100 Hz\nForce [N]\n" + "1.5\n2.5\n" * 6, ("Force",), ("N",), 0.0, 0.01),
    ],
    ids=["Keysight", "Tektronix TDS", "Tektronix MSO", "Rigol", "Siglent", "LabVIEW", "Pico", "rate in a comment"],
)
def test_channels_units_and_clock(tmp_path: Path, text: str, names: tuple, units: tuple, start: float, step: float):
    found = curve(tmp_path / "a.csv", text)
    assert (found.names, found.units) == (names, units)
    assert not found.time_is_index
    np.testing.assert_allclose(found.time_s, start + step * np.arange(len(found.time_s)), atol=1e-12)


def test_no_name_is_dropped_for_a_second_row_of_words(tmp_path: Path) -> None:
    found = curve(tmp_path / "a.csv", "Left,,Right,\nx,y,x,y\n" + "1,2,3,4\n2,1,4,3\n")
    assert found.names == ("Left x", "Left y", "Right x", "Right y")
    found = curve(tmp_path / "b.csv", "Zeit;Kraft\nSekunden;kN\nroh;gefiltert\n0,5;1\n0,7;2\n")
    assert (found.names, found.units) == (("Kraft",), ("kN",))


STEPS = [
    ("2024-03-01T12:00:00.0000000{:02d}Z", 1e-9),
    ("17092944000000000{:02d}", 1e-9),
    ("1709294400.0000000{:02d}", 1e-9),
    ("2024-03-01 12:00:00,0000{:02d}000", 1e-6),
    ("2024/03/01 12:00:{:02d}", 1.0),
]


@pytest.mark.parametrize(("moment", "step"), STEPS)
def test_steps_finer_than_a_float_are_kept(tmp_path: Path, moment: str, step: float) -> None:
    rows = "".join(f"{moment.format(k)};{k}\n" for k in range(12))
    found = curve(tmp_path / "a.csv", "timestamp;CH1\n" + rows)
    np.testing.assert_allclose(found.time_s, step * np.arange(12), rtol=1e-9)


@pytest.mark.parametrize("padding", [b"\x1a", b"\0" * 1000, b"\x1a" + b"\0" * 127, b"\r\n\r\n\x1a"])
def test_what_follows_the_last_row_is_no_row(tmp_path: Path, padding: bytes) -> None:
    found = curve(tmp_path / "a.csv", b"t [s];F [N]\r\n0,5;1\r\n0,7;2\r\n" + padding)
    assert found.values.tolist() == [[1.0], [2.0]]


@pytest.mark.parametrize(
    ("rows", "values"),
    [
        (["0,5;900", "0,7;1.200"], [900, 1200]),
        (["0,5;1.005,4", "0,7;998,25"], [1005.4, 998.25]),
        (["0.5;1,005.4", "0.7;998.25"], [1005.4, 998.25]),
        (["0.5;1,200", "0.7;900"], [1200, 900]),
        (["0,5;1.234.567", "0,7;1"], [1234567, 1]),
        (["0.5;1'200.5", "0.7;1"], [1200.5, 1]),
        (["0,5;1 200,5", "0,7;1"], [1200.5, 1]),
        (["0,5;1\u202f200,5", "0,7;1"], [1200.5, 1]),
        (["1;998.125", "2;999.250"], [998.125, 999.25]),  # fractions of a fixed length in every row
        (['0.5,"1,200"', "0.7,900"], [1200, 900]),
    ],
)
def test_one_decimal_sign_a_table(tmp_path: Path, rows: list[str], values: list[float]) -> None:
    head = rows[0].replace(rows[0].split("5", 1)[0], "", 1) and ("t [s],F [N]" if '"' in rows[0] else "t [s];F [N]")
    assert curve(tmp_path / "a.csv", "\n".join([head, *rows])).values[:, 0].tolist() == values


@pytest.mark.parametrize("sign", [".", ","])
def test_a_number_that_could_be_two_is_refused(tmp_path: Path, sign: str) -> None:
    with pytest.raises(ConversionError, match=r"column 2: numbers such as 1\.200 .* fractions or thousands"):
        curve(tmp_path / "a.csv", f"t;F\n0;900\n1;1{sign}200\n2;5\n")
    # ... also where the doubtful one comes long after the layout was told
    rows = "".join(f"{k};900\n" for k in range(3000))
    with pytest.raises(ConversionError, match="fractions or thousands"):
        curve(tmp_path / "b.csv", f"t;F\n{rows}3000;1{sign}200\n")


def test_a_second_decimal_sign_is_refused_at_its_line(tmp_path: Path) -> None:
    rows = "".join(f"{k},5;900,5\n" for k in range(3000))
    with pytest.raises(ConversionError, match=r"line 3002, column 2: '901\.5' in a table whose decimal sign is ','"):
        curve(tmp_path / "a.csv", f"t;F\n{rows}3000,5;901.5\n")


@pytest.mark.parametrize("cell", ["-nan", "1.#QNAN", "-1,#IND", "NaN(ind)", "#N/A", "#DIV/0!", "n.a."])
def test_a_missing_value_in_any_spelling(tmp_path: Path, cell: str) -> None:
    found = curve(tmp_path / "a.csv", f"t [s];F [N]\n0,5;1,5\n0,7;{cell}\n0,9;2,5\n")
    np.testing.assert_array_equal(found.values[:, 0], [1.5, np.nan, 2.5])


@pytest.mark.parametrize(
    ("cell", "sign"),
    [("12", ""), ("1.5", "."), ("0,123", ","), ("1.200", "?"), ("1.234.567", ","), ("1.5e3", "."), ("12345,678", ",")],
)
def test_what_a_cell_shows_of_its_decimal_sign(cell: str, sign: str) -> None:
    assert shown_sign(cell) == sign


def test_a_point_among_decimal_commas_is_no_number() -> None:
    with pytest.raises(ValueError, match="could not convert"):
        float(with_point("1.5", ","))


def test_utf16_without_a_mark(tmp_path: Path) -> None:
    assert curve(tmp_path / "a.csv", "t;F\n0,5;1\n0,7;2\n".encode("utf-16-le")).names == ("F",)
