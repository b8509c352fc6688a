import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.dapo.vocabulary import MOST_WORDS, DefectVocabulary, check_words


def test_blanks_are_folded_and_order_is_kept() -> None:
    assert check_words(["  faulty   imprint ", "crack"]) == ("faulty imprint", "crack")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["crack", "Crack"], "'Crack' stands twice, as number 1 and 2"),
        (["faulty imprint", "hole", " faulty  imprint"], "as number 1 and 3"),
        (["crack", "  "], "defect word 2 is empty"),
        ([], "at least one word"),
        ([f"word {i}" for i in range(500)], "500 words; at most 200"),
    ],
)
def test_wrong_vocabularies_are_one_line(words: list[str], says: str) -> None:
    with pytest.raises(LocalizerError, match=says) as caught:
        DefectVocabulary.of_words(words)
    assert "\n" not in str(caught.value)


@settings(deadline=None)
@given(st.sets(st.from_regex(r"[a-z]{1,8}", fullmatch=True), min_size=1, max_size=MOST_WORDS))
def test_ids_count_from_one_and_lead_back_to_the_word(words: set[str]) -> None:
    vocabulary = DefectVocabulary.of_words(sorted(words))
    assert [vocabulary.words[vocabulary.id_of(word) - 1] for word in vocabulary.words] == sorted(words)


def test_folders_map_to_words_and_unknown_ones_to_their_own_name() -> None:
    vocabulary = DefectVocabulary(("bent", "gluing"), {"bent_lead": "bent"}, {"grid": ("gluing", "bent")})
    assert vocabulary.word_of("bent_lead") == "bent"
    assert vocabulary.word_of("odd_new_thing") == "odd new thing"
    assert vocabulary.subset("grid") == (2, 1)


def test_unknown_words_and_products_are_named() -> None:
    vocabulary = DefectVocabulary(("bent",), {}, {"grid": ("bent",)})
    with pytest.raises(LocalizerError, match="'rust' is not in the vocabulary: bent"):
        vocabulary.id_of("rust")
    with pytest.raises(LocalizerError, match="no list of defects for product 'screw'; there are lists for: grid"):
        vocabulary.subset("screw")
