"""Frozen networks that give every patch of a picture a feature vector: `load_network("lite0")`.

    network.py              the seam: `Network`, `PatchFeatures`
    lite0.py                EfficientNet-Lite0: its weights as plain convolutions
    dinov2.py               DINOv2 ViT-S/14: its weights, from an installed package, a folder or the hub's local cache
    transformers_model.py   any other vision transformer on this disk
    convolution.py          how a picture becomes features by convolutions, in OpenVINO and in torch
    transformer.py          the same by a vision transformer
    runtime.py              which of the two runs, and with how many threads

Every network runs in OpenVINO where that is installed and in torch elsewhere; the features are the same to within
rounding. Nothing here needs torchvision, and no name reaches the internet.
"""

from vlm_inspect.vision.loading import load_network
from vlm_inspect.vision.network import Network, PatchFeatures

__all__ = ["Network", "PatchFeatures", "load_network"]
