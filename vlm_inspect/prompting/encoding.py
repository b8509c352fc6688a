"""Pictures as a model is sent them: resized once to what its price is counted in, encoded once, as what they are.

Sizes follow the tile pricing of the GPT-4 class ("Images and vision" in OpenAI's documentation): a picture is fitted
into 2048 x 2048, then to a short side of 768, and pays for each started 512 x 512 tile. Doing this here saves the
upload, and the marks are drawn at the size that the model sees.
"""

import base64
import io
import threading
from dataclasses import dataclass
from typing import Literal
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from converters.view import View
from vlm_inspect.prompting.template import Look, look_of

MimeType = Literal["image/png", "image/jpeg"]

TILE = 512
MAX_LONG_SIDE = 2048
MAX_SHORT_SIDE = 768
_WORTH_A_TILE = 0.92
"""A side is shrunk to whole tiles when that costs no more than 8 % of its pixels: 530 becomes 512."""
_JPEG_QUALITY = 90
_PHOTOGRAPHIC: frozenset[Look] = frozenset({"image", "frames"})
"""Drawn pictures (depth, plots) stay lossless: JPEG blurs thin lines and bends flat colours. The line of a mark on a
photograph is wide enough for JPEG, and the photograph as PNG would be five times the bytes."""


@dataclass(frozen=True)
class EncodedImage:
    """One picture as bytes."""

    data: bytes
    mime_type: MimeType
    size_hw: tuple[int, int]

    @property
    def data_url(self) -> str:
        """The picture as a `data:` URL."""
        return f"data:{self.mime_type};base64,{base64.b64encode(self.data).decode('ascii')}"


def fit_size(size_hw: tuple[int, int], max_side: int = 1024) -> tuple[int, int]:
    """Return the height and width in pixels to send: never larger than given, aspect ratio kept.

    Args:
        size_hw: height and width of the picture in pixels.
        max_side: longest side to send in pixels.
    """
    long, short = max(size_hw), min(size_hw)
    scale = min(1.0, min(max_side, MAX_LONG_SIDE) / long, MAX_SHORT_SIDE / short)
    for side in (long, short):
        tiles = int(side * scale // TILE)
        if tiles and side * scale * _WORTH_A_TILE <= tiles * TILE:
            scale = tiles * TILE / side
    return max(1, round(size_hw[0] * scale)), max(1, round(size_hw[1] * scale))


def shrink(image: NDArray[np.uint8], size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the picture (uint8, HWC, RGB) at that size; the same array where it already fits."""
    from PIL import Image

    if image.shape[:2] == size_hw:
        return image
    resized = Image.fromarray(image).resize((size_hw[1], size_hw[0]), Image.Resampling.LANCZOS)
    return np.asarray(resized, dtype=np.uint8)


def encode(image: NDArray[np.uint8], mime_type: MimeType) -> EncodedImage:
    """Encode a picture (uint8, HWC, RGB), without EXIF or any other metadata."""
    from PIL import Image

    buffer = io.BytesIO()
    if mime_type == "image/jpeg":
        # subsampling=0 keeps colour at full resolution: a fine discoloured line would otherwise fade.
        Image.fromarray(image).save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    else:
        Image.fromarray(image).save(buffer, "PNG")
    return EncodedImage(buffer.getvalue(), mime_type, (image.shape[0], image.shape[1]))


def form_of(view: View) -> MimeType:
    """Return how pictures of a view are encoded, with marks or without; JPEG where it does them no harm."""
    return "image/jpeg" if look_of(view) in _PHOTOGRAPHIC else "image/png"


def encode_view(view: View, max_side: int = 1024) -> EncodedImage:
    """Encode a view for sending; done once for each view and size, as long as the view lives."""
    with _LOCK:
        known = _ENCODED.setdefault(view, {})
        if max_side in known:
            return known[max_side]
    picture = shrink(view.image, fit_size(view.size_hw, max_side))
    encoded = encode(picture, form_of(view))
    with _LOCK:
        return known.setdefault(max_side, encoded)


_LOCK = threading.Lock()
_ENCODED: WeakKeyDictionary[View, dict[int, EncodedImage]] = WeakKeyDictionary()
