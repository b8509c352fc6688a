"""The few-shot memory of WinCLIP+ (arXiv 2303.14814, section 4.3): how unlike every normal window is this one?"""

from collections.abc import Callable, Mapping

from torch import Tensor

from vlm_inspect.localization.winclip.picture_features import NormalFeatures, PictureFeatures
from vlm_inspect.localization.winclip.settings import Fusion, WindowSettings
from vlm_inspect.localization.winclip.windows import harmonic_mean, spread_harmonically


def associate(queries: Tensor, bank: Tensor) -> Tensor:
    """Return 1/2 min_b (1 - cos(q, b)) of every query, (B, Q) in [0, 1].

    Args:
        queries: (B, Q, J), rows of length 1.
        bank: (M, J), rows of length 1.
    """
    nearest = (queries @ bank.T).amax(dim=-1)
    return (0.5 * (1.0 - nearest)).clamp(0.0, 1.0)


def compare_with_normals(seen: PictureFeatures, normals: NormalFeatures, settings: WindowSettings) -> Tensor:
    """Return how unlike the normal pictures each patch is, (B, h, w) in [0, 1]: the mean over scales and patches."""
    maps = [
        spread_harmonically(associate(windows.features, bank), seen.grid_hw, scale, settings.least)
        for scale, windows, bank in zip(settings.scales, seen.windows, normals.windows, strict=True)
    ]
    maps.append(associate(seen.patches, normals.patches).view(-1, *seen.grid_hw))
    return sum(maps[1:], start=maps[0]) / len(maps)


def fuse(told: Tensor, remembered: Tensor, fusion: Fusion) -> Tensor:
    """Return one map of the map of the words and the map of the memory, both (B, h, w) in [0, 1]."""
    return _FUSIONS[fusion](told, remembered)


_FUSIONS: Mapping[Fusion, Callable[[Tensor, Tensor], Tensor]] = {
    "mean": lambda told, remembered: 0.5 * (told + remembered),
    "harmonic": lambda told, remembered: harmonic_mean([told, remembered]),
}
