"""Defects planted on clips: what lies still in a stretch of frames, what goes wrong in time, and objects.

In time: the process stands still, runs slowly, runs fast, or runs back. Objects: one that moves is taken out, is there
twice, or one that does not belong there moves through. The size of what goes wrong in time is how long it lasts, as a
share of the clip's length (of a long one, of `SPAN` frames); else a share of the frame's longer side.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from converters.clip_stretch import ChangedFrames
from converters.sample import Frame, VideoClip
from vlm_inspect.planting.clip_objects import MovingObjects, double, take_out
from vlm_inspect.planting.noise import noise_of_grain
from vlm_inspect.planting.picture import plant
from vlm_inspect.planting.surface import Mask, see_surface

STILL_KINDS = ("contamination", "stain", "hole")
"""Defects of surfaces that can be put at one place of several frames; the others look alike at a clip's resolution."""
TIME_KINDS = ("standstill", "slow", "fast", "reversed")
OBJECT_KINDS = ("missing object", "doubled object")
FOREIGN_KIND = "foreign object"
SPAN = 150
"""Frames that a clip's length counts for at most."""
_LEAST = 3
_LASTING = (0.15, 0.6)
"""Least and greatest share of the span during which something that lies still is seen, or something moves through."""
_MOST_LASTING = 40
"""Frames that one defect changes at most."""

Change = Callable[[Frame], Frame]


def kinds_of(objects: MovingObjects | None) -> tuple[str, ...]:
    """Return what can be planted on a clip with, or without, objects that move."""
    moving = OBJECT_KINDS if objects is not None else ()
    return (*STILL_KINDS, *TIME_KINDS, *moving, FOREIGN_KIND)


@dataclass(frozen=True, eq=False)
class PlantedClip:
    """A clip with a defect, and how large that is."""

    clip: VideoClip
    size: float


def plant_on_clip(
    clip: VideoClip,
    kind: str,
    size: float,
    contrast: float,
    generator: np.random.Generator,
    *,
    counted: Mask | None,
    objects: MovingObjects | None,
) -> PlantedClip:
    """Return the clip with one defect in a stretch of its frames, which are made when they are asked for.

    Args:
        clip: a normal clip of at least 12 frames.
        kind: one of `kinds_of(objects)`.
        size: see above, in (0, 1).
        contrast: strength, in (0, 1]: of a slow process, how slow.
        generator: source of every choice.
        counted: (H, W), where something that lies still may be put; None: everywhere.
        objects: what moves in the clip.
    """
    if kind in TIME_KINDS:
        return _in_time(clip, kind, size, contrast, generator)
    if kind in OBJECT_KINDS:
        assert objects is not None
        chosen = objects.follow(generator, _MOST_LASTING)
        change = take_out(chosen) if kind == OBJECT_KINDS[0] else double(chosen)
        return PlantedClip(_changed(clip, chosen.first, chosen.end, change), chosen.size)
    first, end = _stretch(clip.frame_count, generator)
    if kind == FOREIGN_KIND:
        return PlantedClip(_changed(clip, first, end, _passing(clip, first, end, size, contrast, generator)), size)
    image = next(clip.frames(frozenset({first}))).image
    made = plant(see_surface(image, counted=counted), kind, size, contrast, generator)
    rows, columns = (slice(int(one.min()), int(one.max()) + 1) for one in np.nonzero(made.mask))
    mask, laid = made.mask[rows, columns, None], made.picture[rows, columns]

    def lay(frame: Frame) -> Frame:
        picture = frame.image.copy()
        picture[rows, columns] = np.where(mask, laid, picture[rows, columns])
        return replace(frame, image=picture)

    return PlantedClip(_changed(clip, first, end, lay), size)


def _stretch(count: int, generator: np.random.Generator) -> tuple[int, int]:
    """Return first frame and end of what is seen for a while."""
    span = min(count, SPAN)
    lasting = min(_MOST_LASTING, max(1, round(float(generator.uniform(*_LASTING)) * span)))
    first = int(generator.integers(0, max(1, count - lasting + 1)))
    return first, first + lasting


def _changed(clip: VideoClip, first: int, end: int, change: Change) -> VideoClip:
    def read(wanted: frozenset[int] | None = None) -> Iterator[Frame]:
        for frame in clip.frames(wanted):
            yield change(frame) if first <= frame.index < end else frame

    return replace(clip, frames=ChangedFrames(clip, read, first, end))


def _in_time(clip: VideoClip, kind: str, size: float, contrast: float, generator: np.random.Generator) -> PlantedClip:
    """Show the frames in another order: each number stands for a frame of the original."""
    count = clip.frame_count
    lasting = max(_LEAST, min(round(size * min(count, SPAN)), count // 4, _MOST_LASTING))
    pace = {"standstill": 0.0, "slow": 0.6 - 0.5 * contrast, "fast": 1.0 + 2.0 * contrast, "reversed": -1.0}[kind]
    before = lasting if kind == "reversed" else 1
    after = max(1, round((pace - 1.0) * lasting)) if pace > 1 else 1
    first = int(generator.integers(before, max(before + 1, count - lasting - after)))
    steps = np.ones(count)
    steps[first : first + lasting] = pace
    sources = np.rint(np.cumsum(steps) - 1.0).astype(int)
    sources = sources[(sources < count) & (np.arange(count) < count)]
    kept = replace(clip, frame_count=len(sources))

    def read(wanted: frozenset[int] | None = None) -> Iterator[Frame]:
        yield from _reordered(clip, sources, wanted)

    return PlantedClip(
        replace(kept, frames=ChangedFrames(clip, read, first, first + lasting)), lasting / min(count, SPAN)
    )


def _reordered(clip: VideoClip, sources: NDArray[np.int64], wanted: frozenset[int] | None) -> Iterator[Frame]:
    """Yield frames by the numbers of their sources; one that is shown later is held until then."""
    numbers = [k for k in range(len(sources)) if wanted is None or k in wanted]
    uses = Counter(int(sources[k]) for k in numbers)
    stream = clip.frames(frozenset(uses))
    held: dict[int, NDArray[np.uint8]] = {}
    for number in numbers:
        source = int(sources[number])
        while source not in held:
            frame = next(stream, None)
            if frame is None:
                return
            held[frame.index] = frame.image
        yield Frame(number, float(number) if clip.time_is_index else number / clip.fps, held[source])
        uses[source] -= 1
        if not uses[source]:
            del held[source]


def _passing(
    clip: VideoClip, first: int, end: int, size: float, contrast: float, generator: np.random.Generator
) -> Change:
    """Return what draws a thing that crosses the frame in a straight line, from its edge to its other edge."""
    height, width = clip.size_hw
    side = max(8, round(size * max(height, width)))
    rows, columns = np.mgrid[:side, :side] / max(1, side - 1) * 2 - 1
    angle = float(generator.uniform(0, np.pi))
    grain = noise_of_grain((side, side), max(2.0, side / 5), generator)
    shape = np.clip((1.0 - np.hypot(rows, columns) + 0.25 * grain) * side / 4, 0, 1)[..., None].astype(np.float32)
    sign = 1.0 if generator.random() < 0.5 else -1.0
    shade = np.float32(128 + sign * 110 * contrast) + np.float32(20 * contrast) * grain[..., None]
    middle = np.array([generator.uniform(0.2, 0.8) * width, generator.uniform(0.2, 0.8) * height])
    way = np.array([np.cos(angle), np.sin(angle)]) * 0.5 * np.hypot(height, width)

    def change(frame: Frame) -> Frame:
        share = (frame.index - first + 0.5) / (end - first) * 2 - 1
        x, y = np.rint(middle + share * way - side / 2).astype(int)
        left, top, right, bottom = max(x, 0), max(y, 0), min(x + side, width), min(y + side, height)
        if right <= left or bottom <= top:
            return frame
        image = frame.image.copy()
        part = np.s_[top - y : bottom - y, left - x : right - x]
        under = image[top:bottom, left:right].astype(np.float32)
        image[top:bottom, left:right] = np.clip(under + shape[part] * (shade[part] - under), 0, 255).astype(np.uint8)
        return replace(frame, image=image)

    return change
