"""The tensors that PromptAD learns, and how they turn a frozen tower's features into a map.

B pictures, N = h * w patches, D the width of the vision tower, J the joint space, C classes, m vision prompts.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vlm_inspect.localization.dual_encoder.encoder import DualEncoder, VisionTower
from vlm_inspect.localization.dual_encoder.image_features import encode_image
from vlm_inspect.localization.promptad.settings import CheckpointHeader

NORMAL, ANOMALOUS = 0, 1
"""Places of the two prompts in (..., 2, J)."""


@dataclass(frozen=True, eq=False)
class VisionFeatures:
    """What the frozen tower says of B pictures; without augmentation it can be kept and used again."""

    patches: Tensor
    """(B, N, D) float32, not projected."""
    pictures: Tensor
    """(B, J) float32: CLS of the last block in the joint space, of length 1."""
    grid_hw: tuple[int, int]


@torch.no_grad()
def extract_features(tower: VisionTower, pixels: Tensor, layer: int | None = None) -> VisionFeatures:
    """Run the frozen tower over pixels (B, 3, S, S).

    Args:
        tower: the vision tower.
        pixels: normalised; S a multiple of the patch.
        layer: block whose patch tokens are wanted, from 1; None: the last.

    Raises:
        LocalizerError: the pictures do not fit the tower.
    """
    tapped = layer or tower.blocks
    features = encode_image(tower, pixels.to(next(tower.module.parameters()).device), [tapped])
    pictures = F.normalize(features.cls.float(), dim=-1)
    return VisionFeatures(features.layers[tapped].float(), pictures, features.grid_hw)


def _precision(tower: VisionTower) -> torch.dtype:
    return next(tower.module.parameters()).dtype


class VisionPromptLearner(nn.Module):
    """Normal and anomaly prompts in the space of the patches, and what they add to each patch.

    A_s = softmax(F P_s^T / sqrt(D)), F_s = A_s P_s for s in {normal, anomaly}; F' = F + W_o (F_a - F_n). W_o starts at
    zero, so that training starts from the plain features. The report names the learner; this wiring is ours.
    """

    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        self.normal = nn.Parameter(torch.randn(count, width))
        self.anomalous = nn.Parameter(torch.randn(count, width))
        self.output = nn.Linear(width, width, bias=False)
        nn.init.zeros_(self.output.weight)

    def forward(self, patches: Tensor) -> Tensor:
        """Return the augmented patches, (B, N, D)."""
        towards = self._attend(patches, self.anomalous) - self._attend(patches, self.normal)
        augmented: Tensor = patches + self.output(towards)
        return augmented

    @staticmethod
    def _attend(patches: Tensor, prompts: Tensor) -> Tensor:
        shares = torch.softmax(patches @ prompts.T / patches.shape[-1] ** 0.5, dim=-1)
        return shares @ prompts


class LocalizationHead(nn.Sequential):
    """Two 3 x 3 convolutions (256 and 128 channels, batch norm, ReLU) and a 1 x 1 convolution (report, section 3.3)."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            nn.Conv2d(channels, 256, 3, padding=1),
            nn.BatchNorm2d(256),
            nn.ReLU(),
            nn.Conv2d(256, 128, 3, padding=1),
            nn.BatchNorm2d(128),
            nn.ReLU(),
            nn.Conv2d(128, 1, 1),
        )


class PromptAdNet(nn.Module):
    """All that is trained, and the text embeddings that it started from: what a checkpoint holds."""

    anchors: Tensor
    """(C, 2, J): the normal and the anomalous text embedding of each class, of length 1; not trained."""

    def __init__(self, width: int, anchors: Tensor, *, prompts: int, text_channel: str) -> None:
        """Make the tensors from the global random state.

        Args:
            width: D.
            anchors: (C, 2, J), where the learned prompts start.
            prompts: m.
            text_channel: "none", "anchors" or "learned".
        """
        super().__init__()
        self.vision_prompts = VisionPromptLearner(width, prompts)
        self.text_prompts = nn.Parameter(anchors.clone())
        self.head = LocalizationHead(width + (text_channel != "none"))
        self.text_channel = text_channel
        self.register_buffer("anchors", anchors)

    def forward(
        self,
        features: VisionFeatures,
        classes: Tensor,
        tower: VisionTower,
        *,
        side: int,
        temperature: float,
    ) -> Tensor:
        """Return the logits of the maps, (B, side, side) float32.

        Args:
            features: of the frozen tower.
            classes: (B,) int64: the class of each picture.
            tower: the frozen tower; patches go through its way to the joint space.
            side: the maps' side in pixels.
            temperature: of the text channel.
        """
        patches = self.vision_prompts(features.patches)
        if self.text_channel != "none":
            prompts = self.text_prompts if self.text_channel == "learned" else self.anchors
            joint = F.normalize(tower.leave(patches.to(_precision(tower))).float(), dim=-1)
            ends = F.normalize(prompts[classes], dim=-1)
            # sums of products stay in float32 under autocast; a matrix product would round the small difference
            towards = (joint * (ends[:, ANOMALOUS] - ends[:, NORMAL])[:, None]).sum(dim=-1) / temperature
            patches = torch.cat([patches, towards[..., None].to(patches.dtype)], dim=-1)
        grid = patches.transpose(1, 2).unflatten(2, features.grid_hw)
        logits = self.head(grid).float()
        return F.interpolate(logits, (side, side), mode="bilinear", align_corners=False)[:, 0]


def new_net(encoder: DualEncoder, plan: CheckpointHeader, anchors: Tensor) -> PromptAdNet:
    """Return the tensors as training starts from them, on the towers' device; equal seeds give equal tensors."""
    settings = plan.promptad
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        net = PromptAdNet(
            encoder.vision.width, anchors.cpu(), prompts=settings.prompts, text_channel=settings.text_channel
        )
    return net.to(encoder.device)
