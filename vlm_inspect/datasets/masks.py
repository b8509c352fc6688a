"""Where the defects of an item are, however a data set writes it down. Nothing is decoded before `read`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.errors import DatasetError

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class TrueRegion:
    """One anomalous region of an image, and from how many pixels on it counts as fully found."""

    mask: Flags
    """(H, W)."""
    saturation: int
    """In pixels, from 1 to the region's area."""


class Mask(Protocol):
    """A mask on disk."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that it is read from."""
        ...

    def read(self) -> Flags:
        """Return the anomalous places: (H, W) of an image, (N,) of a cloud's points, (T, H, W) of a clip.

        Raises:
            DatasetError: a file is missing or is no such mask.
        """
        ...


@dataclass(frozen=True)
class ImageMask:
    """A picture in which every value but 0 is anomalous."""

    path: Path

    @property
    def paths(self) -> tuple[Path, ...]:
        """The picture."""
        return (self.path,)

    def read(self) -> Flags:
        """Return (H, W)."""
        return np.asarray(read_picture(self.path) != 0)


@dataclass(frozen=True)
class BoxMask:
    """Boxes in the pixels of an image; each is anomalous as a whole."""

    path: Path
    image: Path
    boxes_xyxy: tuple[tuple[int, int, int, int], ...]
    """Left, top, right, bottom in pixels; right and bottom lie outside."""
    types: tuple[str, ...] = ()
    """The defect type of each box."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """The list of boxes."""
        return (self.path,)

    def read(self) -> Flags:
        """Return (H, W)."""
        width, height = picture_size_wh(self.image)
        mask = np.zeros((height, width), bool)
        for left, top, right, bottom in self.boxes_xyxy:
            mask[max(0, top) : bottom, max(0, left) : right] = True
        return mask


@dataclass(frozen=True)
class Saturation:
    """From how many pixels on a defect of one type counts as found: a number of pixels, or a share of its area."""

    defect: str
    threshold: float
    relative: bool

    def pixels(self, area: int) -> int:
        """Return the saturation area, in [1, area] (as MVTec LOCO's evaluation code: floors the share)."""
        return max(1, int(self.threshold * area) if self.relative else min(int(self.threshold), area))


@dataclass(frozen=True)
class RegionMask:
    """One picture a region; the value of its pixels names the defect, and with it the saturation (MVTec LOCO)."""

    channels: tuple[Path, ...]
    saturations: tuple[tuple[int, Saturation], ...]
    """By pixel value."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """One picture a region."""
        return self.channels

    def read(self) -> Flags:
        """Return (H, W): what any region covers."""
        found = [read_picture(path) != 0 for path in self.channels]
        if len({one.shape for one in found}) != 1:
            raise DatasetError(f"the masks in {self.channels[0].parent} differ in size")
        return np.asarray(np.any(found, axis=0))

    def regions(self) -> tuple[TrueRegion, ...]:
        """Return the regions with their saturation, for `PixelMetrics.add`.

        Raises:
            DatasetError: a channel is empty, mixes values, or has one that defects_config.json does not name.
        """
        known = dict(self.saturations)
        found = []
        for path in self.channels:
            values = read_picture(path)
            own = [int(value) for value in np.unique(values) if value]
            if len(own) != 1 or own[0] not in known:
                raise DatasetError(f"{path} has the values {own}; one is needed, and defects_config.json must name it")
            found.append(TrueRegion(values != 0, known[own[0]].pixels(int((values != 0).sum()))))
        return tuple(found)


@dataclass(frozen=True)
class PointMask:
    """A text of x, y, z and a 0 or 1 a point: Real3D-AD's ground truth."""

    path: Path

    @property
    def paths(self) -> tuple[Path, ...]:
        """The text."""
        return (self.path,)

    def read(self) -> Flags:
        """Return (N,)."""
        return np.asarray(self._table()[:, 3] != 0)

    def points(self) -> NDArray[np.float64]:
        """Return (N, 3): the points that the flags are of, in the cloud's own unit."""
        return self._table()[:, :3]

    def _table(self) -> NDArray[np.float64]:
        try:
            table = np.loadtxt(self.path, ndmin=2)
        except (OSError, ValueError) as error:
            raise DatasetError(f"{self.path} is not a list of points: {error}") from error
        if table.shape[1] != 4:
            raise DatasetError(f"{self.path} has {table.shape[1]} columns; it needs x, y, z and 0 or 1")
        return table


@dataclass(frozen=True)
class ClipMask:
    """The masks of all frames of a clip in one MATLAB file, as CUHK Avenue publishes them (`volLabel`)."""

    path: Path

    @property
    def paths(self) -> tuple[Path, ...]:
        """The MATLAB file."""
        return (self.path,)

    def read(self) -> Flags:
        """Return (T, H, W)."""
        from scipy.io import loadmat
        from scipy.io.matlab import MatReadError

        try:
            frames = loadmat(str(self.path))["volLabel"].ravel()
            return np.stack([np.asarray(frame) != 0 for frame in frames])
        except (OSError, KeyError, ValueError, MatReadError) as error:
            raise DatasetError(f"{self.path} holds no volLabel of frames: {error}") from error


@dataclass(frozen=True)
class FrameMask:
    """A clip whose truth is told frame by frame: a picture each, a flag each, or neither (UCSD pedestrians)."""

    pictures: tuple[Path | None, ...]
    """(T,): mask of each frame; None where it has none."""
    flags: tuple[bool | None, ...]
    """(T,): whether each frame is anomalous; None where nothing says so, and the frame is not scored."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """The pictures."""
        return tuple(path for path in self.pictures if path is not None)

    def read(self) -> Flags:
        """Return (T, H, W); (T, 1, 1) where frames have flags alone."""
        found = [None if path is None else read_picture(path) != 0 for path in self.pictures]
        shapes = {one.shape for one in found if one is not None}
        if len(shapes) > 1:
            raise DatasetError(f"the masks in {self.paths[0].parent} differ in size")
        shape = next(iter(shapes), (1, 1))
        whole = [np.full(shape, bool(flag)) for flag in self.flags]
        return np.stack([flat if one is None else one for one, flat in zip(found, whole, strict=True)])


def read_frames(mask: ClipMask | FrameMask) -> tuple[Flags, Flags]:
    """Return which frames of a clip are anomalous, (T,), and of which that is known, (T,).

    Raises:
        DatasetError: a file is missing or is no such mask.
    """
    if isinstance(mask, FrameMask):
        return np.array([bool(one) for one in mask.flags]), np.array([one is not None for one in mask.flags])
    flags = mask.read()
    return np.asarray(flags.reshape(len(flags), -1).any(axis=1)), np.ones(len(flags), bool)


def read_at_size(mask: Mask | None, size_hw: tuple[int, int]) -> Flags:
    """Return a picture's mask at a map's size, nearest neighbour; all False for None (a normal image).

    Raises:
        DatasetError: the mask cannot be read, or is not of a picture.
    """
    if mask is None:
        return np.zeros(size_hw, bool)
    found = mask.read()
    if found.ndim != 2:
        raise DatasetError(f"{mask.paths[0]} is not a mask of a picture")
    return scale_mask(found, size_hw)


def scale_mask(mask: Flags, size_hw: tuple[int, int]) -> Flags:
    """Return a (H, W) mask at another size, nearest neighbour (the pixel whose centre is closest)."""
    if mask.shape == size_hw:
        return mask
    rows, columns = (
        np.minimum(((np.arange(new) + 0.5) * old / new).astype(np.int64), old - 1)
        for new, old in zip(size_hw, mask.shape, strict=True)
    )
    return np.asarray(mask[rows[:, None], columns])


def read_picture(path: Path) -> NDArray[Any]:
    """Return the values of a one-channel picture, (H, W); of a colour one the largest channel, alpha apart.

    Raises:
        DatasetError: it cannot be read.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            raw = np.asarray(picture)
            shown = np.asarray(picture.convert("RGB")) if picture.mode in {"P", "PA", "LA", "RGBA"} else raw
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError) as error:
        raise DatasetError(f"{path} cannot be read as a mask: {error}") from error
    values = shown if shown.ndim == 2 else shown.max(axis=-1)
    # A palette may paint every index black; then the indices are the values.
    return raw if raw.ndim == 2 and not values.any() else values


def picture_size_wh(path: Path) -> tuple[int, int]:
    """Return width and height of a picture from its header, in pixels.

    Raises:
        DatasetError: it cannot be read.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            return int(picture.size[0]), int(picture.size[1])
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError) as error:
        raise DatasetError(f"{path} cannot be read as a picture: {error}") from error
