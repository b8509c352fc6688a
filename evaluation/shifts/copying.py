"""A copy of a data set whose test pictures are changed; training pictures and all other files stay as they are."""

import hashlib
import io
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.errors import RunError
from evaluation.shifts.shifts import Shift
from vlm_inspect.datasets.item import Dataset
from vlm_inspect.datasets.masks import ImageMask
from vlm_inspect.errors import OutputError
from vlm_inspect.file_writing import write_atomically
from vlm_inspect.real_path import real_path

_LOSSLESS = {".png", ".bmp", ".tif", ".tiff"}


def shift_dataset(
    data: Dataset, root: Path, out: Path, shift: Shift, *, strength: float, say: Callable[[str], None] = lambda _: None
) -> int:
    """Write the data set with its test pictures changed, and return how many there are.

    Args:
        data: what was read of `root`.
        root: the folder of the data set, or of one class.
        out: a folder that is not there yet.
        shift: the change.
        strength: how much of it, >= 0.
        say: is told what is done.

    Raises:
        RunError: a test item is no picture, or its mask cannot be moved with it.
        OutputError: the folder is there already, or cannot be written.
    """
    if real_path(out).is_relative_to(real_path(root)):
        raise OutputError(f"{out} lies in the data set itself; name a folder outside of it")
    if out.exists():
        raise OutputError(f"{out} is there already; name a new folder")
    tests = [item for item in data.items if item.split == "test"]
    for item in tests:
        if len(item.paths) > 1 or item.path.is_dir():
            raise RunError(f"{item.id} is no single picture; only pictures can be shifted")
        if shift.moves and item.mask is not None and not isinstance(item.mask, ImageMask):
            raise RunError(f"the mask of {item.id} is no picture and cannot be moved; choose a shift of the light")
    pictures = {real_path(item.path) for item in tests}
    masks = {real_path(item.mask.path) for item in tests if shift.moves and isinstance(item.mask, ImageMask)}
    for path in sorted(one for one in root.rglob("*") if one.is_file()):
        target = out / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        if real_path(path) in pictures:
            say(f"{shift.name}: {path.name}")
            write_atomically(target, _changed(path, shift, strength, color=True))
        elif real_path(path) in masks:
            write_atomically(target, _changed(path, shift, strength, color=False))
        else:
            shutil.copyfile(path, target)
    return len(tests)


def _changed(path: Path, shift: Shift, strength: float, *, color: bool) -> bytes:
    """Return the changed picture in the format of its file; noise is that of its name."""
    from PIL import Image

    seed = int.from_bytes(hashlib.sha256(path.name.encode()).digest()[:8], "big")
    try:
        with Image.open(path) as opened:
            kind = opened.format
            values = np.asarray(opened.convert("RGB" if color else "L"), np.uint8)
    except OSError as error:
        raise RunError(f"{path} cannot be read as a picture: {error}") from error
    changed: NDArray[np.uint8] = shift.change(values, strength, np.random.default_rng(seed))
    stream = io.BytesIO()
    quality = {} if path.suffix.lower() in _LOSSLESS else {"quality": 95}
    Image.fromarray(changed).save(stream, format=kind, **quality)
    return stream.getvalue()
