"""The terminal report: complete, readable without colour, and deaf to what a model's text would do to it."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from vlm_inspect.inspection import DefectOutcome, Inspection, RuleOutcome
from vlm_inspect.report.terminal import print_inspection
from vlm_inspect.safe_text import plain, plain_line


def printed(inspection: Inspection, *, width: int = 80, colour: bool = False) -> str:
    stream = io.StringIO()
    system = "truecolor" if colour else None
    print_inspection(inspection, Console(file=stream, width=width, color_system=system, force_terminal=colour))
    return stream.getvalue()


def test_everything_that_matters_is_there_without_colour(case) -> None:
    text = printed(case.inspection)
    for words in (
        "NG", "P(anomalous) 0.97, uncalibrated", "FAIL", "18.2 mm < 19.7 mm", "cannot tell", "missing thread",
        "0.10, 2.00, 11.40 mm", "2.6 mm across", "model and heatmap", "no place given", "12 points", "model evidence",
        "screw-12.ply · in/lot 7/screw-12.ply · 2026-01-02 03:04:05 UTC",
    ):  # fmt: skip
        assert words in text, words
    assert "\x1b" not in text


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal_and_no_word_is_cut(case, width: int) -> None:
    text = printed(case.inspection, width=width)
    assert max(len(line) for line in text.splitlines()) <= width
    for word in ("thread-complete", "critical", "measured", "references") if width >= 80 else ():
        assert word in text


def test_a_review_says_why(case) -> None:
    review = case.inspection.model_copy(update={"outcome": "REVIEW", "review_reasons": ("model and heatmap disagree",)})
    text = printed(review)
    assert "REVIEW" in text
    assert "- model and heatmap disagree" in text


def test_calibrated_is_stated(case) -> None:
    text = printed(case.inspection.model_copy(update={"calibrated": True}))
    assert "uncalibrated" not in text
    assert "calibrated" in text


def test_a_clip_names_its_second_and_frame_and_a_photo_its_pixels(case) -> None:
    box = (0.0, 0.0, 1.0, 1.0)
    clip = DefectOutcome(type="toppled part", severity="major", view=0, box_xyxyn=box, score=0.8, source="heatmap",
                         time_s=3.12, frame=78)  # fmt: skip
    photo = clip.model_copy(update={"time_s": None, "frame": None, "source_xyxy": (10.2, 20.0, 30.0, 40.9), "page": 1})
    folder = clip.model_copy(update={"time_s": None, "frame": 34})  # of frames without a time
    late = clip.model_copy(update={"time_s": 5023.41, "frame": 75351})  # three digits would be 5.02e+03
    text = printed(case.inspection.model_copy(update={"defects": (clip, late, folder, photo)}))
    assert "at 3.12 s, frame 78" in text
    assert "at 5023.4 s, frame 75351" in text
    assert "; frame 34" in text
    assert "pixels 10, 20 to 30, 41 of page 2" in text


def test_markup_and_escapes_of_a_model_are_shown_as_text_or_dropped(case) -> None:
    nasty = "[bold]loud[/bold] [/] \x1b[2J\x1b]0;title\x07 :warning: \u202etxt \x9b31m [link=file:///etc/passwd]x"
    rule = RuleOutcome(id="length", status="pass", reason=nasty, source="model")
    changed = {
        "answer": nasty,
        "reasoning": f"why {nasty}",
        "rules": (rule,),
        "notes": (nasty,),
        "review_reasons": (nasty,),
    }
    text = printed(case.inspection.model_copy(update={**changed, "model": nasty}))
    assert "[bold]loud[/bold]" in text
    assert ":warning:" in text
    assert "[link=file:///etc/passwd]x" in text.replace("\n", " ")
    assert not set(text) & {"\x1b", "\x07", "\x9b", "\u202e"}
    assert "title" not in text


@given(st.text(st.characters(codec=None, exclude_categories=())))
def test_plain_text_holds_no_control_character_and_plain_stays_plain(text: str) -> None:
    clean = plain(text)
    assert all(c == "\n" or ord(c) >= 32 for c in clean)
    assert not any(0x7F <= ord(c) <= 0x9F or 0xD800 <= ord(c) <= 0xDFFF for c in clean)
    assert plain(clean) == clean
    assert "\n" not in plain_line(text)


def test_words_of_other_languages_and_emoji_survive() -> None:
    assert plain("Gewinde fehlt: 4 µm, ねじ, 🔩\nnext") == "Gewinde fehlt: 4 µm, ねじ, 🔩\nnext"
    assert plain("\x1b[31mred\x1b[0m and \x1b(Bplain") == "red and plain"


def test_json_is_the_contract(case) -> None:
    import json

    from vlm_inspect.report.json_report import render_json

    text = render_json(case.inspection)
    data = json.loads(text)
    keys = "outcome score answer reasoning review_reasons rules defects views model localizer usage provenance"
    assert set(keys.split()) <= set(data)
    assert data["rules"][0]["measured"] == {"value": 18.2, "unit": "mm"}
    assert data["defects"][0]["point_mm"] == [0.1, 2.0, 11.4]
    assert data["defects"][0]["time_s"] is None
    assert data["views"][0]["size_hw"] == [96, 128]
    assert Inspection.model_validate_json(text) == case.inspection
    assert text.endswith("}\n")


def test_a_long_rule_id_leaves_room_for_its_reason(case) -> None:
    rule = RuleOutcome(id="a" * 64, status="fail", reason="too short by far", source="model")
    text = printed(case.inspection.model_copy(update={"rules": (rule,)}))
    assert "too short by far" in text
