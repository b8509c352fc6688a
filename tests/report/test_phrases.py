"""Phrases as bars: as long as their cosines, with a line for a normal part; on the page and on the sheet."""

from dataclasses import replace

import numpy as np
import pytest

from tests.report.conftest import Case
from vlm_inspect.evidence import Evidence, Phrases
from vlm_inspect.report.html import render_html
from vlm_inspect.report.overlay import render_overlay
from vlm_inspect.report.phrases import bar_shares, draw_phrases, paint_phrases, told_map

PHRASES = Phrases((("a broken screw", 0.4), ("<b>a bent</b> screw", 0.2), ("a screw, unlike any", -0.1)), 0.3)


def with_phrases(case: Case, phrases: Phrases = PHRASES) -> Evidence:
    first, second = case.evidence.maps
    return replace(case.evidence, maps=(replace(first, phrases=Phrases((("dull", 0.1),), 0.0)),
                                        replace(second, phrases=phrases)))  # fmt: skip


def test_bars_are_as_long_as_their_cosines_and_a_cosine_below_0_has_none() -> None:
    assert bar_shares(PHRASES) == (pytest.approx([1.0, 0.5, 0.0]), pytest.approx(0.75))
    assert bar_shares(Phrases((("far", -0.2),), -0.1)) == ([0.0], 0.0)


def test_what_lies_beyond_a_normal_part_stands_out() -> None:
    def red(phrases: Phrases) -> int:
        pixels = np.asarray(paint_phrases(phrases, 800)).astype(int)
        return int(((pixels[..., 0] - pixels[..., 1]) > 100).sum())

    assert red(PHRASES) > 1000
    assert red(replace(PHRASES, normal=0.5)) == 0
    assert draw_phrases(PHRASES).count("phrase-beyond") == 3
    assert draw_phrases(Phrases((), 0.1)) == ""


def test_page_and_sheet_show_the_phrases_of_the_most_anomalous_view(case: Case) -> None:
    evidence = with_phrases(case)
    told = told_map(evidence)
    assert told is not None
    assert told.view == 1
    page = render_html(case.inspection, case.views, evidence)
    assert "a broken screw" in page
    assert "&lt;b&gt;a bent&lt;/b&gt; screw" in page
    assert "<b>a bent" not in page
    assert "dull" not in page
    assert "Phrases that speak" not in render_html(case.inspection, case.views, case.evidence)
    plain, drawn = (render_overlay(case.inspection, case.views, one) for one in (case.evidence, evidence))
    assert drawn.shape[0] > plain.shape[0] + 3 * 40
