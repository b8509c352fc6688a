"""One inspection as one self-contained page: no remote asset, everything foreign escaped.

The template is data (`templates/`). The page's content-security policy allows its own style sheet, by digest, pictures
in data URLs, on the page of a scan the script that turns it, by digest too, and nothing else; so even text that slipped
through escaping could not run or load anything.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from converters.view import View
from vlm_inspect.evidence import Evidence
from vlm_inspect.inspection import Inspection
from vlm_inspect.looks.look import Look
from vlm_inspect.report.clip_timeline import render_clip_timeline
from vlm_inspect.report.heat import colour_bar, colour_levels, heat_of_view
from vlm_inspect.report.marks import Mark, marks_of_view, rank_views
from vlm_inspect.report.nearest import normal_beside
from vlm_inspect.report.phrases import CAPTION, draw_phrases, told_map
from vlm_inspect.report.pictures import data_url
from vlm_inspect.report.pod_curve import draw_pod_curve
from vlm_inspect.report.said_once import SaidOnce
from vlm_inspect.report.timeline import render_timeline
from vlm_inspect.report.turntable import pack_scan, scale_bar
from vlm_inspect.report.wording import (
    OUTCOME_MEANING,
    SOURCE_WORDS,
    STATUS_WORDS,
    measured_words,
    part_name,
    place_words,
    rule_reason,
    score_words,
    time_words,
)
from vlm_inspect.rules import RuleBook
from vlm_inspect.safe_text import plain
from vlm_inspect.sensitivity.wording import tell_sensitivity
from vlm_inspect.significant_digits import probability_words

FIRST_VIEWS = 6
"""Views that are shown at once; the others fold."""


@dataclass(frozen=True)
class _Box:
    """A mark in pixels of its view, with the tag that carries its number."""

    number: int | None
    x: float
    y: float
    width: float
    height: float
    tag_x: float
    tag_y: float
    tag_width: float
    tag_height: float


@dataclass(frozen=True)
class _Panel:
    index: int
    label: str
    width: int
    height: int
    image: str
    beside: str | None
    """The nearest normal part."""
    beside_caption: str
    beside_width: int
    beside_height: int
    heat: str | None
    heat_caption: str
    calibrated: bool
    marks: tuple[_Box, ...]

    @property
    def narrow(self) -> bool:
        """True where two of them fit beside each other on a wide page."""
        return _is_narrow(self.width, self.height)


def render_html(
    inspection: Inspection,
    views: Sequence[View],
    evidence: Evidence,
    *,
    rules: RuleBook | None = None,
    question: str | None = None,
    looks: Sequence[Look] = (),
    references: Sequence[Sequence[View]] = (),
) -> str:
    """Return the page.

    Args:
        inspection: what to report.
        views: the pictures of the part, in the order of `inspection.views`.
        evidence: the heatmaps and regions over them.
        rules: the rule book, for the wording of its rules.
        question: what the user asked.
        looks: the steps, for the pictures that each of them showed.
        references: the views of the normal parts; the nearest one is shown beside the part.
    """
    import jinja2
    from markupsafe import Markup

    folder = resources.files("vlm_inspect.report") / "templates"
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["plain"] = plain
    template = environment.from_string((folder / "inspection.html.j2").read_text(encoding="utf-8"))
    style = (folder / "inspection.css").read_text(encoding="utf-8")
    script = (folder / "turntable.js").read_text(encoding="utf-8")
    turntable = None if evidence.surface is None else pack_scan(evidence.surface)
    panels = [
        _panel(inspection, views[index], evidence, index, references if place < FIRST_VIEWS else ())
        for place, index in enumerate(rank_views(inspection, views, evidence))
    ]
    said = SaidOnce()
    worded = told_map(evidence)
    return template.render(
        inspection=inspection,
        name=part_name(inspection),
        class_name=plain(rules.class_name) if rules else "",
        time=time_words(inspection),
        new=said.rest,
        reason=lambda rule: rule_reason(rule, inspection.rules, said),
        question=question,
        score=score_words(inspection),
        chance=probability_words,
        meaning=OUTCOME_MEANING[inspection.outcome],
        style=Markup(style),  # our own file, whose digest the policy names
        style_sha256=_digest(style),
        turntable=turntable,
        turntable_marks="" if turntable is None else turntable.marks(_points(inspection)),
        turntable_scale="" if turntable is None else data_url(scale_bar(240, 14)),
        script=Markup(script),  # likewise
        script_sha256=_digest(script),
        status_words=STATUS_WORDS,
        source_words=SOURCE_WORDS,
        rule_texts={rule.id: rule.text for rule in rules.rules} if rules else {},
        measured=measured_words,
        place=lambda defect: place_words(defect, inspection.views),
        panels=panels,
        timeline=Markup(render_timeline(inspection, looks)),  # escaped there
        over_time=Markup(render_clip_timeline(evidence.curve, inspection.events, views)),  # likewise
        shown_views={panel.index for panel in panels},
        first_views=FIRST_VIEWS,
        bars=_bars(panels),
        sensitivity_words=tell_sensitivity(inspection.sensitivity) if inspection.sensitivity else "",
        phrases=Markup(draw_phrases(worded.phrases) if worded and worded.phrases else ""),  # escaped there
        phrases_caption=CAPTION,
        phrases_of="" if worded is None else f"{worded.source}, view {worded.view}",
        pod_curve=Markup(draw_pod_curve(inspection.sensitivity) if inspection.sensitivity else ""),  # numbers alone
        has_regions=any(mark.number is None for panel in panels for mark in panel.marks),
        has_limit=any(one.tolerance_of_places is not None for one in evidence.latest_maps),
    )


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _points(inspection: Inspection) -> list[tuple[int, tuple[float, float, float]]]:
    """Return the numbers of the defects that have a point of the scan, with that point."""
    return [(number, one.point_mm) for number, one in enumerate(inspection.defects, 1) if one.point_mm is not None]


def _panel(
    inspection: Inspection, view: View, evidence: Evidence, index: int, references: Sequence[Sequence[View]]
) -> _Panel:
    heat = heat_of_view(evidence, index)
    height, width = view.size_hw
    beside = normal_beside(view, index, evidence, references)
    return _Panel(
        index=index,
        label=view.label,
        width=width,
        height=height,
        image=data_url(view.image),
        beside=data_url(beside.view.image) if beside else None,
        beside_caption=beside.caption if beside else "",
        beside_width=beside.view.size_hw[1] if beside else 0,
        beside_height=beside.view.size_hw[0] if beside else 0,
        heat=data_url(colour_levels(heat.level, calibrated=heat.calibrated)) if heat else None,
        heat_caption=heat.caption if heat else "",
        calibrated=heat is not None and heat.calibrated,
        marks=tuple(_box(mark, width, height) for mark in marks_of_view(inspection, evidence, index)),
    )


def _box(mark: Mark, width: int, height: int) -> _Box:
    x0, y0, x1, y1 = mark.box_xyxyn
    tag_height = max(width, height) / (15 if _is_narrow(width, height) else 26)
    tag_width = tag_height * (0.55 + 0.5 * len(str(mark.number or "")))
    x, y = x0 * width, y0 * height
    above = y >= tag_height
    return _Box(
        number=mark.number,
        x=round(x, 1),
        y=round(y, 1),
        width=round(max((x1 - x0) * width, 3), 1),
        height=round(max((y1 - y0) * height, 3), 1),
        tag_x=round(min(x if above else max(0.0, x - tag_width), width - tag_width), 1),
        tag_y=round(y - tag_height if above else min(y, height - tag_height), 1),
        tag_width=round(tag_width, 1),
        tag_height=round(tag_height, 1),
    )


def _is_narrow(width: int, height: int) -> bool:
    return width < 1.3 * height


def _bars(panels: Sequence[_Panel]) -> list[dict[str, object]]:
    """Return the colour bars that the heatmaps need: of limits, of own ranges, or both."""
    kinds = sorted({panel.calibrated for panel in panels if panel.heat}, reverse=True)
    return [
        {
            "calibrated": kind,
            "image": data_url(colour_bar(calibrated=kind, length=360, thickness=14, vertical=False)),
        }
        for kind in kinds
    ]
