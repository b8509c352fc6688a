"""What prompts have in common: no picture cut, none confused with another, and the cache left as it was."""

from typing import Any

import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import DynamicCache

from vlm_inspect.backends.hf.prefix import Prefix, common_length, share, whole_pictures
from vlm_inspect.backends.hf.prompt import PlacedPicture, Prompt

PICTURE = 9


@st.composite
def prompts(draw: st.DrawFn) -> Prompt:
    """Texts of few words and pictures of few kinds, so that beginnings are shared often."""
    ids: list[int] = []
    pictures = []
    for piece in draw(st.lists(st.sampled_from(["a", "b", "P", "Q"]), max_size=6)):
        if piece in "PQ":
            length = draw(st.integers(1, 3))
            pictures.append(PlacedPicture(piece, len(ids), len(ids) + length, length))
            ids += [PICTURE] * length
        else:
            ids.append(ord(piece) - ord("a"))
    return Prompt((*ids, 5), tuple(pictures), {}, None)


def seen(prompt: Prompt, length: int) -> list[object]:
    """What a model would see of the first tokens."""
    shown: list[object] = list(prompt.ids[:length])
    for picture in prompt.pictures:
        for position in range(picture.start, min(picture.stop, length)):
            shown[position] = (picture.sha256, position - picture.start, picture.tokens)
    return shown


@given(prompts(), prompts())
def test_common_beginning_looks_the_same_to_the_model(a: Prompt, b: Prompt) -> None:
    length = common_length([a, b])
    assert length == common_length([b, a])
    assert seen(a, length) == seen(b, length)
    for prompt in (a, b):
        assert not any(p.start < length < p.stop for p in prompt.pictures)


@given(prompts(), prompts())
def test_common_beginning_is_the_longest(a: Prompt, b: Prompt) -> None:
    length = common_length([a, b])
    longer = next(
        (
            n
            for n in range(length + 1, min(len(a.ids), len(b.ids)) + 1)
            if seen(a, n) == seen(b, n) and whole_pictures(a, n) == n == whole_pictures(b, n)
        ),
        None,
    )
    assert longer is None


@given(prompts(), st.lists(prompts(), max_size=3))
def test_more_prompts_have_less_in_common(first: Prompt, others: list[Prompt]) -> None:
    lengths = [common_length([first, *others[:n]]) for n in range(len(others) + 1)]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] == len(first.ids)


def filled(length: int) -> Any:
    cache = DynamicCache()
    for layer in range(2):
        cache.update(torch.randn(1, 2, length, 4), torch.randn(1, 2, length, 4), layer)
    return cache


def test_cut_and_shared_caches_leave_the_first_alone() -> None:
    cache = filled(6)
    keys = cache.layers[0].keys.clone()
    whole = Prefix(tuple(range(6)), (PlacedPicture("p", 1, 3, 2), PlacedPicture("q", 4, 6, 2)), cache)
    half = whole.cut(4)
    assert (half.ids, [p.sha256 for p in half.pictures], half.cache.get_seq_length()) == ((0, 1, 2, 3), ["p"], 4)
    rows = share(half.cache, 3)
    rows.update(torch.zeros(3, 2, 1, 4), torch.zeros(3, 2, 1, 4), 0)
    assert rows.layers[0].keys.shape == (3, 2, 5, 4)
    assert half.cache.layers[0].keys.shape == (1, 2, 4, 4)
    assert torch.equal(cache.layers[0].keys, keys)
    assert torch.equal(half.cache.layers[0].keys, keys[..., :4, :])
    assert half.cache.layers[0].keys.untyped_storage().nbytes() == 2 * 4 * 4 * 4, "the rest is given back"
    assert whole.cut(6) is whole
