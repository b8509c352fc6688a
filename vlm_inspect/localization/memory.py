"""The reference memory: a view is as anomalous as its patches are unlike every patch of the references.

Patch features of the references go into a bank (PatchCore, arXiv 2106.08265); a patch's score is the distance to its
nearest neighbour there. Four things make that hold with few references: pictures are framed (`framing.py`), background
never counts, places count where the framing makes them comparable, and the references are scored against each other,
which says how far normal ones go.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from converters.view import View
from vlm_inspect.array_cache import ArrayCache, user_cache
from vlm_inspect.evidence import AnomalyMap
from vlm_inspect.localization.backbones import Backbone, load_backbone
from vlm_inspect.localization.bank import PatchBank, Patches, build_bank
from vlm_inspect.localization.framing import Framed, Framing, Picture, plan_framing
from vlm_inspect.localization.localizer import PICTURES, Localization
from vlm_inspect.localization.memory_entry import content_key, pack, unpack
from vlm_inspect.localization.memory_settings import MemorySettings
from vlm_inspect.localization.rarity import rarity_map
from vlm_inspect.localization.score_map import MATCH_GRID, draw_matches, draw_values, smooth
from vlm_inspect.localization.subject import ANY_SUBJECT, Subject
from vlm_inspect.references import Part, ReferenceSet
from vlm_inspect.tolerance import OVERKILL, Tolerance, tolerance_from_normals

NORMAL_SPREAD = 0.09
"""Standard deviation of the log score among normal samples of one class: measured, see docs/results.md."""
NAME = "memory"
VERSION = "3"
"""Changes whenever cached memories would no longer be what this code builds."""


@dataclass(frozen=True, eq=False)
class Memory:
    """All that is kept of the reference views of one key."""

    framing: Framing
    bank: PatchBank
    normal_scores: tuple[float, ...]
    """Score of each reference against the others; empty where there is only one."""


@dataclass(frozen=True, eq=False)
class _Part:
    """One picture of a view: the view itself, or one of its panes, with its corner on the view."""

    picture: Picture
    corner_xy: tuple[int, int]


@dataclass(frozen=True, eq=False)
class _Seen:
    """One framed picture with its patch features, kept in half precision: a clip has many."""

    framed: Framed
    corner_xy: tuple[int, int]
    features: NDArray[np.float16]
    """(h, w, C)."""
    cells: NDArray[np.float64]
    """(h * w, 2): centres of the patches in [0, 1] of the framed picture."""
    counted: NDArray[np.bool_]
    """(h * w,): which patches count."""

    @property
    def rows(self) -> NDArray[np.float32]:
        """(N, C): features of the patches that count."""
        return self.features.reshape(-1, self.features.shape[2])[self.counted].astype(np.float32)


@dataclass(frozen=True, eq=False)
class _Scored:
    """One framed picture with its scores on the patch grid, and the bank index of each patch (-1: does not count)."""

    framed: Framed
    values: NDArray[np.float32]
    indices: NDArray[np.int64]


class ReferenceMemory:
    """Nearest-neighbour distance to the patches of the references; rarity within the view where there are none."""

    name = NAME
    kinds = PICTURES

    def __init__(
        self,
        settings: MemorySettings | None = None,
        cache: ArrayCache | None = None,
    ) -> None:
        self._settings = settings or MemorySettings()
        self._cache = cache or user_cache()

    @property
    def backbone(self) -> Backbone:
        """The network, loaded when it is first needed."""
        return load_backbone(self._settings.backbone)

    def fit(self, references: ReferenceSet, subject: Subject = ANY_SUBJECT) -> "FittedMemory":
        """Build a memory of every key that the references' views have; what the part is called plays no part.

        Raises:
            LocalizerError: the backbone or its weights cannot be used.
        """
        views = references.views
        keys = sorted({view.key for one in views for view in one})
        return FittedMemory({key: self._memory(key, views) for key in keys}, self.backbone, self._settings)

    def _memory(self, key: str, references: Sequence[Sequence[View]]) -> Memory:
        chosen = [(r, v, view) for r, views in enumerate(references) for v, view in enumerate(views) if view.key == key]
        settings = (VERSION, self.backbone.identity, self._settings.model_dump_json(), key)
        digest = content_key(settings, [(r, v, view) for r, v, view in chosen])
        return self._cache.value("memories", digest, lambda: self._learn(key, chosen), pack, unpack)

    def _learn(self, key: str, chosen: Sequence[tuple[int, int, View]]) -> Memory:
        parts = [(r, v, part, view) for r, v, view in chosen for part in _parts(view)]
        whole = key == "image" and all(view.mask is None for _, _, view in chosen)
        pictures = [part.picture for _, _, part, _ in parts]
        framing = plan_framing(pictures, pixels=_pixels_for(self._settings, pictures), parts=whole)
        seen = [_see(self.backbone, framing, part) for _, _, part, _ in parts]
        patches = [_patches_of(one, framing, view, (r, v)) for one, (r, v, _, view) in zip(seen, parts, strict=True)]
        bank = build_bank(
            patches,
            self.backbone.channels,
            place_weight=self._settings.place_weight if framing.aligned else 0.0,
            capacity=self._settings.capacity,
        )
        return Memory(framing, bank, _normal_scores(framing, bank, [r for r, _, _, _ in parts], seen))


class FittedMemory:
    """The memories of one class, by the key of the views; without any it says how rare a patch is in its own view."""

    name = NAME

    def __init__(self, memories: Mapping[str, Memory], backbone: Backbone, settings: MemorySettings) -> None:
        """Judge by these memories, built with this backbone and these settings."""
        self.memories = memories
        self._backbone, self._settings = backbone, settings

    def localize(self, part: Part) -> Localization:
        """Return one map for each view whose key a reference has; without references, one rarity map for each."""
        views = list(enumerate(part.views))
        if not self.memories:
            pixels = self._settings.least_pixels
            return Localization(tuple(rarity_map(self._backbone, index, view, pixels) for index, view in views))
        judged = [(index, view) for index, view in views if view.key in self.memories]
        return Localization(tuple(self._map(index, view, tests=len(judged)) for index, view in judged))

    def _map(self, index: int, view: View, *, tests: int) -> AnomalyMap:
        memory = self.memories[view.key]
        values = np.zeros(view.size_hw, np.float32)
        matches = np.full((*MATCH_GRID, 4), np.nan, np.float32)
        score, votes = 0.0, []
        for part in _parts(view):
            scored = _score(_see(self._backbone, memory.framing, part), memory.framing, memory.bank)
            draw_values(values, scored.values, scored.framed, part.corner_xy, part.picture.image.shape[:2])
            origins = memory.bank.origin[np.maximum(scored.indices, 0)]
            origins[scored.indices < 0] = np.nan
            draw_matches(matches, origins, scored.framed, part.corner_xy, part.picture.image.shape[:2], view.size_hw)
            score = max(score, float(scored.values.max(initial=0.0)))
            votes.append(origins[scored.indices >= 0][:, 0])
        if view.mask is not None:
            values[~view.mask] = 0.0
        voted = np.concatenate(votes).astype(np.int64) if votes else np.zeros(0, np.int64)
        return AnomalyMap(
            view=index,
            values=values,
            score=score,
            source=self.name,
            tolerance=_tolerance(memory, tests),
            nearest_reference=int(np.bincount(voted).argmax()) if voted.size else None,
            matches=matches,
            normal_scores=memory.normal_scores,
        )


def _pixels_for(settings: MemorySettings, pictures: Sequence[Picture]) -> int:
    """Return how many pixels framed pictures of this class shall have."""
    if any(picture.mask is not None for picture in pictures):
        return settings.least_pixels  # a scan has many views, a clip many frames
    own = float(np.median([picture.image.shape[0] * picture.image.shape[1] for picture in pictures]))
    return settings.most_pixels if own > 1.25 * settings.least_pixels else settings.least_pixels


def _see(backbone: Backbone, framing: Framing, part: _Part) -> _Seen:
    framed = framing.frame(part.picture)
    features = backbone.extract(framed.image)
    cells, counted = grid_places(framed, features.shape[:2])
    return _Seen(framed, part.corner_xy, features.astype(np.float16), cells, counted)


def _tolerance(memory: Memory, tests: int) -> Tolerance | None:
    """Return the tolerance at which all views of a normal sample together stay inside with 1 - overkill."""
    if not memory.normal_scores:
        return None
    return tolerance_from_normals(memory.normal_scores, overkill=OVERKILL / tests, prior_spread=NORMAL_SPREAD)


def _patches_of(seen: _Seen, framing: Framing, view: View, source: tuple[int, int]) -> Patches:
    on_view = seen.framed.to_source(seen.cells * seen.framed.size_wh) + np.array(seen.corner_xy)
    size = np.array([view.size_hw[1], view.size_hw[0]])
    return Patches(
        seen.rows,
        framing.places(seen.framed, seen.cells[seen.counted]),
        source,
        np.clip(on_view / size, 0, 1)[seen.counted].astype(np.float32),
    )


def _normal_scores(
    framing: Framing, bank: PatchBank, references: Sequence[int], seen: Sequence[_Seen]
) -> tuple[float, ...]:
    """Score every reference against the others, as a new sample would be scored: leave-one-out."""
    scores: dict[int, float] = {}
    if len(set(references)) < 2:
        return ()
    for reference, one in zip(references, seen, strict=True):
        scored = _score(one, framing, bank, without=reference)
        scores[reference] = max(scores.get(reference, 0.0), float(scored.values.max(initial=0.0)))
    return tuple(scores[reference] for reference in sorted(scores))


def _score(seen: _Seen, framing: Framing, bank: PatchBank, *, without: int | None = None) -> _Scored:
    shape, counted = seen.features.shape[:2], seen.counted
    queries = bank.embed(seen.rows, framing.places(seen.framed, seen.cells[counted]))
    distances, nearest = bank.search(queries, without=without)
    values = np.zeros(shape, np.float32)
    values[counted.reshape(shape)] = distances
    indices = np.full(shape, -1, np.int64)
    indices[counted.reshape(shape)] = nearest
    return _Scored(seen.framed, smooth(values, counted.reshape(shape)), indices)


def grid_places(framed: Framed, shape: Sequence[int]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the centres of a patch grid in [0, 1] of the framed picture, (h * w, 2), and which count, (h * w,)."""
    import cv2

    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    cells = np.stack([(x + 0.5) / shape[1], (y + 0.5) / shape[0]], axis=-1).reshape(-1, 2)
    share = cv2.resize(framed.mask.astype(np.float32), (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    return cells, np.asarray(share.ravel() > 0.3)


def _parts(view: View) -> Iterator[_Part]:
    """Yield the pictures of a view that are judged on their own: its panes, or itself."""
    boxes = [pane.box_xyxy for pane in view.panes] or [(0, 0, view.size_hw[1], view.size_hw[0])]
    for x0, y0, x1, y1 in boxes:
        mask = None if view.mask is None else view.mask[y0:y1, x0:x1]
        if x1 > x0 and y1 > y0 and (mask is None or mask.any()):
            yield _Part(Picture(view.image[y0:y1, x0:x1], mask), (x0, y0))
