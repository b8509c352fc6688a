"""The defect words of an image by place, as they are kept on disk until the class is scored."""

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converters.view import View
from evaluation.errors import RunError
from evaluation.scoring.item_map import StoredMap
from vlm_inspect.evidence import AnomalyMap


@dataclass(frozen=True, eq=False)
class StoredTypes:
    """P of each defect word by place of an image, on the coarse grid that the localizer gives, in 16 bits."""

    words: tuple[str, ...]
    """K defect words."""
    grid: StoredMap
    """(K, h, w)."""
    size_hw: tuple[int, int]
    """Size of the image's anomaly map, which the grid covers."""

    def at_size(self) -> NDArray[np.float32]:
        """Return (K, H, W), float32 in [0, 1], drawn up to the size of the image's anomaly map."""
        import cv2

        size_wh = self.size_hw[1], self.size_hw[0]
        drawn = [cv2.resize(one, size_wh, interpolation=cv2.INTER_LINEAR) for one in self.grid.values()]
        return np.asarray(np.clip(np.stack(drawn), 0.0, 1.0), np.float32)

    def pack(self) -> bytes:
        """Return it as the bytes of a compressed .npz."""
        stream = io.BytesIO()
        low, high = np.float64(self.grid.low), np.float64(self.grid.high)
        words, size_hw = np.array(self.words), np.array(self.size_hw)
        np.savez_compressed(stream, words=words, size_hw=size_hw, steps=self.grid.steps, low=low, high=high)
        return stream.getvalue()


def read_types(path: Path) -> StoredTypes:
    """Return what was packed.

    Raises:
        RunError: it is missing or damaged.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as entry:
            grid = StoredMap(entry["steps"], float(entry["low"]), float(entry["high"]))
            height, width = (int(side) for side in entry["size_hw"])
            return StoredTypes(tuple(str(word) for word in entry["words"]), grid, (height, width))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise RunError(f"{path} cannot be read ({error}); start the run again with another --out") from error


def find_types(views: Sequence[View], maps: Sequence[AnomalyMap], size_hw: tuple[int, int]) -> StoredTypes | None:
    """Return the types by place of a whole image, from its first view; None where no localizer names any.

    The tiles of a large image are left out: they would compete with the whole view in another unit of place.
    """
    named = next((one.types for one in maps if one.view == 0 and one.types is not None), None)
    if named is None or views[0].kind != "image":
        return None
    return StoredTypes(named.words, StoredMap.of(named.values), size_hw)
