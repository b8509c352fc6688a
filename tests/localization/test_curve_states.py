"""Words beside a curve, and lengths of records: what no reference says or lasts is not normal, and said."""

from pathlib import Path

import numpy as np
import pytest

from converters.series import read_series, render_series
from converters.view import ViewBudget
from vlm_inspect.localization.curves.localizer import CurveLocalizer
from vlm_inspect.localization.curves.matching import ReferenceTraits
from vlm_inspect.localization.localizer import FittedLocalizer
from vlm_inspect.references import Part, ReferenceSet
from vlm_inspect.significant_digits import rounded

STATES = ["warm-up"] * 50 + ["run"] * 150


def part(path: Path, *, seed: int = 50, states: list[str] | None = STATES, serial: str = "", count: int = 200) -> Part:
    """A sine of two seconds and noise, with a column of states and one of a serial number."""
    noise = np.random.default_rng(seed).normal(scale=0.05, size=count)
    values = np.sin(np.arange(count) / 5 + seed) + noise
    columns = [("t [s]", [f"{k / 100:.2f}" for k in range(count)]), ("force [N]", [f"{one:.4f}" for one in values])]
    if states is not None:
        columns.append(("State", [states[min(k, len(states) - 1)] for k in range(count)]))
    if serial:
        columns.append(("part", [serial] * count))
    names, cells = zip(*columns, strict=True)
    rows = [",".join(names), *(",".join(row) for row in zip(*cells, strict=True))]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    curve = read_series(path)
    return Part(curve, tuple(render_series(curve, ViewBudget())))


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> FittedLocalizer:
    folder = tmp_path_factory.mktemp("references")
    parts = tuple(part(folder / f"{k}.csv", seed=k, serial=f"SN{k}") for k in range(4))
    return CurveLocalizer().fit(ReferenceSet(parts, tuple("abcd")))


def test_a_curve_that_says_what_references_say_is_compared(fitted: FittedLocalizer, tmp_path: Path) -> None:
    found = fitted.localize(part(tmp_path / "a.csv", states=["Warm-Up"] * 80 + ["RUN"] * 120, serial="SN77"))
    assert found.mismatch == ""
    assert found.log_scores is not None


@pytest.mark.parametrize(
    ("states", "serial", "said"),
    [
        (STATES[:120] + ["FAULT"] * 3 + STATES[123:], "SN9", "State says FAULT (3 samples, first at 1.2 s), as no"),
        ([*STATES[:199], "E-17"], "SN9", "State says E-17 (1 sample, first at 1.99 s), as no reference does"),
        (None, "SN9", "The curve lacks the words of State, which its references have"),
    ],
)
def test_a_word_of_no_reference_is_not_normal(
    fitted: FittedLocalizer, tmp_path: Path, states: list[str] | None, serial: str, said: str
) -> None:
    found = fitted.localize(part(tmp_path / "a.csv", states=states, serial=serial))
    assert said in found.mismatch
    assert found.log_scores is None
    assert all(one.tolerance is None for one in found.maps)


def test_words_that_references_lack_are_not_normal(tmp_path: Path) -> None:
    plain = [part(tmp_path / f"{k}.csv", seed=k, states=None) for k in range(3)]
    found = CurveLocalizer().fit(ReferenceSet(tuple(plain), tuple("abc"))).localize(part(tmp_path / "a.csv"))
    assert found.mismatch == "The references have no words in State: not compared."


def test_a_record_that_lasts_longer_than_any_reference_is_not_normal(fitted: FittedLocalizer, tmp_path: Path) -> None:
    assert fitted.localize(part(tmp_path / "a.csv", serial="SN9", count=240)).mismatch == ""
    found = fitted.localize(part(tmp_path / "b.csv", serial="SN9", count=400))
    assert "The curve lasts 3.99 s and no reference more than 1.99 s" in found.mismatch
    assert found.log_scores is None


def test_how_much_longer_depends_on_the_references(tmp_path: Path) -> None:
    curves = [part(tmp_path / f"{k}.csv", count=200 + 30 * k).sample for k in range(2)]
    longer = part(tmp_path / "a.csv", count=245).sample
    doubts = [
        ReferenceTraits.of(known, in_step=in_step).doubts(longer)  # type: ignore[arg-type]
        for known, in_step in ((curves, True), (curves[:1] * 2, True), (curves[:1] * 2, False))
    ]
    assert [len(one) for one in doubts] == [0, 1, 0]


def test_words_are_counted_cell_by_cell_too_and_many_tell_no_state(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = [f"{k},{'' if k == 3 else k % 7},{'' if k % 2 else 'on'},id{k}" for k in range(260)]
    path.write_text("n,force,state,id\n" + "\n".join(rows), encoding="utf-8")
    state, number = read_series(path).words
    assert (state.words, state.is_whole) == ({"on": (0, 130)}, True)
    assert (len(number.words), number.is_whole) == (200, False)
    assert (
        read_series(path).notes[-1]
        == "Column 4 (id) holds words, no numbers: id0, id1, id2, id3, id4, id5 and many more."
    )


@pytest.mark.parametrize(
    ("value", "digits", "said"), [(1000.0, 3, "1000"), (7200.4, 4, "7200"), (0.01234, 2, "0.012"), (3.0, 3, "3")]
)
def test_numbers_are_said_without_an_exponent(value: float, digits: int, said: str) -> None:
    assert rounded(value, digits) == said
