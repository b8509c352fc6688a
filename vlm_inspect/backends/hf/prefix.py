"""What prompts begin with in common, computed once: the keys and values of rules and references.

`build_request` puts what is the same for every part of a class first (task, answer form, rules, references), and
templates that do not are rejected. So two requests of one class agree up to the first picture of the part; that stretch
is found by comparing tokens, and nothing here knows of rules. A template that moves every picture before every text
(LLaVA) shares the references' pictures; on a sheet nothing but the head is shared, for the part is on the sheet too.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vlm_inspect.backends.hf.prompt import PlacedPicture, Prompt


@dataclass(frozen=True, eq=False)
class Prefix:
    """The beginning of a prompt, and what the model made of it."""

    ids: tuple[int, ...]
    pictures: tuple[PlacedPicture, ...]
    """Those that lie in it, whole."""
    cache: Any
    """transformers' DynamicCache of one row and `len(ids)` tokens; never changed in place."""

    def cut(self, length: int) -> "Prefix":
        """Return the first `length` tokens of it. Memory of the others is given back."""
        if length == len(self.ids):
            return self
        cache = share(self.cache)
        cache.crop(length - len(self.ids))
        for layer in (layer for layer in cache.layers if layer.is_initialized):
            layer.keys, layer.values = layer.keys.clone(), layer.values.clone()
        return Prefix(self.ids[:length], tuple(p for p in self.pictures if p.stop <= length), cache)


def share(cache: Any, rows: int = 1) -> Any:
    """Return a cache that can be extended without changing the given one; its tensors are the same until then."""
    shared = copy.copy(cache)
    shared.layers = [copy.copy(layer) for layer in cache.layers]
    if rows > 1:
        shared.batch_repeat_interleave(rows)
    return shared


def common_length(prompts: "Sequence[Prompt | Prefix]") -> int:
    """Return how many tokens all prompts begin with, no picture cut, with equal pixels behind equal picture tokens."""
    first = prompts[0]
    return min((_agreement(first, other) for other in prompts[1:]), default=len(first.ids))


def _agreement(a: "Prompt | Prefix", b: "Prompt | Prefix") -> int:
    shorter = min(len(a.ids), len(b.ids))
    same = next((i for i in range(shorter) if a.ids[i] != b.ids[i]), shorter)
    return whole_pictures(a, min(same, _first_other_picture(a, b)))


def whole_pictures(prompt: "Prompt | Prefix", length: int) -> int:
    """Return the length, moved back to the start of a picture that it would cut."""
    return next((p.start for p in prompt.pictures if p.start < length < p.stop), length)


def _first_other_picture(a: "Prompt | Prefix", b: "Prompt | Prefix") -> int:
    """Return where the first picture starts that is not the same in both."""
    for one, other in zip(a.pictures, b.pictures, strict=False):
        if one != other:
            return min(one.start, other.start)
    rest = (*a.pictures[len(b.pictures) :], *b.pictures[len(a.pictures) :])
    return rest[0].start if rest else max(len(a.ids), len(b.ids))
