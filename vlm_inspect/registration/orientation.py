"""Which side of a surface is outside, told from its planes alone.

Signs spread from plane to plane along the tree of edges on which the planes turn least (Hoppe et al., "Surface
reconstruction from unorganized points", 1992, section 3.3). A connected piece is then turned so that the volume that
it encloses is positive: by the divergence theorem the sum of n . (p - c) over a closed surface is three times its
volume. An open piece, scanned from one side, comes out facing away from its own middle.
"""

import numpy as np
from numpy.typing import NDArray

_EDGES = 6
"""Neighbours of a plane that its sign may come from."""


def outward_signs(
    points: NDArray[np.float64], normals: NDArray[np.float64], neighbours: NDArray[np.int32], spacing: float
) -> NDArray[np.float64]:
    """Return +1 or -1 for every plane's normal, (N,).

    Args:
        points: (N, 3), in the scan's unit.
        normals: (N, 3), unit length, sign arbitrary.
        neighbours: (N, k), each point's nearest ones, itself first.
        spacing: median distance between neighbours, in the scan's unit.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree

    count = len(points)
    near = neighbours[:, 1 : _EDGES + 1]
    start, end = np.repeat(np.arange(count), near.shape[1]), near.ravel()
    along = np.abs(np.einsum("ij,ij->i", normals[start], normals[end]))
    reach = np.linalg.norm(points[start] - points[end], axis=1) / max(spacing, 1e-300)
    # Two sheets close together have parallel planes, too: a step along the plane is better than one across it.
    across = np.abs(np.einsum("ij,ij->i", points[start] - points[end], normals[start]))
    weight = 1e-6 + (1.0 - along) + 0.5 * across / max(spacing, 1e-300) + 0.01 * reach
    tree = minimum_spanning_tree(csr_array((weight, (start, end)), shape=(count, count)))
    pieces, piece = connected_components(tree, directed=False)
    signs = np.ones(count)
    for first in np.unique(piece, return_index=True)[1]:
        order, before = breadth_first_order(tree, first, directed=False)
        _spread(signs, normals, order, before)
    outward = normals * signs[:, None]
    sums = np.stack([np.bincount(piece, points[:, axis]) for axis in range(3)], axis=1)
    middle = sums / np.bincount(piece)[:, None]
    volume = np.bincount(piece, np.einsum("ij,ij->i", outward, points - middle[piece]), minlength=pieces)
    return np.asarray(signs * np.where(volume < 0.0, -1.0, 1.0)[piece])


def _spread(
    signs: NDArray[np.float64], normals: NDArray[np.float64], order: NDArray[np.int32], before: NDArray[np.int32]
) -> None:
    """Give every plane of a piece, in the order of its tree, the sign that agrees with the one before it."""
    turns = np.einsum("ij,ij->i", normals[order[1:]], normals[before[order[1:]]]) < 0.0
    known = {int(order[0]): 1.0}
    for plane, parent, turned in zip(order[1:].tolist(), before[order[1:]].tolist(), turns.tolist(), strict=True):
        known[plane] = -known[parent] if turned else known[parent]
    signs[order] = [known[plane] for plane in order.tolist()]
