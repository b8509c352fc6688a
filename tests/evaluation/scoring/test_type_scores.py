"""Kinds of defects told apart by the words of the inspection."""

from evaluation.runs.record import Failure, ItemRecord
from evaluation.scoring.scorers.defect_types import score_types
from vlm_inspect.datasets.defect_words import plain_word


def record(number: int, truth: str | None, said: dict[str, float], *, failed: bool = False) -> ItemRecord:
    return ItemRecord(
        id=str(number),
        category="a",
        label="anomalous" if truth else "normal",
        score=max(said.values(), default=0.1),
        defect_types=(truth,) if truth else (),
        defects=tuple(said),
        defect_scores=said,
        failure=Failure(kind="parse", message="no") if failed else None,
    )


def test_right_words_are_perfect_whatever_their_spelling() -> None:
    found = score_types(
        [
            record(0, None, {}),
            record(1, None, {}),
            record(2, "broken_large", {"Broken large": 0.9, "scratch": 0.2}),
            record(3, "scratch", {"scratch": 0.8}),
        ]
    )
    assert found["type_auroc"] == found["type_ap"] == found["type_f1"] == 1.0
    assert [one["name"] for one in found["types"]] == ["normal", "broken_large", "scratch"]
    assert plain_word(" Broken__large-Hole ") == "broken large hole"


def test_swapped_words_are_wrong() -> None:
    right = [record(0, None, {}), record(1, "dent", {"dent": 0.9}), record(2, "hole", {"hole": 0.9})]
    swapped = [record(0, None, {}), record(1, "dent", {"hole": 0.9}), record(2, "hole", {"dent": 0.9})]
    assert score_types(swapped)["type_f1"] < score_types(right)["type_f1"] == 1.0


def test_a_failed_item_is_wrong_for_every_type() -> None:
    whole = [record(0, None, {}), record(1, "dent", {"dent": 0.9}), record(2, "dent", {"dent": 0.8})]
    failed = [*whole[:2], record(2, "dent", {"dent": 0.8}, failed=True)]
    assert score_types(failed)["type_auroc"] < score_types(whole)["type_auroc"] == 1.0


def test_without_common_words_there_is_nothing_to_say() -> None:
    assert score_types([record(0, None, {}), record(1, "dent", {"something": 0.9})]) == {}


def test_the_word_that_training_gives_a_folder_is_right() -> None:
    coloured = [record(0, None, {}), record(1, "color", {"discoloration": 0.9}), record(2, "hole", {"hole": 0.8})]
    found = score_types(coloured)
    assert found["type_auroc"] == found["type_f1"] == 1.0
    assert [one["name"] for one in found["types"]] == ["normal", "color", "hole"]


def test_folders_of_one_word_are_one_type() -> None:
    sizes = [
        record(0, None, {}),
        record(1, "broken_large", {"broken": 0.9}),
        record(2, "broken_small", {"broken": 0.8}),
    ]
    assert [(one["name"], one["items"]) for one in score_types(sizes)["types"]] == [("normal", 1), ("broken", 2)]


def test_a_checkpoint_knows_the_words_of_its_own_folders() -> None:
    parts = [record(0, None, {}), record(1, "type_7", {"flake": 0.9})]
    assert score_types(parts) == {}
    assert score_types(parts, {"a/type_7": "flake"})["type_auroc"] == 1.0
