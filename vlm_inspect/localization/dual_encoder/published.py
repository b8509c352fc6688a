"""Published CLIP weights that the methods were made for, with their licences; none of them comes with this package."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedModel:
    """Weights that somebody published."""

    id: str
    """On the hub."""
    architecture: str
    licence: str
    side: int
    """Side in pixels of the pictures that it was trained on."""
    use: str
    """What it is good for here."""


PUBLISHED = (
    PublishedModel(
        "timm/vit_base_patch16_plus_clip_240.laion400m_e31", "ViT-B/16+", "MIT", 240, "WinCLIP and ALFA, as published"
    ),
    PublishedModel("openai/clip-vit-base-patch32", "ViT-B/32", "MIT", 224, "PromptAD (VAND 3.0); small and quick"),
    PublishedModel("openai/clip-vit-base-patch16", "ViT-B/16", "MIT", 224, "a good middle for all methods"),
    PublishedModel("openai/clip-vit-large-patch14-336", "ViT-L/14", "MIT", 336, "DAPO, as published, at 518 px"),
    PublishedModel("laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "ViT-B/32", "MIT", 224, "small, GELU"),
    PublishedModel("laion/CLIP-ViT-L-14-laion2B-s32B-b82K", "ViT-L/14", "MIT", 224, "large, GELU"),
)
"""Ids to download; the licence is the one of the model card or of the repository of the weights."""


def example_id() -> str:
    """Return the id that messages recommend."""
    return "openai/clip-vit-base-patch16"
