"""`DapoTowers`: the two frozen networks that DAPO works over, and the sizes that its learned tensors must have."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlm_inspect.localization.dapo.settings import DapoSettings
from vlm_inspect.localization.dapo.vision_path import VisionPath
from vlm_inspect.localization.dual_encoder.encoder import DualEncoder, TextTower

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class DapoTowers:
    """A vision path and a text tower. They need not share a space: DAPO's adapters map the one into the other."""

    path: VisionPath
    text: TextTower
    identity: str
    """Names and digests of the weights: equal identity, equal features."""
    name: str

    @property
    def device(self) -> "torch.device":
        """Where the weights lie."""
        return next(self.text.module.parameters()).device


@dataclass(frozen=True)
class TowerSizes:
    """What the sizes of the learned tensors follow from."""

    text_width: int
    text_blocks: int
    joint: int
    """Width of a text feature."""
    token_shape: tuple[int, int] | None
    """(blocks, width) of the visual tokens."""
    tap_widths: tuple[int, ...]
    summary: int | None = None
    """Width of the vision path's summary where it must be mapped to `joint`; None where it lies there already."""


def towers_of(
    encoder: DualEncoder, settings: DapoSettings, *, side: int | None = None, checkpoint_blocks: bool = False
) -> DapoTowers:
    """Return the towers of a dual encoder.

    Args:
        encoder: the frozen pair.
        settings: gives alpha.
        side: of the pictures, in pixels; None: 518, or the nearest multiple of the patch.
        checkpoint_blocks: see `VisionPath`: less memory in training for a third more time.

    Raises:
        LocalizerError: the side is no multiple of the patch.
    """
    path = VisionPath(encoder.vision, side=side, alpha=settings.alpha, checkpoint_blocks=checkpoint_blocks)
    return DapoTowers(path, encoder.text, encoder.identity, encoder.name)


def sizes_of(towers: DapoTowers) -> TowerSizes:
    """Return the sizes that DAPO's tensors need over these towers."""
    path, text = towers.path, towers.text
    return TowerSizes(
        text_width=text.width,
        text_blocks=text.blocks,
        joint=text.joint,
        token_shape=path.token_shape,
        tap_widths=tuple(path.tap_widths),
    )
