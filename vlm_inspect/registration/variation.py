"""How normal parts of a class differ, place by place: what a new scan's deviations are held against.

The references are compared with one of them, the anchor. Every place of the anchor then has one deviation a
reference; their mean and spread say what is normal there. Few references say little about one place, so a spread is
shrunk towards that of its surroundings and of the whole part, as a scaled inverse chi-square prior does (Gelman et al.,
Bayesian Data Analysis, 3rd ed., eq. 3.3). A new part is predicted with the variance of the place times 1 + 1/n.

One comparison a reference is all that this costs; leaving a reference out is arithmetic on the same deviations.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.registration.comparison import SCALES, Comparison, Values, compare, far_off
from vlm_inspect.registration.judged import CHANNELS, Judged, combined, judged
from vlm_inspect.registration.patch_normal import PatchNormal, learn_patches
from vlm_inspect.registration.patches import Contrasts, patches_of
from vlm_inspect.registration.pooled_normal import PooledNormal, learn_pooled
from vlm_inspect.registration.surface import Surface, surface
from vlm_inspect.registration.thinning import thinned_by
from vlm_inspect.registration.zones import zones_of

_PRIOR_DOF = 4.0
"""How many references the surroundings count for."""
_WHOLE = 0.3
"""Share of the whole part's variance in that of a place's surroundings: two references may agree there by chance."""
_NOISE_SHARE = 0.2
"""What of a plane's squared roughness is left in a deviation after smoothing."""
_DENSITY_STEP, _NOISE_STEP = 1.25, 1.4
"""Of spacing and of noise, in which scanners are told apart."""
_COARSE, _DRAWS = 3, 3
"""Steps of spacing from which the points drawn matter as much as the part: each reference is then drawn so often."""
_PAIR = np.array([0.4, 0.4, 0.2])
"""Log of how much higher new normal parts score than two references against each other, by channel: generated classes
(docs/decisions/0041, 0051)."""
_APART = 4.0
"""Deviations of a reference's own points that exceed so many roughnesses are more than noise."""


@dataclass(frozen=True, eq=False)
class Variation:
    """What is normal at every place of the anchor, for scans of one kind of scanner."""

    references: tuple[Surface, ...]
    """(n,), in one frame."""
    anchor_index: int
    comparisons: tuple[Comparison, ...]
    """(n k,): of every reference with the anchor, in turn, as that scanner would have seen it k times."""
    pair: Values | None = None
    """(2, SCALES, M): deviations that stand in for the spread of the one that is left."""
    left_out: int | None = None
    """Which reference plays no part."""
    coarse: bool = False
    """Whether that scanner shows the part so coarsely that errors reach over many planes of the anchor."""

    @property
    def anchor(self) -> Surface:
        """The reference that all are compared with."""
        return self.references[self.anchor_index]

    @cached_property
    def deviations(self) -> Values:
        """(n, SCALES, M): of every reference that plays a part at every place of the anchor; positive: more."""
        return np.stack([_material(one, self.roughness) for one in self._kept])

    @property
    def _kept(self) -> list[Comparison]:
        """Comparisons of the references that play a part."""
        return [one for i, one in enumerate(self.comparisons) if i % len(self.references) != self.left_out]

    @property
    def count(self) -> int:
        """Number of references that play a part, n."""
        return len(self.references) - (self.left_out is not None)

    @cached_property
    def roughness(self) -> float:
        """Median roughness of the references, in the unit of the scans."""
        return float(np.median([np.median(one.roughness) for one in self.references]))

    @cached_property
    def spread(self) -> Values:
        """(SCALES, M), > 0: standard deviation of a new normal part, in the unit of the scans."""
        floor = _NOISE_SHARE * (self._around(self.anchor.roughness**2) + self.roughness**2)
        known = self.deviations if self.pair is None else self.pair
        if len(known) < 2:
            own = np.tile(2.0 * floor, (SCALES, 1)) + self.deviations[0] ** 2
            return np.asarray(np.sqrt(np.stack([self._around(scale) for scale in own])))
        own = known.var(axis=0, ddof=1)
        nearby = np.stack([self._around(scale) for scale in own])
        if self.coarse:
            nearby = np.stack([self._around(self._around(scale)) for scale in nearby])
        around = np.stack([self._around(scale) for scale in nearby])
        prior = (1.0 - _WHOLE) * around + _WHOLE * own.mean(axis=1, keepdims=True) + 0.1 * floor
        dof = max(1, self.count - 1)
        pooled = (_PRIOR_DOF * prior + dof * nearby) / (_PRIOR_DOF + dof)
        return np.asarray(np.sqrt((1.0 + 1.0 / self.count) * pooled))

    @cached_property
    def pooled(self) -> PooledNormal:
        """The same of zones: their spread is that of all references where only one plays a part."""
        kept = self._kept
        known = kept if self.pair is None else self.comparisons
        return learn_pooled(zones_of(self.anchor), kept, known, _NOISE_SHARE * self.roughness**2)

    @cached_property
    def local(self) -> PatchNormal:
        """The same of patches."""
        shown, count = self._contrasts, len(self.references)
        kept = [one for i, one in enumerate(shown) if i % count != self.left_out]
        known = kept if self.pair is None else shown
        noise = _NOISE_SHARE * self.roughness**2
        return learn_patches(patches_of(self.anchor), zones_of(self.anchor), kept, known, noise)

    @cached_property
    def _contrasts(self) -> list[Contrasts]:
        """What each comparison says of the patches, whoever plays a part."""
        patches = patches_of(self.anchor)
        return [patches.contrasts(one, ~one.stray) for one in self.comparisons]

    @cached_property
    def typical(self) -> float:
        """Median of the fine spread, in the unit of the scans: turns normal spreads into lengths."""
        return float(np.median(self.spread[0]))

    def judge(self, scan: Surface, found: Comparison | None = None) -> Judged:
        """Return the deviations of a scan that lies in the frame of the references.

        A scan that is coarser or noisier than the references is held against the references as its scanner would have
        seen them: thinned, and with noise added.

        Args:
            scan: its surface.
            found: its comparison with the anchor, where that is known.
        """
        seen = self.as_scanned_like(scan)
        seen_as = seen.judged(compare(scan, self.anchor) if found is None else found)
        return seen_as if seen is self else seen_as.times(self._level_over(seen))

    def usual_off(self, scan: Surface) -> float:
        """Return how far off most points of a reference lie that such a scanner saw: see `far_off`; 0: not known."""
        known = [one for one in self.as_scanned_like(scan).comparisons if one.off.any()]
        return float(np.median([far_off(one) for one in known])) if known else 0.0

    def judged(self, found: Comparison) -> Judged:
        """Return what a comparison with the anchor means."""
        return judged(found, self.deviations.mean(axis=0), self.spread, self.pooled, self.local)

    def without(self, index: int) -> "Variation":
        """Return what the other references alone say; a single one stays."""
        if self.count < 2 or self.left_out is not None:
            return self
        found = self._latest.get(index)
        if found is None:
            found = self._without(index)
            self._latest.clear()  # one is asked for many times over, then the next
            self._latest[index] = found
        return found

    def _without(self, index: int) -> "Variation":
        left = replace(self, pair=self.deviations if self.count == 2 else None, left_out=index)
        # What they would have seen, and show, does not depend on who plays a part.
        left.__dict__.update(_scanners=self._scanners, _contrasts=self._contrasts)
        return left

    def level(self) -> NDArray[np.float64]:
        """Return the log scores (n, CHANNELS) of the references, each held against the others; (0, CHANNELS) of one.

        The anchor, to whose planes all others are measured, agrees better than a new part would: it gets the mean of
        the others.
        """
        return self._level

    @cached_property
    def _level(self) -> NDArray[np.float64]:
        if self.count < 2:
            return np.zeros((0, len(CHANNELS)))
        count = len(self.references)
        rows = np.array([self.without(i % count).judged(one).log_scores for i, one in enumerate(self.comparisons)])
        rows = rows.reshape(-1, count, len(CHANNELS)).mean(axis=0)
        rows[self.anchor_index] = np.delete(rows, self.anchor_index, axis=0).mean(axis=0)
        if count == 2:  # the spread rests on what the two differ by, and so do their own scores
            rows += _PAIR
        return np.asarray(rows)

    def as_scanned_like(self, scan: Surface) -> "Variation":
        """Return what is normal for scans of that density and noise; itself where they are as fine as the references.

        Density and noise are taken in steps, and a step is learned once.
        """
        finest = max(min(one.spacing for one in self.references), 1e-300)  # 0 where points are given several times
        thinner = _steps(scan.spacing / finest, _DENSITY_STEP)
        rougher = _steps(_smooth_noise(scan) / self._noise, _NOISE_STEP)
        if not thinner and not rougher:
            return self
        key = (thinner, rougher)
        if key not in self._scanners:
            noise = self._noise * float(np.sqrt(_NOISE_STEP ** (2 * rougher) - 1.0))
            spacing, draws = finest * _DENSITY_STEP**thinner, _DRAWS if thinner >= _COARSE else 1
            again = enumerate(self.references * draws)
            comparisons = tuple(compare(_as_scanned(one, spacing, noise, i), self.anchor) for i, one in again)
            self._scanners[key] = Variation(self.references, self.anchor_index, comparisons, coarse=thinner >= _COARSE)
        found = self._scanners[key]
        return found if self.left_out is None else found.without(self.left_out)

    @cached_property
    def _latest(self) -> dict[int, "Variation"]:
        return {}

    @cached_property
    def _scanners(self) -> dict[tuple[int, int], "Variation"]:
        return {}

    @cached_property
    def _noise(self) -> float:
        return max(float(np.median([_smooth_noise(one) for one in self.references])), 1e-9 * self.anchor.spacing)

    def _level_over(self, other: "Variation") -> float:
        """Return the factor, at most 1, that brings scores of another scanner to the level of the references' own."""
        if self.count < 2:
            return 1.0
        return float(min(1.0, np.exp(combined(self.level() - other.level()).mean())))

    def _around(self, values: Values) -> Values:
        return np.asarray(values[self.anchor.near].mean(axis=1))


def _steps(ratio: float, step: float) -> int:
    """Return by how many steps, a factor each, a ratio is above 1; 0 below, also of a scan without any noise."""
    return max(0, round(float(np.log(max(ratio, 1.0)) / np.log(step))))


def _smooth_noise(one: Surface) -> float:
    """Return the noise of a scan, from its smoothest places: elsewhere planes are rough because the part is."""
    return float(np.quantile(one.roughness, 0.2))


def _as_scanned(one: Surface, spacing: float, noise: float, seed: int) -> Surface:
    """Return a surface as a coarser or noisier scanner would have seen it, drawn at random, always the same."""
    random = np.random.default_rng(seed)
    share = min(1.0, (one.spacing / spacing) ** 2)
    kept = np.sort(random.permutation(len(one.points))[: max(8, round(share * len(one.points)))])
    moved = random.normal(scale=noise, size=len(kept))[:, None] * one.normals[kept] if noise > 0.0 else 0.0
    return surface(one.points[kept] + moved)


def learn(references: Sequence[Surface]) -> Variation:
    """Return how references (at least one) differ that lie in one frame."""
    if not references:
        raise ValueError("a deviation needs at least one reference")
    chosen = most_complete(references)
    anchor = references[chosen]
    nothing, nowhere = np.zeros((SCALES, len(anchor.points))), np.zeros(len(anchor.points), dtype=bool)
    indices = np.arange(len(anchor.points))
    itself = Comparison(nothing, indices, nothing[0], nowhere, nothing, nowhere, nowhere, nowhere, nowhere)
    found = tuple(itself if i == chosen else compare(one, anchor) for i, one in enumerate(references))
    return Variation(tuple(references), chosen, found)


def _material(found: Comparison, roughness: float) -> Values:
    """Return how much more material a reference has at each place of the anchor, (SCALES, M).

    What the anchor does not have at all, such as a foreign body, hides no place of it: only the reference's own points
    tell of it, at the places that they are held against.
    """
    more = -found.lacking
    for scale, off in zip(more, found.off, strict=True):
        apart = np.flatnonzero(np.abs(off) > 3.0 * np.abs(scale[found.plane]) + _APART * roughness)
        order = apart[np.argsort(np.abs(off[apart]))]
        scale[found.plane[order]] = off[order]  # of several the last, the largest
    return more


def most_complete(surfaces: Sequence[Surface]) -> int:
    """Return the index of the first surface that fills about as many cells of space as any: no gaps in the anchor."""
    cell = 4.0 * max(one.spacing for one in surfaces)
    filled = [len(thinned_by(one.points, cell)) for one in surfaces]
    return next(i for i, count in enumerate(filled) if count >= 0.97 * max(filled))
