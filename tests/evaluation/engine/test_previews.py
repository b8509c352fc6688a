"""Previews: two panels of a bounded size, the true mask outlined on the second."""

import io

import numpy as np
from PIL import Image

from converters.image import ImageOrigin
from converters.view import View
from evaluation.engine.previews import draw_preview
from vlm_inspect.evidence import AnomalyMap, Evidence


def test_a_large_view_is_shrunk_and_its_mask_outlined() -> None:
    picture = np.full((600, 900, 3), 120, np.uint8)
    view = View(picture, "image", "whole", ImageOrigin(window_xyxy=(0, 0, 900, 600), page=0))
    heat = np.zeros((600, 900), np.float32)
    heat[200:300, 300:450] = 2.0
    evidence = Evidence(maps=(AnomalyMap(0, heat, 2.0, "memory"),))
    drawn = draw_preview([view], evidence, heat > 0)
    with Image.open(io.BytesIO(drawn)) as preview:
        pixels = np.asarray(preview.convert("RGB")).astype(int)
    assert pixels.shape[:2] == (213, 2 * 320 + 4)
    magenta = np.minimum(pixels[..., 0], pixels[..., 2]) - pixels[..., 1] > 40  # JPEG pales a line of one pixel
    assert magenta[:, 324:].sum() > 50
    assert not magenta[:, :320].any()
