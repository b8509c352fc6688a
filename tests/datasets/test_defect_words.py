"""The words of defect folders: one map for training and for scoring."""

from vlm_inspect.datasets.defect_words import plain_word, word_of_folder, words_of_types


def test_words_of_the_public_collections_for_their_own_classes_only() -> None:
    assert word_of_folder("bottle", "broken_large") == "broken"
    assert word_of_folder("metal nut", "flip") == "misaligned"
    assert word_of_folder("pcb4", "wrong place") == "wrong place"
    assert word_of_folder("my part", "broken_large") == "broken large"
    assert plain_word("Pin-Hole_2") == "pin hole 2"


def test_a_type_is_looked_for_by_the_word_that_is_said() -> None:
    said = ["Discoloration", "broken", "hole"]
    assert words_of_types("pill", ["color", "hole"], said) == {"color": "discoloration", "hole": "hole"}
    assert words_of_types("my part", ["color"], said) == {"color": "discoloration"}
    assert words_of_types("my part", ["color"], ["color", "discoloration"]) == {"color": "color"}
    # two folders that training gives one word are one type, unless they are told apart by their own names
    assert words_of_types("bottle", ["broken_large", "broken_small"], said) == dict.fromkeys(
        ["broken_large", "broken_small"], "broken"
    )
    assert words_of_types("bottle", ["broken_large"], ["broken large"]) == {"broken_large": "broken large"}
