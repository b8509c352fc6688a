"""The cache of memories: same bytes back, broken entries computed again, a bound on its size."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.view import BoxXyxyn, Pane, Place, View
from vlm_inspect.array_cache import ENVIRONMENT
from vlm_inspect.localization.bank import PatchBank
from vlm_inspect.localization.feature_cache import FeatureCache, content_key
from vlm_inspect.localization.framing import Framing
from vlm_inspect.localization.memory import Memory


class Nowhere:
    def locate(self, box_xyxyn: BoxXyxyn) -> Place:
        return Place()


def memory(seed: int = 0, *, turns: bool = True) -> Memory:
    rng = np.random.default_rng(seed)
    row = lambda *shape: rng.normal(size=shape).astype(np.float32)  # noqa: E731  # a shorthand of four uses
    template = row(64, 64) if turns else None
    framing = Framing("part", 0.7, (160, 64), turns, aligned=True, template=template)
    return Memory(framing, PatchBank(row(5), row(5), 3.0, row(40, 7), row(40), row(40, 4)), (1.0, 1.25))


def same(a: Memory, b: Memory) -> bool:
    arrays = [(a.bank.features, b.bank.features), (a.bank.origin, b.bank.origin), (a.bank.mean, b.bank.mean)]
    plain = replace(a.framing, template=None) == replace(b.framing, template=None) or (
        (a.framing.mode, a.framing.scale, a.framing.size_wh, a.framing.turns, a.framing.aligned)
        == (b.framing.mode, b.framing.scale, b.framing.size_wh, b.framing.turns, b.framing.aligned)
    )
    return plain and a.normal_scores == b.normal_scores and all(np.array_equal(x, y) for x, y in arrays)


def never() -> Memory:
    raise AssertionError("computed although it was stored")


@pytest.mark.parametrize("turns", [True, False])
def test_a_stored_memory_comes_back(tmp_path: Path, turns: bool) -> None:
    made = memory(turns=turns)
    assert FeatureCache(tmp_path).get("k", lambda: made) is made
    again = FeatureCache(tmp_path).get("k", never)
    assert same(made, again)
    if turns:
        assert made.framing.template is not None
        assert again.framing.template is not None
        np.testing.assert_array_equal(made.framing.template, again.framing.template)
    assert list(tmp_path.glob("*.tmp")) == []


def test_second_look_up_needs_no_disk(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    made = cache.get("k", memory)
    for file in tmp_path.iterdir():
        file.unlink()
    assert cache.get("k", never) is made


@pytest.mark.parametrize("damage", [b"", b"not a zip", None])
def test_a_broken_entry_is_computed_again(tmp_path: Path, damage: bytes | None) -> None:
    FeatureCache(tmp_path).get("k", memory)
    path = tmp_path / "k.npz"
    path.write_bytes(path.read_bytes()[:-200] if damage is None else damage)
    fresh = memory(1)
    assert FeatureCache(tmp_path).get("k", lambda: fresh) is fresh
    assert same(FeatureCache(tmp_path).get("k", never), fresh)


def test_an_entry_of_pickles_is_not_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "k.npz", settings=np.array([{"mode": "whole"}], dtype=object))
    fresh = memory(2)
    assert FeatureCache(tmp_path).get("k", lambda: fresh) is fresh


def test_an_entry_of_other_arrays_is_computed_again(tmp_path: Path) -> None:
    np.savez(tmp_path / "k.npz", scores=np.zeros(3))
    fresh = memory(3)
    assert FeatureCache(tmp_path).get("k", lambda: fresh) is fresh


def test_the_folder_stays_bounded(tmp_path: Path) -> None:
    size = (FeatureCache(tmp_path).get("0", memory), (tmp_path / "0.npz").stat().st_size)[1]
    cache = FeatureCache(tmp_path, most_bytes=3 * size)
    for number in range(1, 7):
        cache.get(str(number), memory)
    kept = {file.stem for file in tmp_path.glob("*.npz")}
    assert len(kept) == 3
    assert "6" in kept


def test_an_unusable_folder_costs_time_only(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("x")
    made = memory()
    assert FeatureCache(blocked / "below").get("k", lambda: made) is made


def test_environment_names_the_folder_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "mine"))
    FeatureCache().get("k", memory)
    assert (tmp_path / "mine" / "memories" / "k.npz").is_file()
    monkeypatch.setenv(ENVIRONMENT, "off")
    monkeypatch.chdir(tmp_path)
    FeatureCache().get("other", memory)
    assert not list(tmp_path.rglob("other.npz"))


def test_the_key_depends_on_everything_that_the_memory_does() -> None:
    image = np.zeros((20, 30, 3), np.uint8)
    base = View(image, "image", "a", Nowhere(), key="image")
    changed = image.copy()
    changed[3, 3, 1] = 1
    mask = np.ones((20, 30), bool)
    variants = [
        (["1"], [(0, 0, base)]),
        (["2"], [(0, 0, base)]),
        (["1"], [(1, 0, base)]),
        (["1"], [(0, 0, replace(base, image=changed))]),
        (["1"], [(0, 0, replace(base, image=np.zeros((30, 20, 3), np.uint8)))]),
        (["1"], [(0, 0, replace(base, mask=mask))]),
        (["1"], [(0, 0, replace(base, panes=(Pane((0, 0, 10, 10)),)))]),
        (["1"], [(0, 0, base), (1, 0, base)]),
    ]
    assert len({content_key(settings, views) for settings, views in variants}) == len(variants)
    assert content_key(["1"], [(0, 0, base)]) == content_key(["1"], [(0, 0, replace(base, label="other words"))])
