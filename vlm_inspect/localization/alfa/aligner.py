"""The fine-grained aligner: sentences moved from the space of whole pictures to that of one window.

arXiv 2404.09654, section 4.3, asks for a W with W v_G = v_L, where v_G and v_L are the values of the last block for the
whole picture and for the masked one. Rows here are those values in the joint space (`last_values`), U_G and U_L, for
CLS and the tokens of a window. Few rows cannot fix a J x J matrix, so W stays near the identity where they say nothing:

    min_W |U_G W^T - U_L|^2 + lambda |W - I|^2      W = I + (U_L - U_G)^T (U_G U_G^T + lambda I)^-1 U_G

W is never formed: f_TL = f_TG + (U_L - U_G)^T (U_G U_G^T + lambda I)^-1 U_G f_TG, with systems of 5 and 10 unknowns.
"""

import torch
from torch import Tensor

from vlm_inspect.localization.alfa.settings import AlfaSettings
from vlm_inspect.localization.winclip.windows import unit, window_tokens


def align(anchors: Tensor, whole_rows: Tensor, local_rows: Tensor, ridge: float) -> Tensor:
    """Return anchors in the local space, (..., A, J), not normalised.

    Args:
        anchors: (..., A, J), what is moved.
        whole_rows: (..., n, J), U_G.
        local_rows: (..., n, J), U_L.
        ridge: lambda as a fraction of trace(U_G U_G^T) / n.
    """
    rows, width = whole_rows.shape[-2:]
    strength = ridge * whole_rows.square().sum(dim=(-2, -1)) / rows
    strength = strength.clamp(min=torch.finfo(whole_rows.dtype).tiny)[..., None, None]
    if rows <= width:
        weights = _solve(whole_rows @ whole_rows.mT, strength, whole_rows @ anchors.mT)
    else:  # the same weights: (U U^T + l I)^-1 U = U (U^T U + l I)^-1, with the smaller system
        weights = whole_rows @ _solve(whole_rows.mT @ whole_rows, strength, anchors.mT)
    return anchors + weights.mT @ (local_rows - whole_rows)


def _solve(gram: Tensor, strength: Tensor, right: Tensor) -> Tensor:
    """Return (gram + strength I)^-1 right."""
    identity = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    solved: Tensor = torch.linalg.solve(gram + strength * identity, right)
    return solved


def align_to_windows(
    anchors: Tensor, values: Tensor, window_values: Tensor, grid_hw: tuple[int, int], scale: int, settings: AlfaSettings
) -> Tensor:
    """Return the anchors of each window of one scale, (B, W or 1, 2, J), rows of length 1.

    Args:
        anchors: (B, 2, J), the pictures' own anchors.
        values: (B, 1 + h * w, J), values of the whole pictures, rows of length 1.
        window_values: (B, W, 1 + k * k, J), values of the windows, rows of length 1.
        grid_hw: h and w.
        scale: k.
        settings: which rows count, and the ridge.
    """
    if settings.aligner == "none":
        return anchors[:, None]
    whole_rows = values[:, window_tokens(grid_hw, scale, str(values.device))]
    local_rows = window_values
    if settings.aligner == "cls_rank1":
        whole_rows, local_rows = whole_rows[:, :, :1], local_rows[:, :, :1]
    if settings.aligner == "per_scale":
        whole_rows, local_rows = whole_rows.flatten(1, 2)[:, None], local_rows.flatten(1, 2)[:, None]
    return unit(align(anchors[:, None], whole_rows, local_rows, settings.ridge))
