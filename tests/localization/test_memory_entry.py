"""Memories as entries of the cache: the same back, other arrays learned again, a key of everything."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.view import BoxXyxyn, Pane, Place, View
from vlm_inspect.array_cache import ArrayCache
from vlm_inspect.localization.bank import PatchBank
from vlm_inspect.localization.framing import Framing
from vlm_inspect.localization.memory import Memory
from vlm_inspect.localization.memory_entry import content_key, pack, unpack


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


@pytest.mark.parametrize("turns", [True, False])
def test_a_packed_memory_comes_back(tmp_path: Path, turns: bool) -> None:
    made = memory(turns=turns)
    ArrayCache(tmp_path).value("memories", "k", lambda: made, pack, unpack)
    again = ArrayCache(tmp_path).value("memories", "k", lambda: pytest.fail("learned again"), pack, unpack)
    assert same(made, again)
    if turns:
        assert made.framing.template is not None
        assert again.framing.template is not None
        np.testing.assert_array_equal(made.framing.template, again.framing.template)


@pytest.mark.parametrize("wrong", ["other", "settings", "sizes", "nested"])
def test_arrays_of_something_else_are_learned_again(tmp_path: Path, wrong: str) -> None:
    arrays = pack(memory())
    if wrong == "other":
        arrays = {"scores": np.zeros(3)}
    elif wrong == "sizes":
        arrays["features"] = arrays["features"][:-1]
    else:
        text = "[" * 100_000 if wrong == "nested" else '{"mode": "part"}'
        arrays["settings"] = np.frombuffer(text.encode(), np.uint8)
    ArrayCache(tmp_path).value("memories", "k", lambda: arrays, dict, dict)
    fresh = memory(3)
    assert ArrayCache(tmp_path).value("memories", "k", lambda: fresh, pack, unpack) is fresh
    again = ArrayCache(tmp_path).value("memories", "k", lambda: pytest.fail("not replaced"), pack, unpack)
    assert same(again, fresh)


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
