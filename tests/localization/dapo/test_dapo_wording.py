import pytest
from pydantic import ValidationError

from vlm_inspect.errors import PromptError
from vlm_inspect.localization.dapo.settings import DapoSettings
from vlm_inspect.localization.dapo.wording import Wording, default_wording, default_words, load_vocabulary


def test_sentences_are_the_published_ones() -> None:
    assert default_wording().sentences(("bent", "faulty imprint")) == [
        "flawless object",
        "bent anomaly object",
        "faulty imprint anomaly object",
    ]


@pytest.mark.parametrize(("name", "words", "products"), [("mvtec", 20, 15), ("visa", 18, 12)])
def test_collections_have_their_words_and_products(name: str, words: int, products: int) -> None:
    vocabulary = load_vocabulary(name)
    assert (len(vocabulary.words), len(vocabulary.products)) == (words, products)
    assert set(vocabulary.folders.values()) == set(vocabulary.words)
    # every word occurs on some product, and every product's words exist
    assert {vocabulary.words[i - 1] for p in vocabulary.products for i in vocabulary.subset(p)} == set(vocabulary.words)


def test_folders_of_mvtec_map_as_documented() -> None:
    vocabulary = load_vocabulary("mvtec")
    assert vocabulary.word_of("manipulated_front") == "bent"
    assert vocabulary.word_of("cable_swap") == "misaligned"
    assert vocabulary.id_of("bent") == 1
    assert vocabulary.id_of("wear") == 20
    assert vocabulary.id_of("bent") in vocabulary.subset("screw")


def test_unknown_collection_is_one_line() -> None:
    with pytest.raises(PromptError, match="no defect vocabulary 'mpdd'; there are mvtec, visa"):
        load_vocabulary("mpdd")


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
