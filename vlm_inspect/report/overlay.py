"""The overlay sheet: the most telling views, each beside its heatmap with numbered boxes, and the defects in words."""

import re
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from converters.view import View
from vlm_inspect.evidence import Evidence
from vlm_inspect.inspection import Inspection
from vlm_inspect.report.drawing import FAINT, INK, blank_sheet, font, shorten
from vlm_inspect.report.heat import TOP, Heat, blend, colour_bar, heat_of_view
from vlm_inspect.report.marks import Mark, marks_of_view, rank_views
from vlm_inspect.report.phrases import paint_phrases, told_map
from vlm_inspect.report.wording import (
    OUTCOME_MEANING,
    SOURCE_WORDS,
    origin_words,
    part_name,
    place_words,
    score_words,
    where_and_when,
)
from vlm_inspect.safe_text import plain_line
from vlm_inspect.significant_digits import probability_words

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

MAX_VIEWS = 6
WIDTH = 1600
_MARGIN, _GAP = 28, 14
_BAR = 92
"""Width of the colour bar with its words."""
_PARTS = re.compile(r"[:;] ")
_OUTCOME_COLOUR = {"OK": (24, 128, 72), "NG": (190, 36, 40), "REVIEW": (196, 132, 8)}

Picture = NDArray[np.uint8]


def render_overlay(inspection: Inspection, views: Sequence[View], evidence: Evidence) -> Picture:
    """Return the sheet as a picture, uint8 RGB (H, 1600, 3)."""
    shown = rank_views(inspection, views, evidence)[:MAX_VIEWS]
    columns = 2 if len(shown) > 1 and all(_aspect(views[i]) < 1.3 for i in shown) else 1
    width = (WIDTH - 2 * _MARGIN - (columns - 1) * 2 * _GAP) // columns
    panels = [_panel(inspection, views[i], evidence, i, width) for i in shown]
    rows = [panels[i : i + columns] for i in range(0, len(panels), columns)]
    told = told_map(evidence)
    blocks = [
        _header(inspection),
        *(_side_by_side(row, width) for row in rows),
        *([] if told is None or told.phrases is None else [paint_phrases(told.phrases, WIDTH, margin=_MARGIN)]),
        _footer(inspection, len(views) - len(shown)),
    ]
    return np.asarray(_stack(blocks), dtype=np.uint8)


def _aspect(view: View) -> float:
    height, width = view.size_hw
    return width / height


def _header(inspection: Inspection) -> "Image":
    sheet, draw = blank_sheet(WIDTH, 116)
    colour = _OUTCOME_COLOUR[inspection.outcome]
    big, small = font(44, bold=True), font(22)
    badge = round(draw.textlength(inspection.outcome, font=big)) + 44
    draw.rounded_rectangle((_MARGIN, 18, _MARGIN + badge, 84), radius=10, fill=colour)
    draw.text((_MARGIN + 22, 51), inspection.outcome, font=big, fill="white", anchor="lm")
    words = f"{score_words(inspection)}: {OUTCOME_MEANING[inspection.outcome]}"
    left = _MARGIN + badge + 24
    room = WIDTH - _MARGIN - left
    name = shorten(part_name(inspection), draw, font(26, bold=True), room)
    draw.text((left, 36), name, font=font(26, bold=True), fill=INK, anchor="lm")
    draw.text((left, 68), shorten(words, draw, small, room), font=small, fill=INK, anchor="lm")
    told = shorten(where_and_when(inspection), draw, font(16), WIDTH - 2 * _MARGIN)
    draw.text((_MARGIN, 102), told, font=font(16), fill=FAINT, anchor="lm")
    return sheet


def _panel(inspection: Inspection, view: View, evidence: Evidence, index: int, width: int) -> "Image":
    """Draw one view beside itself with its heatmap, a colour bar, and a caption above; once where it has neither."""
    heat = heat_of_view(evidence, index)
    marks = marks_of_view(inspection, evidence, index)
    cell = (width - _GAP - (_BAR if heat else 0)) // 2
    room = width if heat is None and not marks else cell
    scale = min(room / view.size_hw[1], 620 / view.size_hw[0])
    size = (max(1, round(view.size_hw[1] * scale)), max(1, round(view.size_hw[0] * scale)))
    sheet, draw = blank_sheet(width, size[1] + 62)
    label, caption = plain_line(view.label), heat.caption if heat else "no heatmap for this view"
    if heat is None and view.kind == "deviation":  # its label says at length what it shows
        label, _, caption = _PARTS.sub("|", label, count=1).partition("|")
    title = shorten(f"view {index}: {label}", draw, font(19, bold=True), width)
    draw.text((0, 2), title, font=font(19, bold=True), fill=INK)
    draw.text((0, 28), shorten(caption, draw, font(16), width), font=font(16), fill=FAINT)
    sheet.paste(_fit(view.image, size), (0, 54))
    if heat is None and not marks:
        return sheet
    right = _fit(blend(view.image, heat) if heat else view.image, size)
    _draw_marks(right, marks)
    sheet.paste(right, (size[0] + _GAP, 54))
    if heat:
        _draw_bar(sheet, draw, heat, left=2 * size[0] + 2 * _GAP, height=size[1])
    return sheet


def _fit(image: Picture, size: tuple[int, int]) -> "Image":
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(image)).resize(size, Image.Resampling.LANCZOS)


def _draw_marks(picture: "Image", marks: Sequence[Mark]) -> None:
    """Draw white boxes with a dark rim, which stand out on every colour; those of defects carry their number."""
    from PIL import ImageDraw

    draw = ImageDraw.Draw(picture)
    for mark in reversed(marks):  # the worst defect on top
        x0, y0, x1, y1 = (v * (picture.width, picture.height)[i % 2] for i, v in enumerate(mark.box_xyxyn))
        x1, y1 = max(x1, x0 + 4), max(y1, y0 + 4)
        if mark.number is None:
            draw.rectangle((x0, y0, x1, y1), outline=(128, 128, 128), width=2)  # seen on black and on white
            continue
        draw.rectangle((x0 - 2, y0 - 2, x1 + 2, y1 + 2), outline=(20, 20, 20), width=6)
        draw.rectangle((x0, y0, x1, y1), outline="white", width=2)
        _draw_number(draw, mark.number, x0, y0, picture.size)


def _draw_number(draw: "ImageDraw", number: int, x: float, y: float, size: tuple[int, int]) -> None:
    text, bold = str(number), font(20, bold=True)
    width, height = draw.textlength(text, font=bold) + 14, 28
    above = y >= height
    x = min(max(0, x - 2 if above else x - width - 3), size[0] - width)  # without room above it, beside it
    y = y - height if above else min(y, size[1] - height)
    draw.rounded_rectangle((x, y, x + width, y + height), radius=5, fill=(20, 20, 20))
    draw.text((x + width / 2, y + height / 2), text, font=bold, fill="white", anchor="mm")


def _draw_bar(sheet: "Image", draw: "ImageDraw", heat: Heat, *, left: int, height: int) -> None:
    from PIL import Image

    length = min(height, 360)
    top = 54 + (height - length) // 2
    bar = colour_bar(calibrated=heat.calibrated, length=length, thickness=18, vertical=True)
    sheet.paste(Image.fromarray(bar), (left, top))
    draw.rectangle((left, top, left + 18, top + length), outline=FAINT)
    ticks = [(TOP, f"{TOP:g} ×"), (1.0, "limit"), (0.0, "0")] if heat.calibrated else [(1.0, "high"), (0.0, "low")]
    for level, words in ticks:
        y = top + length * (1 - level / ticks[0][0])
        draw.line((left - 3, y, left + 24, y), fill=INK, width=2)
        draw.text((left + 29, min(max(y, top + 8), top + length - 8)), words, font=font(16), fill=INK, anchor="lm")


def _footer(inspection: Inspection, left_out: int) -> "Image":
    lines: list[tuple[str, bool]] = []
    for number, defect in enumerate(inspection.defects, start=1):
        words = f"{number}  {plain_line(defect.type)}, {defect.severity}, {probability_words(defect.score)}"
        place = place_words(defect, inspection.views)
        lines += _wrap(f"{words}, {SOURCE_WORDS[defect.source]}: {place}", strong=True)
        if defect.description:
            lines += _wrap(f"    {plain_line(defect.description)}", strong=False)
    for rule in inspection.rules:
        if rule.status == "fail":
            lines += _wrap(f"{plain_line(rule.id)}: {plain_line(rule.reason)}", strong=False)
    for reason in inspection.review_reasons:
        lines += _wrap(f"review: {plain_line(reason)}", strong=False)
    more = f" · {left_out} more views not shown" if left_out > 0 else ""
    lines.append((origin_words(inspection) + more, False))
    sheet, draw = blank_sheet(WIDTH, 28 * len(lines) + 20)
    for i, (text, strong) in enumerate(lines):
        draw.text((_MARGIN, 4 + 28 * i), text, font=font(19), fill=INK if strong else FAINT)
    return sheet


def _wrap(text: str, *, strong: bool) -> list[tuple[str, bool]]:
    return [(line, strong) for line in textwrap.wrap(text, 150, subsequent_indent="    ")[:4]]


def _side_by_side(row: Sequence["Image"], width: int) -> "Image":
    sheet, _ = blank_sheet(WIDTH, max(panel.height for panel in row))
    for i, panel in enumerate(row):
        sheet.paste(panel, (_MARGIN + i * (width + 2 * _GAP), 0))
    return sheet


def _stack(blocks: Sequence["Image"]) -> "Image":
    sheet, _ = blank_sheet(WIDTH, sum(block.height for block in blocks) + _GAP * len(blocks))
    y = 0
    for block in blocks:
        sheet.paste(block, (0, y))
        y += block.height + _GAP
    return sheet
