import pytest

from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.dapo.vocabulary import check_words


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
        check_words(words)
    assert "\n" not in str(caught.value)
