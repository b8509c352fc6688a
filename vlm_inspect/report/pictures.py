"""RGB arrays as PNG or JPEG bytes, and as data URLs whose type is that of the bytes."""

import base64
import io

import numpy as np
from numpy.typing import NDArray


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """Return uint8 RGB or RGBA, (H, W, 3 or 4), as PNG."""
    return _encode(image, "PNG", compress_level=6)


def encode_jpeg(image: NDArray[np.uint8]) -> bytes:
    """Return uint8 RGB, (H, W, 3), as JPEG."""
    return _encode(image, "JPEG", quality=88)


def data_url(image: NDArray[np.uint8]) -> str:
    """Return a picture as a data URL: PNG where it has transparency or compresses well, else JPEG."""
    png = encode_png(image)
    if image.shape[2] == 4 or len(png) < 200_000:
        return _url(png, "image/png")
    return _url(encode_jpeg(image), "image/jpeg")


def _encode(image: NDArray[np.uint8], file_format: str, **options: int) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, file_format, **options)
    return buffer.getvalue()


def _url(data: bytes, mime_type: str) -> str:
    return f"data:{mime_type};base64,{base64.b64encode(data).decode()}"
