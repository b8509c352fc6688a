import pytest
from pydantic import ValidationError

from vlm_inspect.localization.dapo.settings import DapoSettings
from vlm_inspect.localization.dapo.wording import Wording, default_wording, default_words


def test_sentences_are_the_published_ones() -> None:
    assert default_wording().sentences(("bent", "faulty imprint")) == [
        "flawless object",
        "bent anomaly object",
        "faulty imprint anomaly object",
    ]


def test_default_words_make_a_vocabulary() -> None:
    assert "scratch" in default_words()


def test_a_word_with_braces_stays_a_word() -> None:
    assert default_wording().sentences(("{object_word}",))[1] == "{object_word} anomaly object"


@pytest.mark.parametrize("pattern", ["no defect at all", "{defect} {defect}", "{defect} {other}", ""])
def test_patterns_must_name_the_defect_once(pattern: str) -> None:
    with pytest.raises(ValidationError):
        Wording(normal="fine", defect=pattern, normal_word="", abnormal_suffix="", object_word="")


def test_settings_are_the_published_ones_and_survive_json() -> None:
    settings = DapoSettings()
    assert (settings.prompts, settings.context, settings.layer_tokens) == (10, 5, 4)
    assert (settings.alpha, settings.temperature, settings.local_weight) == (0.01, 0.07, 4.0)
    assert DapoSettings.model_validate_json(settings.model_dump_json()) == settings
