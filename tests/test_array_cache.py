"""The cache: the same back, damage computed again, bounded, private, shared by processes, nothing run on reading."""

import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save

from tests.waiting import LONGEST_S
from vlm_inspect import array_cache
from vlm_inspect.array_cache import (
    ENVIRONMENT,
    PAID,
    SUFFIX,
    ArrayCache,
    Arrays,
    cache_folder,
    content_of,
    key_of,
    user_cache,
)

Array = NDArray[np.float64]


def array(seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(5, 3))


def never() -> Array:
    raise AssertionError("computed although it was stored")


def kept(home: Path, seed: int = 0, key: str = "k") -> Array:
    """Ask a new cache, which has nothing in this process."""
    return ArrayCache(home).array("x", key, (None, 3), lambda: array(seed))


def test_what_was_stored_comes_back(tmp_path: Path) -> None:
    made = array()
    assert ArrayCache(tmp_path).array("x", "k", (5, 3), lambda: made) is made
    again = ArrayCache(tmp_path).array("x", "k", (5, 3), never)
    np.testing.assert_array_equal(again, made)
    assert again.dtype == made.dtype
    again[0, 0] = 1.0  # torch does not like arrays that cannot be written to
    assert [path.suffix for path in (tmp_path / "x").iterdir()] == [SUFFIX]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64", "uint8", "bool"])
def test_types_and_strides_are_kept(tmp_path: Path, dtype: str) -> None:
    made = {"a": np.arange(12).reshape(3, 4).T.astype(dtype, order="K"), "b": np.zeros((0, 3), dtype)}
    ArrayCache(tmp_path).value("x", "k", lambda: made, dict, dict)
    again: Arrays = ArrayCache(tmp_path).value("x", "k", lambda: pytest.fail("computed"), dict, dict)
    for name, one in made.items():
        np.testing.assert_array_equal(again[name], one)
        assert again[name].dtype == one.dtype


def test_the_second_look_up_needs_no_disk(tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path)
    made = cache.array("x", "k", (5, 3), array)
    for file in (tmp_path / "x").iterdir():
        file.unlink()
    assert cache.array("x", "k", (5, 3), never) is made


def _damages(whole: bytes) -> dict[str, bytes]:
    middle = len(whole) // 2
    lying = (1 << 62).to_bytes(8, "little") + whole[40:]
    return {
        "empty": b"",
        "short": whole[:20],
        "cut": whole[:-9],
        "longer": whole + b"x",
        "one bit": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        "a zip": b"PK\x03\x04 cut",
        "a pickle": b"\x80\x04\x95",
        "text": b"{" * 100_000,
        "a header that lies": whole[:32] + lying,
    }


@pytest.mark.parametrize("damage", list(_damages(b"x" * 99)))
def test_a_damaged_entry_is_computed_again_and_replaced(tmp_path: Path, damage: str) -> None:
    kept(tmp_path)
    (entry,) = (tmp_path / "x").iterdir()
    entry.write_bytes(_damages(entry.read_bytes())[damage])
    np.testing.assert_array_equal(kept(tmp_path, 1), array(1))
    np.testing.assert_array_equal(kept(tmp_path, 2), array(1))


@pytest.mark.parametrize("wrong", [{"other": np.zeros(3)}, {"array": np.zeros(3)}, {"array": np.zeros((5, 4))}, {}])
def test_other_arrays_under_the_same_key_are_computed_again(tmp_path: Path, wrong: Arrays) -> None:
    ArrayCache(tmp_path).value("x", "k", lambda: wrong, dict, dict)
    np.testing.assert_array_equal(kept(tmp_path, 1), array(1))
    np.testing.assert_array_equal(kept(tmp_path, 2), array(1))


def test_a_whole_file_of_a_wrong_form_is_computed_again(tmp_path: Path) -> None:
    kept(tmp_path)
    (entry,) = (tmp_path / "x").iterdir()
    for payload in (b"", b"\xff" * 40, save({"array": np.zeros(3)})[:-4]):
        entry.write_bytes(array_cache.hashlib.sha256(payload).digest() + payload)
        np.testing.assert_array_equal(kept(tmp_path, 1), array(1))
        entry.unlink()


def test_an_error_of_the_computation_is_its_own(tmp_path: Path) -> None:
    def broken() -> Array:
        raise ValueError("of the computation")

    with pytest.raises(ValueError, match="of the computation"):
        ArrayCache(tmp_path).array("x", "k", (5, 3), broken)
    assert not list(tmp_path.rglob("*.*"))


def test_the_size_is_bounded_over_all_kinds_by_last_use(tmp_path: Path) -> None:
    kept(tmp_path)
    (entry,) = (tmp_path / "x").iterdir()
    cache = ArrayCache(tmp_path, most_bytes=3 * entry.stat().st_size)
    entry.unlink()
    for number, kind in enumerate("abcdef"):
        cache.array(kind, "k", (5, 3), array)
        os.utime(tmp_path / kind / f"k{SUFFIX}", (number, number))
    assert sorted(path.parent.name for path in tmp_path.rglob(f"*{SUFFIX}")) == ["d", "e", "f"]
    ArrayCache(tmp_path).array("d", "k", (5, 3), never)  # used: the latest now
    cache.array("g", "k", (5, 3), array)
    assert sorted(path.parent.name for path in tmp_path.rglob(f"*{SUFFIX}")) == ["d", "f", "g"]


def test_what_was_paid_for_goes_only_by_name(tmp_path: Path) -> None:
    (paid,) = PAID
    cache = ArrayCache(tmp_path, most_bytes=10)
    cache.array(paid, "k", (5, 3), array)
    cache.array("x", "k", (5, 3), array)
    assert (cache.clear().entries, [one.kind for one in cache.usage() if one.entries]) == (1, [paid])
    assert cache.clear(paid).entries == 1
    assert not [one for one in cache.usage() if one.entries]


def test_clearing_leaves_foreign_files(tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path)
    cache.array("x", "k", (5, 3), array)
    (tmp_path / "x" / "earlier.npz").write_bytes(b"old")
    (tmp_path / "x" / "notes.txt").write_text("mine")
    (tmp_path / "photo.png").write_bytes(b"mine")
    assert cache.clear().entries == 2
    assert {path.name for path in tmp_path.rglob("*.*")} == {"notes.txt", "photo.png"}
    with pytest.raises(AssertionError):
        cache.array("x", "k", (5, 3), never)


def test_half_written_files_of_killed_processes_go(tmp_path: Path) -> None:
    kept(tmp_path)
    old, new = tmp_path / "x" / "old.tmp", tmp_path / "x" / "new.tmp"
    for path, age in ((old, 7200), (new, 1)):
        path.write_bytes(b"half")
        os.utime(path, (time.time() - age,) * 2)
    kept(tmp_path, key="other")
    assert not old.exists()
    assert new.exists()


def test_files_are_the_users_own(tmp_path: Path) -> None:
    home = tmp_path / "home"
    before = os.umask(0)
    try:
        kept(home)
    finally:
        os.umask(before)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (home, home / "x", home / "x" / f"k{SUFFIX}")}
    assert list(modes.values()) == [0o700, 0o700, 0o600]


def test_a_disk_that_cannot_be_used_costs_time_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    np.testing.assert_array_equal(kept(tmp_path / "file" / "below"), array())
    assert ArrayCache(tmp_path / "file").usage() == []


def test_the_environment_names_the_folder_or_switches_it_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path))
    user_cache().array("x", "k", (5, 3), array)
    assert user_cache() is user_cache()
    assert (tmp_path / "x" / f"k{SUFFIX}").is_file()
    assert cache_folder("x") == tmp_path / "x"
    monkeypatch.setenv(ENVIRONMENT, "off")
    monkeypatch.chdir(tmp_path)
    user_cache().array("x", "only-here", (5, 3), array)
    assert cache_folder("x") is None
    assert user_cache().usage() == []
    user_cache().array("x", "only-here", (5, 3), never)
    assert len(list(tmp_path.rglob(f"*{SUFFIX}"))) == 1
    user_cache().clear()


_PROCESS = """
import sys
from pathlib import Path
import numpy as np
from vlm_inspect.array_cache import ArrayCache
for round in range(40):
    for key in range(8):
        cache = ArrayCache(Path(sys.argv[1]), most_bytes=60_000)
        found = cache.array("x", str(key), (1000,), lambda: np.full(1000, float(key)))
        assert (found == key).all(), (key, found)
"""


def test_several_processes_share_a_small_one(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _PROCESS, str(tmp_path)]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for process in running:
        _, told = process.communicate(timeout=LONGEST_S)
        assert process.returncode == 0, told
    assert not list(tmp_path.rglob("*.tmp"))
    assert sum(path.stat().st_size for path in tmp_path.rglob(f"*{SUFFIX}")) <= 60_000 + 9000


def test_threads_share_one(tmp_path: Path) -> None:
    cache, failed = ArrayCache(tmp_path), list[str]()

    def work() -> None:
        for key in range(60):
            found = cache.array("x", str(key % 7), (3,), lambda key=key: np.full(3, float(key % 7)))  # type: ignore[misc]
            if not (found == key % 7).all():
                failed.append(str(found))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_keys_tell_content_and_order_apart() -> None:
    a = np.arange(6.0)
    assert content_of(a) == content_of(a.copy())
    assert len({content_of(a), content_of(a.reshape(2, 3)), content_of(a.astype(np.float32)), content_of(a + 1)}) == 4
    assert key_of(1, "a", ["b"]) != key_of(1, "ab", [])
