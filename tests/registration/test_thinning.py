"""Points averaged in cells: where the means lie, and which cells hold no surface."""

import numpy as np
from scipy.spatial import cKDTree

from vlm_inspect.registration.comparison import scan_surface, sparse
from vlm_inspect.registration.thinning import averaged


def test_the_means_of_a_face_along_the_axes_lie_on_it() -> None:
    rng = np.random.default_rng(0)
    flat = rng.uniform(0.0, 20.0, (120_000, 2))
    heights = np.linspace(0.2, 1.0, 9)  # wherever the face lies between two layers of cells
    for height in heights:
        face = np.column_stack([flat, height + rng.normal(scale=0.02, size=len(flat))])
        cells = averaged(np.concatenate([face, [[0.0, 0.0, 0.0]]]), 20_000)
        means = cells.points[cells.points[:, 2] > 0.1, 2]
        assert abs(means.mean() - height) < 0.001


def test_strays_of_a_dense_scan_are_told_by_how_few_points_their_cells_hold() -> None:
    rng = np.random.default_rng(1)
    face = np.column_stack([rng.uniform(0.0, 20.0, (150_000, 2)), rng.normal(scale=0.01, size=150_000)])
    strays = np.column_stack([rng.uniform(5.0, 15.0, (400, 2)), rng.uniform(-1.5, -0.7, 400)])
    cells = averaged(np.concatenate([face, strays]), 20_000)
    alone = sparse(cells, cKDTree(cells.points))
    off = cells.points[:, 2] < -0.5
    assert off.sum() > 300
    assert alone[off].mean() > 0.95
    assert alone[~off].mean() < 0.001
    assert (scan_surface(np.concatenate([face, strays])).points[:, 2] < -0.5).mean() < 0.001


def test_a_scan_that_is_not_averaged_has_no_sparse_cells() -> None:
    points = np.random.default_rng(2).uniform(size=(500, 3))
    cells = averaged(points, 1_000)
    assert cells.side == 0.0
    assert not sparse(cells, cKDTree(points)).any()
