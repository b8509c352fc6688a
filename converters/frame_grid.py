"""Frames of a clip in a grid: one picture that shows a stretch of time, and maps a box back to frame and second."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from converters.sample import Frame, VideoClip
from converters.view import BoxXyxy, BoxXyxyn, Pane, Place, View, ViewBudget

_GUTTER = 4
_PAPER = (255, 255, 255)
_INK = (0, 0, 0)
_READABLE_WIDTH = 160
"""Pixels across of the smallest cell that holds a caption; smaller frames are enlarged to it."""


@dataclass(frozen=True)
class FrameCell:
    """One frame in a grid."""

    box_xyxy: tuple[int, int, int, int]
    """Pixels of the view; x1 and y1 exclusive; the picture without its caption."""
    frame: int
    time_s: float | None
    """None where the clip keeps no time."""


@dataclass(frozen=True)
class FramesOrigin:
    """Maps a box of a frame grid to a frame, a second, and pixels of that frame."""

    size_hw: tuple[int, int]
    frame_size_hw: tuple[int, int]
    cells: tuple[FrameCell, ...]
    frame_count: int | None = None
    """Frames of the whole clip; None in a record that does not tell."""

    def locate(self, box_xyxyn: BoxXyxyn) -> Place:
        """Return the place in the cell that holds the box's centre, or in the nearest cell."""
        height, width = self.size_hw
        box_xyxy = (box_xyxyn[0] * width, box_xyxyn[1] * height, box_xyxyn[2] * width, box_xyxyn[3] * height)
        x, y = (box_xyxy[0] + box_xyxy[2]) / 2, (box_xyxy[1] + box_xyxy[3]) / 2
        cell = min(self.cells, key=lambda one: _distance(one.box_xyxy, x, y))
        return Place(source_xyxy=self._in_frame(cell, box_xyxy), frame=cell.frame, time_s=cell.time_s)

    def _in_frame(self, cell: FrameCell, box_xyxy: BoxXyxy) -> BoxXyxy:
        x0, y0, x1, y1 = cell.box_xyxy
        height, width = self.frame_size_hw
        across, down = width / (x1 - x0), height / (y1 - y0)
        left, right = ((min(max(x, x0), x1) - x0) * across for x in (box_xyxy[0], box_xyxy[2]))
        top, bottom = ((min(max(y, y0), y1) - y0) * down for y in (box_xyxy[1], box_xyxy[3]))
        return left, top, right, bottom


def _distance(box_xyxy: tuple[int, int, int, int], x: float, y: float) -> float:
    x0, y0, x1, y1 = box_xyxy
    return math.hypot(max(x0 - x, 0.0, x - x1), max(y0 - y, 0.0, y - y1))


@dataclass(frozen=True)
class GridLayout:
    """Sizes in pixels of one clip's grids."""

    cell_wh: tuple[int, int]
    caption: int
    """Height of the strip above a cell that its frame number and time are written in."""
    most: int
    """Cells of a full grid."""

    @property
    def font_size(self) -> int:
        """Pixels of the captions' font."""
        return self.caption - 4

    def shape(self, count: int) -> tuple[int, int]:
        """Columns and rows of a grid of so many cells: as square as can be, wider before higher."""
        columns = math.ceil(math.sqrt(count))
        return columns, math.ceil(count / columns)

    def cell_boxes(self, count: int) -> list[tuple[int, int, int, int]]:
        """Picture rectangles of the cells, left to right, top to bottom."""
        columns, _ = self.shape(count)
        width, height = self.cell_wh
        boxes = []
        for k in range(count):
            x = _GUTTER + (k % columns) * (width + _GUTTER)
            y = (k // columns) * (height + self.caption + _GUTTER) + self.caption
            boxes.append((x, y, x + width, y + height))
        return boxes

    def size_hw(self, count: int) -> tuple[int, int]:
        """Height and width of a grid of so many cells."""
        columns, rows = self.shape(count)
        width, height = self.cell_wh
        return rows * (height + self.caption + _GUTTER), _GUTTER + columns * (width + _GUTTER)


def fit_layout(frame_size_hw: tuple[int, int], count: int, budget: ViewBudget) -> GridLayout:
    """Return the layout with the largest cells whose grid's long side stays within `budget.max_side`.

    Frames are not enlarged, unless they are too narrow for a caption.
    """
    height, width = frame_size_hw
    most = min(count, budget.grid**2)
    columns = math.ceil(math.sqrt(most))
    rows = math.ceil(most / columns)
    room = (budget.max_side - _GUTTER) // columns - _GUTTER
    caption = 20 if room >= 220 else 16
    scale = min(
        room / width,
        (budget.max_side // rows - caption - _GUTTER) / height,
        max(1.0, _READABLE_WIDTH / width),
    )
    return GridLayout((max(8, round(width * scale - 0.5)), max(8, round(height * scale - 0.5))), caption, most)


def draw_grids(frames: Iterable[Frame], layout: GridLayout, clip: VideoClip) -> Iterator[View]:
    """Draw frames into grids, consecutive in time; each frame is let go as soon as it is scaled."""
    batch: list[_Picture] = []
    for frame in frames:
        batch.append(_Picture(_scale(frame.image, layout.cell_wh), frame.index, _shown_time(frame, clip)))
        if len(batch) == layout.most:
            yield _draw(batch, layout, clip)
            batch = []
    if batch:
        yield _draw(batch, layout, clip)


@dataclass(frozen=True, eq=False)
class _Picture:
    image: NDArray[np.uint8]
    frame: int
    time_s: float | None


def _shown_time(frame: Frame, clip: VideoClip) -> float | None:
    return None if clip.time_is_index else frame.time_s


def _scale(image: NDArray[np.uint8], size_wh: tuple[int, int]) -> NDArray[np.uint8]:
    import cv2

    shrinks = image.shape[1] >= size_wh[0]
    scaled: NDArray[np.uint8] = cv2.resize(
        image, size_wh, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    return scaled


def _draw(batch: Sequence[_Picture], layout: GridLayout, clip: VideoClip) -> View:
    size_hw = layout.size_hw(len(batch))
    canvas = Image.new("RGB", (size_hw[1], size_hw[0]), _PAPER)
    draw = ImageDraw.Draw(canvas)
    boxes = layout.cell_boxes(len(batch))
    for picture, box in zip(batch, boxes, strict=True):
        canvas.paste(Image.fromarray(picture.image), box[:2])
        _write_caption(draw, picture, box, layout)
    mask = np.zeros(size_hw, dtype=np.bool_)
    for x0, y0, x1, y1 in boxes:
        mask[y0:y1, x0:x1] = True
    cells = tuple(FrameCell(box, one.frame, one.time_s) for one, box in zip(batch, boxes, strict=True))
    return View(
        image=np.array(canvas),
        kind="frames",
        label=_label(cells, clip),
        origin=FramesOrigin(size_hw, clip.size_hw, cells, clip.frame_count),
        key="frames",
        mask=mask,
        panes=tuple(Pane(cell.box_xyxy, _captions(cell.frame, cell.time_s)[0]) for cell in cells),
    )


def _captions(frame: int, time_s: float | None) -> tuple[str, ...]:
    """The caption of a cell, then shorter ones for cells too narrow for it."""
    if time_s is None:
        return f"frame {frame}", str(frame)
    return f"frame {frame}, {time_s:.2f} s", f"{frame}, {time_s:.2f} s", str(frame)


def _write_caption(
    draw: ImageDraw.ImageDraw, picture: _Picture, box: tuple[int, int, int, int], layout: GridLayout
) -> None:
    font = ImageFont.load_default(layout.font_size)
    captions = _captions(picture.frame, picture.time_s)
    fitting = (text for text in captions if draw.textlength(text, font) <= box[2] - box[0])
    middle = box[1] - layout.caption / 2
    draw.text((box[0] + 1, middle), next(fitting, captions[-1]), fill=_INK, font=font, anchor="lm")


def _label(cells: Sequence[FrameCell], clip: VideoClip) -> str:
    first, last = cells[0], cells[-1]
    if len(cells) == 1:
        time = "" if first.time_s is None else f", {first.time_s:.1f} s"
        return f"frame {first.frame} of {clip.frame_count}{time}"
    time = "" if first.time_s is None else f", {first.time_s:.1f} s to {last.time_s:.1f} s"
    return f"frames {first.frame} to {last.frame} of {clip.frame_count}{time}, left to right, top to bottom"
