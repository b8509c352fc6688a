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
    start, end = _edges(neighbours, np.arange(count))
    weight = _turning(points, normals, start, end, spacing)
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


def outward_again(
    points: NDArray[np.float64],
    outward: NDArray[np.float64],
    neighbours: NDArray[np.int32],
    spacing: float,
    rows: NDArray[np.intp],
) -> NDArray[np.float64]:
    """Return the outward normals (R, 3) of some planes, told by the others around them.

    Args:
        points: (N, 3), in the scan's unit.
        outward: (N, 3), unit length; those of the rows are kept where no other plane is connected with them.
        neighbours: (N, k), each point's nearest ones, itself first.
        spacing: median distance between neighbours, in the scan's unit.
        rows: which planes.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

    start, end = _edges(neighbours, rows)
    nodes, local = np.unique(np.concatenate([start, end]), return_inverse=True)
    told = np.flatnonzero(~np.isin(nodes, rows))
    root = len(nodes)  # from which all that is told is reached first
    weight = np.concatenate([_turning(points, outward, start, end, spacing), np.full(len(told), 1e-9)])
    ends = np.concatenate([local[: len(start)], np.full(len(told), root)]), np.concatenate([local[len(start) :], told])
    tree = minimum_spanning_tree(csr_array((weight, ends), shape=(root + 1, root + 1)))
    order, before = breadth_first_order(tree, root, directed=False)
    signs = np.ones(root + 1)
    _spread(signs, np.concatenate([outward[nodes], np.zeros((1, 3))]), order, before)
    return np.asarray(outward[rows] * signs[np.searchsorted(nodes, rows)][:, None])


def _edges(neighbours: NDArray[np.int32], rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
    """Return from which planes (E,) to which (E,) signs may spread."""
    near = neighbours[rows, 1 : _EDGES + 1]
    return np.repeat(rows, near.shape[1]), near.ravel()


def _turning(
    points: NDArray[np.float64],
    normals: NDArray[np.float64],
    start: NDArray[np.intp],
    end: NDArray[np.int32],
    spacing: float,
) -> NDArray[np.float64]:
    """Return how unsure it is that planes (E,) at both ends of an edge look to one side, > 0."""
    along = np.abs(np.einsum("ij,ij->i", normals[start], normals[end]))
    reach = np.linalg.norm(points[start] - points[end], axis=1) / max(spacing, 1e-300)
    # Two sheets close together have parallel planes, too: a step along the plane is better than one across it.
    across = np.abs(np.einsum("ij,ij->i", points[start] - points[end], normals[start]))
    return np.asarray(1e-6 + (1.0 - along) + 0.5 * across / max(spacing, 1e-300) + 0.01 * reach)


def _spread(
    signs: NDArray[np.float64], normals: NDArray[np.float64], order: NDArray[np.int32], before: NDArray[np.int32]
) -> None:
    """Give every plane of a piece, in the order of its tree, the sign that agrees with the one before it."""
    turns = np.einsum("ij,ij->i", normals[order[1:]], normals[before[order[1:]]]) < 0.0
    known = {int(order[0]): 1.0}
    for plane, parent, turned in zip(order[1:].tolist(), before[order[1:]].tolist(), turns.tolist(), strict=True):
        known[plane] = -known[parent] if turned else known[parent]
    signs[order] = [known[plane] for plane in order.tolist()]
