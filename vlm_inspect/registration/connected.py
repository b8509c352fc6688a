"""Pieces of a scan that touch no other: two parts that lie apart are told by them."""

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.registration.surface import Surface

_LARGE = 0.2
"""Share of a scan's planes from which a piece counts."""
_REACH = 3.0
"""Point spacings from which on two points do not touch."""


def large_pieces(scan: Surface) -> list[NDArray[np.intp]]:
    """Return the planes of each large piece of a scan that touches no other, the largest first."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = len(scan.points)
    one, other = scan.tree.query_pairs(_REACH * scan.spacing, output_type="ndarray").T
    touching = coo_array((np.ones(len(one), dtype=bool), (one, other)), shape=(count, count))
    piece = connected_components(touching, directed=False)[1]
    sizes = np.bincount(piece)
    large = [i for i in np.argsort(-sizes, kind="stable") if sizes[i] >= _LARGE * count]
    return [np.flatnonzero(piece == i) for i in large]
