"""Text tables: every way that instruments and spreadsheets write numbers, and the line of what is wrong."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters import table
from converters.errors import ConversionError
from converters.table import read_table
from converters.table_layout import split_unit

NAN = math.nan


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "table.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "values", "names", "units"),
    [
        pytest.param("a,b\n1,2\n3,4\n", [[1, 2], [3, 4]], ("a", "b"), ("", ""), id="comma"),
        pytest.param(
            "Zeit [s];Wert (g)\n0,5;1,5\n1;2\n", [[0.5, 1.5], [1, 2]], ("Zeit", "Wert"), ("s", "g"), id="semicolon"
        ),
        pytest.param("t/ms\ta\n1\t2e3\n", [[1, 2000]], ("t", "a"), ("ms", ""), id="tab"),
        pytest.param("1,5\t2,5\n2,5\t-3\n", [[1.5, 2.5], [2.5, -3]], ("", ""), ("", ""), id="tab, decimal comma"),
        pytest.param("time [s] acc\n  1   2\n 3 4\n", [[1, 2], [3, 4]], ("time", "acc"), ("s", ""), id="blanks"),
        pytest.param("1,5 2,5\n3,0 4,0\n", [[1.5, 2.5], [3, 4]], ("", ""), ("", ""), id="blanks, decimal comma"),
        pytest.param(
            "1, 2, 3\n4, 5, 6", [[1, 2, 3], [4, 5, 6]], ("",) * 3, ("",) * 3, id="comma and blank, no last newline"
        ),
        pytest.param(
            "time,acc\n[s],[g]\n0,1\n", [[0, 1]], ("time", "acc"), ("s", "g"), id="units in a row of their own"
        ),
        pytest.param("Log;7\nRate;10\nt;v\ns;mm\n0;1\n", [[0, 1]], ("t", "v"), ("s", "mm"), id="preamble"),
        pytest.param("Model;X\nt;v\n0;1\n", [[0, 1]], ("t", "v"), ("", ""), id="a preamble is no row of names"),
        pytest.param("sep=;\nt;v\n0;1\n", [[0, 1]], ("t", "v"), ("", ""), id="Excel's separator line"),
        pytest.param(
            "# by hand\n# t,v\n0,1\n# pause\n1,2 # ok\n", [[0, 1], [1, 2]], ("t", "v"), ("", ""), id="comments"
        ),
        pytest.param("//X Y Z\n1 2 3\n", [[1, 2, 3]], ("X", "Y", "Z"), ("",) * 3, id="CloudCompare"),
        pytest.param("2\n1 2 3\n4 5 6\n", [[1, 2, 3], [4, 5, 6]], ("",) * 3, ("",) * 3, id="a count of points first"),
        pytest.param(b"\xef\xbb\xbft,v\r\n0,1\r\n", [[0, 1]], ("t", "v"), ("", ""), id="BOM and CRLF"),
        pytest.param("t,v\r0,1\r1,2\r", [[0, 1], [1, 2]], ("t", "v"), ("", ""), id="CR"),
        pytest.param("T [°C],v\n1,2\n".encode("latin-1"), [[1, 2]], ("T", "v"), ("°C", ""), id="Latin-1"),
        pytest.param("t,v\n1,2\n".encode("utf-16"), [[1, 2]], ("t", "v"), ("", ""), id="UTF-16"),
        pytest.param('"t","v, raw"\n"1","2.5"\n', [[1, 2.5]], ("t", "v, raw"), ("", ""), id="quotes"),
        pytest.param("a,b,\n1,2,\n3,4,\n", [[1, 2], [3, 4]], ("a", "b"), ("", ""), id="delimiter at the end"),
        pytest.param(
            "a,b\n1,2,\n3,4,\n", [[1, 2], [3, 4]], ("a", "b"), ("", ""), id="delimiter at the end of numbers only"
        ),
        pytest.param("t,v\n0,\n1,NaN\n,3\n", [[0, NAN], [1, NAN], [NAN, 3]], ("t", "v"), ("", ""), id="empty cells"),
        pytest.param("v\n1\n\n2\n", [[1], [2]], ("v",), ("",), id="one column, a blank line"),
        pytest.param("Wert\n1,5\n2,5\n", [[1.5], [2.5]], ("Wert",), ("",), id="one column, decimal comma"),
    ],
)
def test_reads_numbers_names_and_units(tmp_path, text, values, names, units):
    found = read_table(write(tmp_path, text))
    np.testing.assert_array_equal(found.values, np.array(values, dtype=float))
    assert (found.names, found.units) == (names, units)
    assert found.has_header == any(names)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("a,b\nhello,world\n", "line 2, column 1: 'hello' is not a number", id="words"),
        pytest.param("once upon a time\n", "line 1, column 1: 'once' is not a number", id="prose"),
        pytest.param("a,b\n1,2\n3,x\n", "line 3, column 2: 'x' is not a number", id="a word among numbers"),
        pytest.param("1,abc\n2,3\n", "line 1, column 2: 'abc' is not a number", id="a word in the first row"),
        pytest.param("id,label\n1,ok\n2,ok\n", "line 2, column 2: 'ok' is not a number", id="a column of words"),
        pytest.param("1,2,3\n4,5\n6,7,8\n", "line 2: 2 cells where the table has 3 columns", id="ragged"),
        pytest.param(
            "# c\n\na,b\n1,2\n\n3,4,5\n6,7\n", "line 6: 3 cells where the table has 2 columns", id="ragged below"
        ),
        pytest.param("a,b\n1,2,3\n4,5,6\n", "line 1: 2 names for 3 columns", id="names missing"),
        pytest.param("1,2\n1_000,3\n", "line 2, column 1: '1_000' is not a number", id="Python's underscores"),
        pytest.param("t,v\n2024-01-01,1\nx,2\n", "line 3, column 1: 'x' is not a timestamp", id="no timestamp"),
        pytest.param("a,b\n-,-\n", "line 2: no number in the row", id="nothing but gaps"),
        pytest.param("", "the file is empty", id="empty"),
        pytest.param("  \n\n", "the file is empty", id="blank"),
        pytest.param("# only\n# comments\n", "only comments", id="comments only"),
        pytest.param(bytes(range(256)), "binary data", id="binary"),
        pytest.param(
            'a,b\n1,"' + "x" * 200_000 + '"\n', "line 2, column 2|field larger than field limit", id="a huge cell"
        ),
    ],
)
def test_refuses_in_one_line_that_names_the_place(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(ConversionError, match=message) as caught:
        read_table(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 120


def test_refuses_missing_folder_and_too_large(tmp_path, monkeypatch):
    with pytest.raises(ConversionError, match="No such file"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(ConversionError, match="directory"):
        read_table(tmp_path)
    path = write(tmp_path, "1,2\n" * 100)
    monkeypatch.setattr(table, "MAX_BYTES", 100)
    with pytest.raises(ConversionError, match="split or thin it"):
        read_table(path)
    assert read_table(path, max_rows=3).values.shape == (3, 2)


def test_timestamps_become_seconds_from_the_first(tmp_path):
    found = read_table(write(tmp_path, "when;v\n2024-01-01T23:59:59.5Z;1\n2024-01-02 01:00:01+01:00;2\n;3\n"))
    np.testing.assert_array_equal(found.values[:, 0], [0.0, 1.5, NAN])
    assert found.timestamps == (0,)
    assert found.units == ("s", "")


@pytest.mark.parametrize("body", ["1,2\n", "1,\n"], ids=["fast", "cell by cell"])
def test_max_rows_leaves_the_rest_unread(tmp_path, body):
    found = read_table(write(tmp_path, "a,b\n3,4\n" + body * 4000 + "not,read\n"), max_rows=5)
    assert found.values.shape == (5, 2)
    assert found.names == ("a", "b")


def test_max_rows_may_exceed_the_file(tmp_path):
    assert read_table(write(tmp_path, "1;2\n\n# pause\n3,5;4\n\n"), max_rows=50).values.tolist() == [[1, 2], [3.5, 4]]


def test_a_file_without_line_ends_is_refused(tmp_path):
    path = write(tmp_path, "1 " * 3_000_000)
    for max_rows in (None, 10):
        with pytest.raises(ConversionError, match=r"line 1: \d+ characters; a table has one row a line"):
            read_table(path, max_rows=max_rows)


@pytest.mark.parametrize(
    ("header", "name", "unit"),
    [
        ("accel [g]", "accel", "g"),
        ("time (s)", "time", "s"),
        ("t/ms", "t", "ms"),
        ("v / (m/s)", "v", "m/s"),
        ("F/kN", "F", "kN"),
        ("in/out", "in/out", ""),
        ("[raw]", "[raw]", ""),
        ("plain", "plain", ""),
        ("load []", "load", ""),
    ],
)
def test_split_unit(header, name, unit):
    assert split_unit(header) == (name, unit)


NUMBER = st.floats(-1e9, 1e9).map(lambda x: round(x, 6))


def rows_of(middle: int) -> st.SearchStrategy[list[list[float]]]:
    """Rows with a number at both ends and, between them, so many cells that may be empty."""
    inner = st.lists(NUMBER | st.just(NAN), min_size=middle, max_size=middle)
    row = st.tuples(NUMBER, inner, NUMBER).map(lambda parts: [parts[0], *parts[1], parts[2]])
    return st.lists(row, min_size=2, max_size=8)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(0, 2).flatmap(rows_of),
    style=st.sampled_from([(",", "."), (";", "."), (";", ","), ("\t", "."), ("\t", ",")]),
    header=st.booleans(),
)
def test_what_is_written_is_read_back(tmp_path_factory, rows, style, header):
    delimiter, decimal = style
    names = [f"c{k} [mm]" for k in range(len(rows[0]))]
    lines = [delimiter.join(names)] if header else []
    for row in rows:
        cells = ["" if math.isnan(x) else repr(x).replace(".", decimal) for x in row]
        lines.append(delimiter.join(cells))
    found = read_table(write(tmp_path_factory.getbasetemp(), "\n".join(lines) + "\n"))
    np.testing.assert_array_equal(found.values, rows)
    assert found.has_header is header
    assert found.units == (("mm" if header else ""),) * len(rows[0])
