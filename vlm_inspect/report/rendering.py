"""An examination as the bytes of its page and of its overlay; `with_reports` lets an inspection save them itself."""

from dataclasses import dataclass, field

from vlm_inspect.examination import Examination
from vlm_inspect.inspection import Inspection


def html_page(examination: Examination) -> bytes:
    """Return the report as one self-contained HTML page, in UTF-8."""
    from vlm_inspect.report.html import render_html
    from vlm_inspect.report.page_translation import translate_page

    request = examination.request
    page = render_html(
        examination.inspection,
        examination.views,
        examination.evidence,
        rules=request.rules,
        question=request.question,
        looks=examination.looks,
        references=examination.references,
    )
    return translate_page(page, request.language).encode(errors="replace")


def overlay_png(examination: Examination) -> bytes:
    """Return the views with heatmaps and marks as a PNG."""
    from vlm_inspect.report.overlay import render_overlay
    from vlm_inspect.report.pictures import encode_png

    return encode_png(render_overlay(examination.inspection, examination.views, examination.drawn_evidence))


@dataclass(frozen=True)
class ExaminationReports:
    """The reports of one examination, drawn when they are asked for."""

    examination: Examination = field(compare=False, repr=False)

    def html_page(self) -> bytes:
        """See `html_page`."""
        return html_page(self.examination)

    def overlay_png(self) -> bytes:
        """See `overlay_png`."""
        return overlay_png(self.examination)


def with_reports(examination: Examination) -> Inspection:
    """Return the inspection of an examination, with what its `save_overlay` and `save_html` draw from."""
    return examination.inspection.drawn_by(ExaminationReports(examination))
