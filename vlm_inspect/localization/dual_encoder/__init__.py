"""CLIP-like pairs of towers: pictures and words in one space. `encoder.py` is the seam, `loading.py` the way in."""

from vlm_inspect.localization.dual_encoder.encoder import DualEncoder
from vlm_inspect.localization.dual_encoder.loading import load_dual_encoder

__all__ = ["DualEncoder", "load_dual_encoder"]
