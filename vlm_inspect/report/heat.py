"""Heatmaps as colours: yellow is the limit on every calibrated view, red twice the limit; below it, blue fades out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.evidence import AnomalyMap, Evidence

TOP = 2.0
"""Where the colours of a calibrated map end, in limits."""
_COLD, _YELLOW, _RED = 0.08, 0.66, 0.92
"""Places in the colour table for nothing, for the limit and for `TOP` limits."""
_ALPHA = 0.74
"""Opacity of what is hot: less of it is lost on grey metal, more of it hides the surface."""
_FADES_IN = {True: (0.5, 0.95), False: (0.3, 0.8)}
"""Levels between which the colours come in, calibrated or not. Most of a normal part lies at half the limit: clear
there, so that no tint lies over the whole picture; opaque at the limit, where yellow must show on grey."""


@dataclass(frozen=True, eq=False)
class Heat:
    """The heatmap of one view, ready for colouring."""

    source: AnomalyMap
    level: NDArray[np.float32]
    """HW, >= 0. Calibrated: in limits, 1.0 is the limit. Uncalibrated: 0 to 1 over the map's own range."""
    peak: float
    """Largest level."""
    caption: str

    @property
    def calibrated(self) -> bool:
        """True when 1.0 is a limit that normal samples set."""
        return self.source.tolerance is not None


def heat_of_view(evidence: Evidence, view: int) -> Heat | None:
    """Return the heatmap of one view, of several the one farthest above its limit; None: the view has none."""
    heats = [_heat(m) for m in evidence.latest_maps if m.view == view]
    return max(heats, key=lambda heat: (heat.calibrated, heat.peak), default=None)


def _heat(source: AnomalyMap) -> Heat:
    values = np.nan_to_num(source.values, nan=0.0, posinf=0.0, neginf=0.0)
    unit = f" {source.unit}" if source.unit else ""
    tolerance = source.tolerance_of_places
    if tolerance is not None:
        level = values / np.float32(tolerance.limit)
        caption = f"{source.source}: limit {tolerance.limit:.3g}{unit}, peak {float(values.max(initial=0)):.3g}{unit}"
        return Heat(source, level, float(level.max(initial=0)), caption)
    low, high = float(values.min(initial=np.inf)), float(values.max(initial=0))
    level = (values - np.float32(low)) / np.float32(max(high - low, 1e-12))
    caption = f"{source.source}: uncalibrated, colours span its own range, {low:.3g} to {high:.3g}{unit}"
    return Heat(source, level, float(level.max(initial=0)), caption)


def colour_levels(level: NDArray[np.float32], *, calibrated: bool) -> NDArray[np.uint8]:
    """Return RGBA, uint8 (..., 4), of levels; what is far below the limit is transparent."""
    import cv2

    flat = np.ascontiguousarray(level, dtype=np.float32).reshape(-1, 1)
    if calibrated:
        place = np.interp(flat, [0.0, 1.0, TOP], [_COLD, _YELLOW, _RED])
    else:
        place = np.interp(flat, [0.0, 1.0], [_COLD, _RED])
    table = cv2.applyColorMap(np.round(place * 255).astype(np.uint8), cv2.COLORMAP_TURBO)[..., ::-1]
    low, high = _FADES_IN[calibrated]
    share = np.clip((flat - low) / (high - low), 0, 1)
    alpha = np.round(_ALPHA * share * share * (3 - 2 * share) * 255).astype(np.uint8)  # a smooth step
    return np.concatenate([table.reshape(-1, 3), alpha], axis=1).reshape(*level.shape, 4)


def blend(image: NDArray[np.uint8], heat: Heat) -> NDArray[np.uint8]:
    """Return the view, uint8 HWC RGB, with its heatmap laid over it."""
    rgba = colour_levels(heat.level, calibrated=heat.calibrated).astype(np.float32)
    alpha = rgba[..., 3:] / 255
    return np.round(image * (1 - alpha) + rgba[..., :3] * alpha).astype(np.uint8)


def colour_bar(*, calibrated: bool, length: int, thickness: int, vertical: bool) -> NDArray[np.uint8]:
    """Return the bar of colours, uint8 RGB, cold to hot from left to right or from bottom to top."""
    steps = np.linspace(0, TOP if calibrated else 1.0, length, dtype=np.float32)
    rgba = colour_levels(steps[None, :], calibrated=calibrated).astype(np.float32)
    alpha = np.clip(rgba[..., 3:] / 255 / _ALPHA, 0, 1)
    bar = np.round(255 * (1 - alpha) + rgba[..., :3] * alpha).astype(np.uint8).repeat(thickness, axis=0)
    return np.ascontiguousarray(np.rot90(bar)) if vertical else bar
