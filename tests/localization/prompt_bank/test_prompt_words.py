"""The sentences about a class: how many, how they read, and what a wrong file is told."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlm_inspect.errors import LocalizerError, PromptError
from vlm_inspect.localization.prompt_bank import prompt_files
from vlm_inspect.localization.prompt_bank.class_names import kind_of, spoken_name
from vlm_inspect.localization.prompt_bank.ensembles import (
    PromptSet,
    WinClipWords,
    alfa_prompts,
    defect_prompts,
    winclip_prompts,
    without_repeats,
)
from vlm_inspect.localization.prompt_bank.language_bank import Questions
from vlm_inspect.localization.prompt_bank.prompt_files import fill, read_prompts, takes_an
from vlm_inspect.localization.prompt_bank.written_bank import Bank, WrittenBank


@pytest.mark.parametrize("name", ["screw", "carpet", "metal_nut", "M4 screw", "{odd} name"])
def test_the_grids_have_the_published_sizes_and_nothing_twice(name: str) -> None:
    winclip, alfa = winclip_prompts(name), alfa_prompts(name)
    assert (len(winclip.normal), len(winclip.abnormal)) == (154, 88)
    assert (len(alfa.normal), len(alfa.abnormal)) == (72, 72)
    for prompts in (winclip, alfa):
        assert len(set(prompts.all)) == len(prompts.all), "a sentence stands under both labels, or twice"
        assert all(spoken_name(name) in sentence for sentence in prompts.all)


def test_winclip_has_twenty_two_templates() -> None:
    words = read_prompts("winclip", WinClipWords)
    assert len({frame.replace("{article}", article) for frame in words.frames for article in words.articles}) == 22


def test_sentences_read_as_english() -> None:
    alfa, winclip = alfa_prompts("metal_nut"), winclip_prompts("pcb1")
    assert "An industrial image of an undamaged metal nut without defect" in alfa.normal
    assert "A close-up image of a defective metal nut" in alfa.abnormal
    assert "a photo of an unblemished printed circuit board." in winclip.normal
    assert "a cropped photo of the printed circuit board with damage." in winclip.abnormal


def test_surfaces_get_words_for_surfaces() -> None:
    assert any("textural" in sentence for sentence in alfa_prompts("leather").normal)
    assert not any("textural" in sentence for sentence in alfa_prompts("screw").normal)


@pytest.mark.parametrize(
    ("words", "an"),
    [
        *[("unblemished nut", True), ("hour glass", True), ("M4 screw", True), ("industrial", True)],
        *[("unit", False), ("uniform tile", False), ("USB plug", False), ("B4 screw", False), ("European", False)],
    ],
)
def test_the_article_follows_the_sound(words: str, an: bool) -> None:
    assert takes_an(words) is an


def test_names_are_said_as_people_say_them() -> None:
    assert spoken_name(" metal_nut ") == "metal nut"
    assert spoken_name("PCB1") == "printed circuit board"
    with pytest.raises(LocalizerError, match="no name"):
        spoken_name(" _ ")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *[("screw", "object"), ("tiled roof", "object"), ("magnetic_tile", "texture"), ("tile", "texture")],
        *[("gear scan", "scan"), ("walkway", "frame"), ("video of a belt", "frame")],
    ],
)
def test_the_name_tells_the_kind(name: str, kind: str) -> None:
    assert kind_of(name) == kind


def test_defect_words_of_the_rules_become_sentences_once() -> None:
    prompts = defect_prompts("screw", ("missing_thread", "Missing thread", " ", "bent"))
    assert prompts.normal == ()
    assert [sentence.rpartition("defect ")[2] for sentence in prompts.abnormal] == ["missing thread", "bent"]


def test_adding_sets_repeats_nothing() -> None:
    both = PromptSet(("One", "two"), ("x",)) + PromptSet(("TWO", "three"), ("x", "y"))
    assert both == PromptSet(("One", "two", "three"), ("x", "y"))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(alphabet="aAbB ", max_size=4)))
def test_without_repeats_keeps_the_first_of_each(sentences: list[str]) -> None:
    kept = without_repeats(sentences)
    assert len({one.casefold() for one in kept}) == len(kept)
    assert {one.casefold() for one in kept} == {one.casefold() for one in sentences}
    assert list(kept) == [
        s for i, s in enumerate(sentences) if s.casefold() not in {t.casefold() for t in sentences[:i]}
    ]


def test_the_written_bank_knows_its_classes_and_falls_back_to_the_kind() -> None:
    bank = WrittenBank()
    screw, plug, tile = bank.describe("M4 screw"), bank.describe("plug"), bank.describe("magnetic_tile")
    assert any("stripped thread" in sentence for sentence in screw.prompts.abnormal)
    assert screw.notes == ()
    assert "describes no plug" in plug.notes[0]
    assert "for objects" in plug.notes[0]
    assert any("blowhole" in sentence for sentence in tile.prompts.abnormal)
    assert "for surfaces" in bank.describe("plaster").notes[0]
    assert not set(screw.prompts.normal) & set(screw.prompts.abnormal)


def test_a_part_of_another_thing_does_not_take_its_entry() -> None:
    assert WrittenBank().describe("bottle cap").notes
    assert WrittenBank().describe("screwdriver").notes


def test_every_entry_of_the_written_bank_has_phrases_for_both_labels() -> None:
    bank = read_prompts("bank", Bank)
    wanted = {"screw", "bottle", "metal nut", "cable", "circuit board", "tile", "textile", "hazelnut", "transistor"}
    assert wanted <= set(bank.classes)
    assert set(bank.kinds) == {"object", "texture", "scan", "frame"}
    for phrases in (*bank.kinds.values(), *bank.classes.values()):
        assert len(phrases.normal) >= 8
        assert len(phrases.abnormal) >= 8
        assert len(set(phrases.normal + phrases.abnormal)) == len(phrases.normal + phrases.abnormal)


def test_every_question_names_the_part() -> None:
    words = read_prompts("questions", Questions)
    for label in ("normal", "abnormal"):
        assert len(words.questions[label]) == 3
        assert all("{object}" in question for question in words.questions[label])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("states: {}\narticles: [a]\nframes: []\nfrmaes: []\n", "winclip.yaml, line 4, frmaes"),
        ("states: {normal: ['{objekt}']}\narticles: [a]\nframes: []\n", "objekt"),
        ("states: {}\narticles: a\nframes: []\n", "line 2, articles"),
        ("states: [", "winclip.yaml, line"),
    ],
)
def test_a_wrong_file_is_named_with_line_and_key(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "zero_shot").mkdir()
    (tmp_path / "zero_shot" / "winclip.yaml").write_text(text)
    monkeypatch.setattr(prompt_files, "prompt_folder", lambda: tmp_path)
    prompt_files._read.cache_clear()
    try:
        with pytest.raises(PromptError, match=said):
            read_prompts("winclip", WinClipWords)
        with pytest.raises(PromptError, match="cannot be read"):
            read_prompts("bank", Bank)
    finally:
        prompt_files._read.cache_clear()


def test_a_sentence_without_its_value_is_an_error() -> None:
    with pytest.raises(PromptError, match="phrase"):
        fill("a {object} with {phrase}", object="screw")
