"""Choosing references by seed, and finding those that are scored as well."""

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.datasets import data_folders as folders
from vlm_inspect.datasets.item import Dataset, Item
from vlm_inspect.datasets.references import choose_references, content_sha256, find_duplicates, find_leaks
from vlm_inspect.datasets.registry import read_dataset
from vlm_inspect.errors import DatasetError

POOL = Dataset(
    "set", "folder", Path("set"), tuple(Item(f"a/{at}", "a", (Path(f"{at}.png"),), "train", False) for at in range(20))
)


@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 9))
@settings(deadline=None)
def test_fewer_shots_are_the_first_of_more(some: int, more: int, seed: int) -> None:
    some, more = sorted((some, more))
    assert choose_references(POOL, "a", some, seed) == choose_references(POOL, "a", more, seed)[:some]


def test_references_are_normal_training_items_and_follow_the_seed(tmp_path: Path) -> None:
    dataset = read_dataset(folders.mvtec(tmp_path))
    first = choose_references(dataset, "screw", 4, seed=1)
    assert {item.split for item in first} == {"train"}
    assert len(set(first)) == 4
    assert len({choose_references(POOL, "a", 4, seed) for seed in range(8)}) == 8


def test_more_references_than_there_are(tmp_path: Path) -> None:
    dataset = read_dataset(folders.mvtec(tmp_path))
    with pytest.raises(DatasetError, match="has 4 normal training items; 5 references"):
        choose_references(dataset, "screw", 5)
    with pytest.raises(DatasetError, match="no class 'nut'; it has bottle, screw"):
        choose_references(dataset, "nut", 1)


def test_leaks_are_found_by_content_not_name(tmp_path: Path) -> None:
    dataset = read_dataset(folders.mvtec(tmp_path))
    references = [item.path for item in choose_references(dataset, "screw", 2)]
    scored = [item.path for item in dataset.category("screw").test]
    assert find_leaks(references, scored) == ()
    shutil.copy(references[0], scored[0])
    leaks = find_leaks(references, scored)
    assert [(leak.reference, leak.scored) for leak in leaks] == [(references[0], scored[0])]
    assert find_duplicates([*references, *scored]) == (tuple(sorted((references[0], scored[0]))),)


def test_equal_sizes_are_no_leak(tmp_path: Path) -> None:
    one, other = tmp_path / "a.bin", tmp_path / "b.bin"
    one.write_bytes(b"abcd")
    other.write_bytes(b"abce")
    assert find_leaks([one], [other]) == ()
    assert content_sha256(one) != content_sha256(other)
    with pytest.raises(DatasetError, match="cannot be read"):
        find_leaks([one], [tmp_path / "gone.bin"])


def test_a_list_may_name_a_file_once() -> None:
    twice = (POOL.items[0], POOL.items[0])
    with pytest.raises(DatasetError, match="names an item twice"):
        Dataset("set", "folder", Path("set"), twice)
