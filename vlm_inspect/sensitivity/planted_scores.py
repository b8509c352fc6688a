"""`PlantedScores`: what defects planted on normal parts did to their scores, and what each gives a usual part."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.sensitivity.normal_scores import NormalScores

_SEEN = 0.25
"""A rise of less than this share of the normal spread is none."""


@dataclass(frozen=True, eq=False)
class PlantedScores:
    """What m defects planted on normal parts did to their scores."""

    kinds: tuple[str, ...]
    """(m,)."""
    sizes: NDArray[np.float64]
    """(m,): diameter of the disc of equal area, as a share of the part's longer side, as measured."""
    matter: NDArray[np.bool_]
    """(m,): which were planted with a size that matters."""
    owners: NDArray[np.int64]
    """(m,): which part each lies on: a row of the log scores of those parts."""
    rises: NDArray[np.float64]
    """(m, C): log score over that of the same part without the defect, both without that part in the memory."""
    whole: NDArray[np.bool_]
    """(m,): which change the surface as a whole, and have no size of their own."""

    def that_matter(self, responses: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the responses (m,) to defects with a place, of the sizes that matter, and those to them and to all
        changes of the whole surface: what is easily seen as a whole shall not make up for places that are not."""
        return responses[self.matter & ~self.whole], responses[self.matter]


@dataclass(frozen=True, eq=False)
class TriedParts:
    """Normal parts, those with planted defects, and what is known of real ones, as they are judged.

    Log scores over the level of the class, V = 1 + K of each part: that of its oddest places, and one of its surface as
    a whole by each channel that looks at that.
    """

    normals: NDArray[np.float64]
    """(n, V): of the parts that say how normal ones differ."""
    grounds: NDArray[np.float64]
    """(g, V): of the parts that were planted on, without their defects."""
    planted: PlantedScores
    rises: NDArray[np.float64]
    """(m, V): of the planted defects over their part."""
    anomalous: NDArray[np.float64]
    """(r, V): of really anomalous parts, which count among the planted ones; r >= 0."""
    mutual: bool = False
    """Whether the normal parts were judged by one another, so that their scores err together."""

    def responses(self, number: int, normal: NormalScores) -> NDArray[np.float64]:
        """Return the responses (m,) to the planted defects by one of the V scores; see `respond`."""
        return respond(self.grounds[:, number], self.rises[:, number], self.planted.owners, normal)

    def groups_that_matter(
        self, responses: NDArray[np.float64], of_anomalous: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], ...]:
        """Return `PlantedScores.that_matter` of the responses, the scores (r,) of anomalous parts in each group."""
        return tuple(np.concatenate([one, of_anomalous]) for one in self.planted.that_matter(responses))


def join_planted(groups: Sequence[PlantedScores], parts: Sequence[int]) -> PlantedScores:
    """Return several groups as one, planted on the parts of all groups in their order.

    Args:
        groups: at least one.
        parts: how many parts each was planted on.
    """
    before = np.cumsum([0, *parts[:-1]])
    return PlantedScores(
        kinds=tuple(kind for one in groups for kind in one.kinds),
        sizes=np.concatenate([one.sizes for one in groups]),
        matter=np.concatenate([one.matter for one in groups]),
        owners=np.concatenate([one.owners + first for one, first in zip(groups, before, strict=True)]),
        rises=np.concatenate([one.rises for one in groups]),
        whole=np.concatenate([one.whole for one in groups]),
    )


def respond(
    own: NDArray[np.float64], rises: NDArray[np.float64], owners: NDArray[np.int64], normal: NormalScores
) -> NDArray[np.float64]:
    """Return the log score (m,) that each planted defect gives a part of the usual level; -inf where it is not seen.

    A score is about the maximum of what the part itself and what the defect does, so that of a planted picture is the
    defect's own where it rises, and where it does not, the defect's own is not known: not seen. On a part that
    scores low the defect may count for no more than it does there; on one that scores high only its rise counts.

    Args:
        own: (n,) log scores of the parts that were planted on.
        rises: (m,) of the planted defects over their part.
        owners: (m,) which part each lies on.
        normal: distribution of the log score of normal parts.
    """
    responses = np.minimum(own[owners], normal.mean) + rises
    return np.where(rises > _SEEN * normal.spread, responses, -np.inf)
