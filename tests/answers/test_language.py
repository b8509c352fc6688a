"""The files of words: every language says everything, with the same values; a wrong file is named."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from vlm_inspect.answers.language import TOPICS, Language, load_languages, read_languages
from vlm_inspect.errors import PromptError
from vlm_inspect.localization.clip_events.appearance import AppearanceChannel
from vlm_inspect.localization.clip_events.camera_words import moved_words
from vlm_inspect.localization.clip_events.motion import MotionChannel
from vlm_inspect.localization.clip_events.speed import SpeedChannel
from vlm_inspect.measurement.registry import MEASURES
from vlm_inspect.prompt_files import prompt_folder

LANGUAGES = load_languages()
ENGLISH = LANGUAGES["English"]


def _values(sentence: str) -> set[str]:
    return set(re.findall(r"\{(\w+)", sentence))


def test_the_seven_languages_are_there_english_first() -> None:
    assert list(LANGUAGES) == ["English", "German", "French", "Spanish", "Italian", "Chinese", "Japanese"]


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=list(LANGUAGES))
def test_a_language_says_everything_with_the_same_values(language: Language) -> None:
    assert set(language.answers) == set(ENGLISH.answers)
    for name, sentence in language.answers.items():
        assert _values(sentence) == _values(ENGLISH.answers[name]), name
    assert set(language.questions) == set(TOPICS)
    assert all(language.questions.values())
    assert set(language.measures) <= set(MEASURES)
    for words in language.numbered:
        assert "{n}" in words


@pytest.mark.parametrize("name", [name for name in LANGUAGES if name != "English"])
def test_another_language_has_words_for_what_the_record_says(name: str) -> None:
    language = LANGUAGES[name]
    german = LANGUAGES["German"].record
    assert set(language.record) == set(german)
    for english, own in language.record.items():
        assert _values(english) == _values(own), english


def test_one_and_several_are_told_apart() -> None:
    english, german, french = (LANGUAGES[name] for name in ("English", "German", "French"))
    assert english.say("compared", count=1, localizer="memory").startswith(
        "It was compared with 1 known-normal reference,"
    )
    assert "4 known-normal references," in english.say("compared", count=4, localizer="memory")
    assert german.say("count", count=0, all=1, failed=1).startswith("0 Stellen überschreiten ihre Toleranz")
    assert german.say("count", count=0, all=1, failed=1).endswith("1 Regel ist verletzt.")
    assert french.say("count", count=0, all=0, failed=2).startswith("0 endroit dépasse sa tolérance")
    assert "Es gleicht seiner einen Referenz:" in german.say("rests_likeness", count=1)
    with pytest.raises(PromptError, match="missing or unknown name"):
        english.say("compared", localizer="memory")


def test_words_of_the_record_are_put_whole_by_pieces_or_with_their_values() -> None:
    german = LANGUAGES["German"]
    assert german.put("depth, left") == "Tiefe, links"
    assert german.put("image, 320 x 320 px") == "Bild, 320 x 320 px"
    assert german.put("the score 0.40 lies between 0.20 (OK) and 0.60 (NG)") == (
        "der Wert 0.40 liegt zwischen 0.20 (OK) und 0.60 (NG)"
    )
    assert german.put("worn edge") == "worn edge"


def test_a_wrong_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="no words for English"):
        read_languages(tmp_path)
    words = yaml.safe_load((prompt_folder() / "dialogue" / "en.yaml").read_text(encoding="utf-8"))
    (tmp_path / "en.yaml").write_text(yaml.safe_dump({**words, "jokes": {}}), encoding="utf-8")
    with pytest.raises(PromptError, match=r"en\.yaml: jokes"):
        read_languages(tmp_path)
    words["answers"]["verdict"] = "{outcom}"
    (tmp_path / "en.yaml").write_text(yaml.safe_dump(words), encoding="utf-8")
    with pytest.raises(PromptError, match=r"verdict.*outcom"):
        read_languages(tmp_path)["English"].say("verdict", outcome="OK", score="0.1")
    del words["questions"]["ship"]
    (tmp_path / "en.yaml").write_text(yaml.safe_dump(words), encoding="utf-8")
    with pytest.raises(PromptError, match="no wordings for ship"):
        read_languages(tmp_path)


@pytest.mark.parametrize("name", [name for name in LANGUAGES if name != "English"])
def test_what_is_unusual_in_a_clip_is_said_in_another_language(name: str) -> None:
    language = LANGUAGES[name]
    channels = (MotionChannel, SpeedChannel, AppearanceChannel)
    lasting = (
        "it stays the same there for longer than it normally does",
        "it changes there sooner than it normally does",
        "a state lasts there longer than it normally does",  # in cases of earlier versions, likewise
        "a state lasts there less long than it normally does",
    )
    for said in (
        *(one.said for one in channels),
        *lasting,
        "1.00 s to 2.50 s, most at 2.00 s",
        "frames 3 to 9, most at 4",
    ):
        assert language.put(said) != said
    moved = moved_words(np.arange(40) > 20, np.arange(40) / 10)
    assert language.put(moved) != moved
    assert "2.10 s" in language.put(moved)


def test_numbers_are_written_as_the_language_writes_them() -> None:
    said = ["Punkt (21.6, -6.1, 25) mm, 0.5 mm über 19.7.", "Siehe teil 1.5.png, v0.1.0 und a.b."]
    german = "Punkt (21,6; -6,1; 25) mm, 0,5 mm über 19,7. Siehe teil 1.5.png, v0.1.0 und a.b."
    assert LANGUAGES["German"].join(said) == german
    assert {LANGUAGES[name].decimal for name in ("French", "Spanish", "Italian")} == {","}
    assert LANGUAGES["English"].join(said) == " ".join(said)
