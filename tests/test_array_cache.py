"""The cache: same arrays back, broken entries computed again, a bound on its size."""

import os
from pathlib import Path

import numpy as np
import pytest

from vlm_inspect.array_cache import ENVIRONMENT, ArrayCache, Arrays, content_of, key_of


def arrays(seed: int = 0) -> Arrays:
    return {"a": np.random.default_rng(seed).normal(size=(5, 3)), "b": np.array([seed])}


def never() -> Arrays:
    raise AssertionError("computed although it was stored")


def test_stored_arrays_come_back(tmp_path: Path) -> None:
    made = arrays()
    assert ArrayCache("x", tmp_path).get("k", lambda: made) is made
    again = ArrayCache("x", tmp_path).get("k", never)
    assert set(again) == {"a", "b"}
    np.testing.assert_array_equal(again["a"], made["a"])
    assert not list(tmp_path.glob("*.tmp"))


def test_the_second_look_up_needs_no_disk(tmp_path: Path) -> None:
    cache = ArrayCache("x", tmp_path)
    made = cache.get("k", arrays)
    for file in tmp_path.iterdir():
        file.unlink()
    assert cache.get("k", never) is made


@pytest.mark.parametrize("damage", [b"", b"not a zip", b"PK\x03\x04 cut"])
def test_a_broken_entry_is_computed_again(tmp_path: Path, damage: bytes) -> None:
    ArrayCache("x", tmp_path).get("k", arrays)
    (entry,) = tmp_path.glob("*.npz")
    entry.write_bytes(damage)
    np.testing.assert_array_equal(ArrayCache("x", tmp_path).get("k", arrays)["a"], arrays()["a"])
    ArrayCache("x", tmp_path).get("k", never)


def test_a_pickle_is_not_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "k.npz", a=np.array([{"evil": 1}], dtype=object))
    assert ArrayCache("x", tmp_path).get("k", arrays)["b"][0] == 0


def test_the_entries_used_longest_ago_go_first(tmp_path: Path) -> None:
    size = 8000
    cache = ArrayCache("x", tmp_path, most_bytes=3 * size)
    for i in range(6):
        cache.get(f"k{i}", lambda: {"a": np.zeros(size // 8 - 100)})
        os.utime(tmp_path / f"k{i}.npz", (i, i))
    left = sorted(path.stem for path in tmp_path.glob("*.npz"))
    assert "k5" in left
    assert "k0" not in left
    assert sum(path.stat().st_size for path in tmp_path.glob("*.npz")) <= 3 * size


def test_an_unusable_folder_costs_time_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert ArrayCache("x", tmp_path / "file" / "below").get("k", arrays)["b"][0] == 0


def test_the_environment_names_the_folder_or_switches_it_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path))
    ArrayCache("scans").get("k", arrays)
    assert (tmp_path / "scans" / "k.npz").is_file()
    monkeypatch.setenv(ENVIRONMENT, "off")
    ArrayCache("scans").get("other", arrays)
    assert len(list(tmp_path.rglob("*.npz"))) == 1


def test_keys_tell_content_apart() -> None:
    a = np.arange(6.0)
    assert content_of(a) == content_of(a.copy())
    assert len({content_of(a), content_of(a.reshape(2, 3)), content_of(a.astype(np.float32)), content_of(a + 1)}) == 4
    assert key_of(1, "a", ["b"]) != key_of(1, "ab", [])
