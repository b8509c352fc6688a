"""The aligner's closed form against the matrix that it never forms."""

import pytest
import torch

from vlm_inspect.localization.alfa.aligner import align, align_to_windows
from vlm_inspect.localization.alfa.settings import AlfaSettings, Aligner
from vlm_inspect.localization.winclip.windows import unit, window_tokens

WIDTH = 24


def randn(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def primal(whole: torch.Tensor, local: torch.Tensor, strength: float) -> torch.Tensor:
    """W = (U_L^T U_G + l I)(U_G^T U_G + l I)^-1."""
    eye = torch.eye(whole.shape[1], dtype=whole.dtype)
    return (local.T @ whole + strength * eye) @ torch.linalg.inv(whole.T @ whole + strength * eye)


@pytest.mark.parametrize("rows", [1, 5, 10, WIDTH, 60])
@pytest.mark.parametrize("ridge", [1e-3, 1e-2, 1.0])
def test_the_dual_form_is_the_primal_one(rows: int, ridge: float) -> None:
    whole, local, anchors = randn(rows, WIDTH, seed=0), randn(rows, WIDTH, seed=1), randn(2, WIDTH, seed=2)
    strength = ridge * float((whole @ whole.T).trace()) / rows
    torch.testing.assert_close(align(anchors, whole, local, ridge), anchors @ primal(whole, local, strength).T)


@pytest.mark.parametrize("rows", [5, 60])
def test_it_minimises_the_ridge_problem(rows: int) -> None:
    whole, local = randn(rows, WIDTH, seed=0), randn(rows, WIDTH, seed=1)
    eye = torch.eye(WIDTH, dtype=torch.float64)
    strength = 0.1 * float((whole @ whole.T).trace()) / rows
    matrix = align(eye, whole, local, 0.1).T  # the image of each unit vector is a column of W

    def loss(w: torch.Tensor) -> float:
        return float((whole @ w.T - local).square().sum() + strength * (w - eye).square().sum())

    for seed in range(5):
        assert loss(matrix) < loss(matrix + 1e-3 * randn(WIDTH, WIDTH, seed=seed))


def test_equal_values_change_nothing() -> None:
    whole, anchors = randn(3, 5, WIDTH, seed=0), randn(3, 2, WIDTH, seed=1)
    torch.testing.assert_close(align(anchors, whole, whole.clone(), 1e-2), anchors)


def test_much_ridge_changes_nothing() -> None:
    whole, local, anchors = randn(5, WIDTH, seed=0), randn(5, WIDTH, seed=1), randn(2, WIDTH, seed=2)
    torch.testing.assert_close(align(anchors, whole, local, 1e9), anchors, atol=1e-6, rtol=1e-6)


def test_little_ridge_maps_whole_to_local() -> None:
    whole, local = randn(5, WIDTH, seed=0), randn(5, WIDTH, seed=1)
    torch.testing.assert_close(align(whole, whole, local, 1e-10), local, atol=1e-6, rtol=1e-6)


def test_what_the_rows_do_not_span_is_kept() -> None:
    """The reason for the ridge to the identity: the minimum-norm solution would drop most of a sentence."""
    whole, local = randn(5, 64, seed=0), randn(5, 64, seed=1)
    outside = randn(1, 64, seed=2)
    outside = outside - outside @ torch.linalg.pinv(whole) @ whole
    torch.testing.assert_close(align(outside, whole, local, 1e-2), outside)


def test_rows_of_zeros_change_nothing() -> None:
    zeros, anchors = torch.zeros(5, WIDTH, dtype=torch.float64), randn(2, WIDTH, seed=0)
    torch.testing.assert_close(align(anchors, zeros, zeros, 1e-2), anchors)


@pytest.mark.parametrize("aligner", ["windows", "cls_rank1", "per_scale", "none"])
def test_every_window_gets_its_own_matrix(aligner: Aligner) -> None:
    grid_hw, scale, ridge = (4, 3), 2, 0.05
    index = window_tokens(grid_hw, scale)
    values = unit(randn(2, 13, WIDTH, seed=0)).double()
    local = unit(randn(2, len(index), 5, WIDTH, seed=1)).double()
    anchors = unit(randn(2, 2, WIDTH, seed=2)).double()
    moved = align_to_windows(anchors, values, local, grid_hw, scale, AlfaSettings(aligner=aligner, ridge=ridge))
    moved = moved.expand(2, len(index), 2, WIDTH)
    for picture in range(2):
        for window, tokens in enumerate(index):
            rows_whole, rows_local = values[picture, tokens], local[picture, window]
            if aligner == "cls_rank1":
                difference, first = rows_local[0] - rows_whole[0], rows_whole[0]
                strength = ridge * float(first @ first)
                matrix = torch.eye(WIDTH).double() + torch.outer(difference, first) / (first @ first + strength)
            elif aligner == "per_scale":
                rows_whole, rows_local = values[picture, index.flatten()], local[picture].flatten(0, 1)
                matrix = primal(rows_whole, rows_local, ridge * float(rows_whole.square().sum()) / len(rows_whole))
            elif aligner == "windows":
                matrix = primal(rows_whole, rows_local, ridge * float(rows_whole.square().sum()) / len(rows_whole))
            else:
                matrix = torch.eye(WIDTH).double()
            expected = unit(anchors[picture] @ matrix.T)
            torch.testing.assert_close(moved[picture, window].float(), expected, atol=1e-5, rtol=1e-4)
