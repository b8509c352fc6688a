"""The phrases that speak for an anomaly as bars (arXiv 2404.09654, fig. 6): for the page as SVG, for pictures as rows.

A bar is as long as the phrase's cosine with the picture, from 0. The upright line is what the phrases of a normal part
reach on average; what lies beyond it speaks for an anomaly.
"""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from vlm_inspect.evidence import AnomalyMap, Evidence, Phrases
from vlm_inspect.report.drawing import FAINT, INK, blank_sheet, font, shorten
from vlm_inspect.safe_text import plain_line

if TYPE_CHECKING:
    from PIL.Image import Image

CAPTION = "Phrases of an anomalous part nearest to the picture, by cosine; the line: what those of a normal part reach"
_WIDTH, _ROW, _TOP = 720, 40, 6
_GREY, _RED = (176, 178, 182), (190, 36, 40)
_TEXT = 86
"""Most characters of a phrase that are shown."""


def told_map(evidence: Evidence) -> AnomalyMap | None:
    """Return the map with phrases of the most anomalous view; None where no method judges by sentences."""
    told = [one for one in evidence.latest_maps if one.phrases is not None and one.phrases.nearest]
    return max(told, key=lambda one: one.score, default=None)


def bar_shares(phrases: Phrases) -> tuple[list[float], float]:
    """Return the length of each bar and where the line stands, in shares of the longest of all of them, in [0, 1].

    A cosine below 0 has no length: such a phrase is unlike the picture.
    """
    values = [max(0.0, similarity) for _, similarity in phrases.nearest]
    line = max(0.0, phrases.normal)
    longest = max(*values, line, 1e-9)
    return [value / longest for value in values], line / longest


def rows_of(phrases: Phrases) -> list[tuple[str, str]]:
    """Return each phrase as it is shown, shortened, and its cosine in words."""
    return [(_shortened(plain_line(text)), f"{similarity:.3f}") for text, similarity in phrases.nearest]


def draw_phrases(phrases: Phrases) -> str:
    """Return the SVG, or "" where there is none; text from elsewhere is escaped."""
    if not phrases.nearest:
        return ""
    shares, line = bar_shares(phrases)
    room, height = _WIDTH - 60, _TOP + _ROW * len(shares) + 20
    parts = [
        f'<svg class="phrases" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" role="img" '
        f'aria-label="{escape(CAPTION)}">'
    ]
    for number, ((text, told), share) in enumerate(zip(rows_of(phrases), shares, strict=True)):
        top = _TOP + _ROW * number
        beyond = max(0.0, share - line)
        parts += [
            f'<text class="phrase" x="0" y="{top + 13}">{escape(text)}</text>',
            f'<rect class="phrase-bar" x="0" y="{top + 19}" width="{room * min(share, line):.1f}" height="12"/>',
            f'<rect class="phrase-beyond" x="{room * min(share, line):.1f}" y="{top + 19}" '
            f'width="{room * beyond:.1f}" height="12"/>',
            f'<text class="phrase" text-anchor="end" x="{_WIDTH}" y="{top + 30}">{told}</text>',
        ]
    return "".join([*parts, *_line(room * line, height, phrases.normal), "</svg>"])


def paint_phrases(phrases: Phrases, width: int, *, margin: int = 0) -> "Image":
    """Return the same as a picture, so many pixels wide."""
    (shares, line), row, head = bar_shares(phrases), 44, 26
    room = width - 2 * margin - 70
    sheet, draw = blank_sheet(width, head + row * len(shares) + 26)
    draw.text((margin, 2), shorten(CAPTION, draw, font(16), width - 2 * margin), font=font(16), fill=FAINT)
    for number, ((text, told), share) in enumerate(zip(rows_of(phrases), shares, strict=True)):
        top, reached = head + row * number, min(share, line)
        draw.text((margin, top), shorten(text, draw, font(16), width - 2 * margin), font=font(16), fill=INK)
        draw.rectangle((margin, top + 22, margin + room * reached, top + 36), fill=_GREY)
        if share > line:
            draw.rectangle((margin + room * line, top + 22, margin + room * share, top + 36), fill=_RED)
        draw.text((width - margin, top + 29), told, font=font(16), fill=INK, anchor="rm")
    at, bottom = margin + room * line, head + row * len(shares)
    draw.line((at, head + 18, at, bottom), fill=INK, width=2)
    words, anchor = f"normal part: {phrases.normal:.3f} on average", "ra" if line > 0.5 else "la"
    draw.text((at, bottom + 3), words, font=font(16), fill=INK, anchor=anchor)
    return sheet


def _line(at: float, height: int, normal: float) -> Sequence[str]:
    anchor = "end" if at > _WIDTH / 2 else "start"
    return (
        f'<line class="phrase-line" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP + 15}" y2="{height - 18}"/>',
        f'<text class="phrase" text-anchor="{anchor}" x="{at:.1f}" y="{height - 4}">'
        f"normal part: {normal:.3f} on average</text>",
    )


def _shortened(text: str) -> str:
    return text if len(text) <= _TEXT else text[: _TEXT - 1].rstrip() + "…"
