"""The reference memory: a view is as anomalous as its patches are unlike every patch of the references.

Patch features of the references go into banks (PatchCore, arXiv 2106.08265; several middle layers of a vision
transformer, one bank a layer: AnomalyDINO, arXiv 2405.14529); a patch's score is the distance to its nearest neighbour
there. Five things make that hold with few references: pictures are framed (`framing.py`), background never counts,
places count where the framing makes them comparable, several networks and layers judge side by side
(`patch_memory/channels.py`), and the references are scored against each other, which says how far normal ones go.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from converters.view import View
from vlm_inspect.array_cache import ArrayCache, Arrays, key_of, user_cache
from vlm_inspect.evidence import AnomalyMap
from vlm_inspect.localization.localizer import PICTURES, Localization
from vlm_inspect.localization.memory_settings import MemorySettings
from vlm_inspect.localization.patch_memory.channels import ChannelWeights, equal_weights
from vlm_inspect.localization.patch_memory.eyes import NetworkUse, uses_for
from vlm_inspect.localization.patch_memory.memory import PatchMemory, learn_memory
from vlm_inspect.localization.patch_memory.scores import PatchScores
from vlm_inspect.localization.patch_memory.storing import content_key, pack, unpack
from vlm_inspect.localization.rarity import rarity_map
from vlm_inspect.localization.subject import ANY_SUBJECT, Subject
from vlm_inspect.references import Part, ReferenceSet
from vlm_inspect.sensitivity.learning import ChannelPrior
from vlm_inspect.tolerance import OVERKILL, Tolerance, tolerance_from_normals
from vlm_inspect.vision import load_network
from vlm_inspect.vision.network import without_runtime

NAME = "memory"
VERSION = "15"
"""Changes whenever cached memories would no longer be what this code builds."""
_TOLD_DIGITS = 8
"""Of a digest that is shown to people."""


class ReferenceMemory:
    """Nearest-neighbour distance to the patches of the references; rarity within the view where there are none."""

    name = NAME
    kinds = PICTURES

    def __init__(self, settings: MemorySettings | None = None, cache: ArrayCache | None = None) -> None:
        self._settings = settings or MemorySettings()
        self._cache = cache or user_cache()

    def fit(self, references: ReferenceSet, subject: Subject = ANY_SUBJECT) -> "FittedMemory":
        """Build a memory of every key that the references' views have; what the part is called plays no part.

        Raises:
            LocalizerError: a network or its weights cannot be used.
        """
        views = references.views
        keys = sorted({view.key for one in views for view in one})
        memories = {key: self._memory(key, views) for key in keys}
        weighed = {key: WeighedMemory(memory, equal_weights(memory)) for key, memory in memories.items()}
        return FittedMemory(weighed, self._settings, len(references))

    def _memory(self, key: str, references: Sequence[Sequence[View]]) -> PatchMemory:
        chosen = [(r, v, view) for r, views in enumerate(references) for v, view in enumerate(views) if view.key == key]
        kinds = {view.kind for views in references for view in views}
        # One eye for all views of a part: the shaded views of a scan are images, and no photos.
        uses = uses_for(self._settings, chosen[0][2].kind if len(kinds) == 1 else "depth")
        digest = content_key((VERSION, *identify(uses), key), chosen)

        def read(arrays: Arrays) -> PatchMemory:
            return unpack(arrays, uses)

        def learn() -> PatchMemory:
            return read(pack(learn_memory(uses, chosen)))  # rounded as it will be when it is read

        return self._cache.value("memories", digest, learn, pack, read)


def identify(uses: Sequence[NetworkUse]) -> tuple[str, ...]:
    """Return what the scores of an eye rest on: networks, weights, runtime, settings."""
    return tuple(part for use in uses for part in (load_network(use.network).identity, repr(use)))


@dataclass(frozen=True, eq=False)
class WeighedMemory:
    """The memory of one key, and how its channels become one score."""

    memory: PatchMemory
    weights: ChannelWeights

    @property
    def usual(self) -> NDArray[np.float64]:
        """(C,): mean log score of normal parts."""
        return np.asarray(self.memory.level.mean(axis=0))

    @property
    def normal_scores(self) -> tuple[float, ...]:
        """Combined score of every reference as a new part would have it; empty where there is only one."""
        if len(self.memory.references) < 2:
            return ()
        return tuple(float(score) for score in np.exp(self.weights.score(self.memory.level)))

    @property
    def normal_peaks(self) -> tuple[float, ...]:
        """Highest place of the combined map of every reference, likewise."""
        shift = float(np.exp(-(self.memory.correction @ self.weights.weights)))
        return tuple(float(self.weights.map(maps.astype(np.float32)).max()) * shift for maps in self.memory.left_out)

    @property
    def prior_spread(self) -> float:
        """Standard deviation expected of the combined log score; channels are taken to err together."""
        return float(self.weights.weights @ np.array([pool.prior_spread for pool in self.memory.pools]))


class FittedMemory:
    """The memories of one class, by the key of the views; without any it says how rare a patch is in its own view.

    It is a `ScoredLocalizer`. Its channels are those of the patch memories; the log score of a part is the highest of
    its views', each over what is usual for its key.
    """

    name = NAME

    def __init__(self, memories: Mapping[str, WeighedMemory], settings: MemorySettings, references: int) -> None:
        """Judge by these memories, made of that many references with these settings."""
        self.memories = memories
        self._settings, self._references = settings, references
        self._shared: dict[tuple[str, int | None], dict[int, tuple[View, NDArray[np.float64]]]] = {}

    @property
    def identity(self) -> str:
        """See `ScoredLocalizer.identity`."""
        return key_of(NAME, VERSION, identify(self._uses))

    @property
    def judged_by(self) -> str:
        """See `FittedLocalizer.judged_by`: version, networks and a digest of how they are used."""
        networks = ", ".join(without_runtime(load_network(use.network).identity) for use in self._uses)
        settings = key_of(*map(repr, self._uses))[:_TOLD_DIGITS]
        return f"{NAME} {VERSION} ({networks}; settings {settings})" if self._uses else f"{NAME} {VERSION} (rarity)"

    @property
    def _uses(self) -> list[NetworkUse]:
        uses = {use.network: use for one in self.memories.values() for use in (m.use for m in one.memory.networks)}
        return list(uses.values())

    @property
    def priors(self) -> tuple[ChannelPrior, ...]:
        """See `ScoredLocalizer.priors`."""
        first = next(iter(self.memories.values()), None)
        if first is None:
            return ()
        errors = first.memory.level_error
        return tuple(
            ChannelPrior(channel.network, channel.prior_spread, float(error), channel.whole, channel.votes)
            for channel, error in zip(first.memory.channels, errors, strict=True)
        )

    @property
    def level(self) -> NDArray[np.float64]:
        """See `ScoredLocalizer.level`."""
        rows = np.full((self._references, len(self.priors)), -np.inf)
        for one in self.memories.values():
            own = list(one.memory.references)
            rows[own] = np.maximum(rows[own], one.memory.level - one.usual)
        return rows

    def score(self, parts: Sequence[Part], *, without: int | None = None) -> NDArray[np.float64]:
        """See `ScoredLocalizer.score`."""
        rows = np.full((len(parts), len(self.priors)), -np.inf)
        for key, one in self.memories.items():
            views = [(row, view) for row, part in enumerate(parts) for view in part.views if view.key == key]
            unlike = {id(view): view for _, view in views}  # parts made of one reference share views
            found = _known_scores(one.memory, key, parts, without)
            before = self._shared.get((key, without), {})
            found |= {name: scores for name, (view, scores) in before.items() if unlike.get(name) is view}
            asked = [view for known, view in unlike.items() if known not in found]
            scored = one.memory.score(asked, without=without)
            found |= {id(view): scores.log_scores for view, scores in zip(asked, scored, strict=True)}
            self._keep_shared(key, without, [view for _, view in views], found)
            for row, view in views:
                rows[row] = np.maximum(rows[row], found[id(view)] - one.usual)
        return rows

    def _keep_shared(
        self, key: str, without: int | None, views: Sequence[View], found: Mapping[int, NDArray[np.float64]]
    ) -> None:
        """Keep what several parts have in common, and with it the views, until other parts are judged: parts that are
        made of one reference come some at a time."""
        before = self._shared.get((key, without), {})
        names = [id(view) for view in views]
        shared = {
            name: (view, found[name])
            for name, view in zip(names, views, strict=True)
            if names.count(name) > 1 or before.get(name, (None,))[0] is view
        }
        self._shared = {one: kept for one, kept in self._shared.items() if one[1] == without and one[0] != key}
        if shared:
            self._shared[key, without] = shared

    def weigh(self, centre: NDArray[np.float64], weights: NDArray[np.float64]) -> "FittedMemory":
        """See `ScoredLocalizer.weigh`."""
        total = float(weights.sum())
        weighed = {
            key: WeighedMemory(one.memory, ChannelWeights(one.usual + centre, weights / total))
            if total > 0
            else WeighedMemory(one.memory, equal_weights(one.memory))
            for key, one in self.memories.items()
        }
        return FittedMemory(weighed, self._settings, self._references)

    def localize(self, part: Part) -> Localization:
        """Return one map for each view whose key a reference has; without references, one rarity map for each."""
        views = list(enumerate(part.views))
        if not self.memories:
            network, pixels = load_network("lite0"), self._settings.least_pixels
            return Localization(tuple(rarity_map(network, index, view, pixels) for index, view in views))
        judged = [(index, view) for index, view in views if view.key in self.memories]
        found = [self.memories[view.key].memory.score([view])[0] for _, view in judged]
        maps = tuple(
            _map(index, scores, self.memories[view.key], tests=len(judged))
            for (index, view), scores in zip(judged, found, strict=True)
        )
        over = [s.log_scores - self.memories[view.key].usual for (_, view), s in zip(judged, found, strict=True)]
        complete = len(judged) == len(views) and bool(over)
        return Localization(maps, log_scores=np.max(np.array(over), axis=0) if complete else None)


def _known_scores(
    memory: PatchMemory, key: str, parts: Sequence[Part], without: int | None
) -> dict[int, NDArray[np.float64]]:
    """Return log scores (C,) by the id of a view: those of a scan that is the reference left out, as it was learned."""
    known = None if without is None else memory.left_out_scores(without)
    if known is None:
        return {}
    itself = [part for part in parts if part.change is not None and not part.change.touched.any()]
    return {id(view): known for part in itself for view in part.views if view.key == key}


def _map(index: int, scores: PatchScores, one: WeighedMemory, *, tests: int) -> AnomalyMap:
    best = int(one.weights.weights.argmax())
    return AnomalyMap(
        view=index,
        values=one.weights.map(scores.maps()),
        score=float(np.exp(one.weights.score(scores.log_scores))),
        source=NAME,
        tolerance=_tolerance(one.normal_scores, one, tests),
        peak_tolerance=_tolerance(one.normal_peaks, one, tests),
        nearest_reference=scores.nearest_reference(best),
        matches=scores.matches(best),
        normal_scores=one.normal_scores,
        normal_peaks=one.normal_peaks,
    )


def _tolerance(normals: Sequence[float], one: WeighedMemory, tests: int) -> Tolerance | None:
    """Return the tolerance at which all views of a normal sample together stay inside with 1 - overkill."""
    if not normals:
        return None
    return tolerance_from_normals(normals, overkill=OVERKILL / tests, prior_spread=one.prior_spread)
