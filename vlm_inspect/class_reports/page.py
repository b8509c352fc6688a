"""The page of a class's sensitivity: curve, kinds, what more references would give, and the planted defects."""

import base64
import hashlib
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.class_reports.class_report import ClassReport
from vlm_inspect.qualification.examples import Example
from vlm_inspect.report.heat import colour_levels
from vlm_inspect.report.pictures import data_url
from vlm_inspect.report.pod_curve import draw_pod_curve
from vlm_inspect.safe_text import plain
from vlm_inspect.sensitivity.wording import size_words, tell_sensitivity

_SIDE = 220


def render_sensitivity(report: ClassReport) -> str:
    """Return the page; it needs nothing but itself."""
    import jinja2
    from markupsafe import Markup

    folder = resources.files("vlm_inspect.report") / "templates"
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["plain"] = plain
    template = environment.from_string((folder / "sensitivity.html.j2").read_text(encoding="utf-8"))
    style = (folder / "inspection.css").read_text(encoding="utf-8")
    return template.render(
        title=plain(report.class_name),
        found=report.sensitivity,
        words=tell_sensitivity(report.sensitivity),
        advice=report.advice,
        share=report.held_up.words,
        trade=report.trade(),
        kinds=[
            (
                kind,
                one,
                "{:.0f} to {:.0f} %".format(*(100 * end for end in report.held_up_by_kind[kind].ci95)),
                size_words(one.size_pct, one.size_mm, report.sensitivity.unit) or "-",
            )
            for kind, one in report.sensitivity.by_kind.items()
        ],
        expected=report.expected_ok,
        curve=Markup(draw_pod_curve(report.sensitivity)),  # numbers alone
        examples=[(one, *_pictures(one)) for one in report.examples],
        style=Markup(style),  # our own file, whose digest the policy names
        style_sha256=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
    )


def _pictures(example: Example) -> tuple[str, str]:
    """Return the planted picture and the same with its heat, as data URLs."""
    import cv2

    picture = example.view.image
    size = _shrunk(picture.shape[0], picture.shape[1])
    plain_picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    if example.heat is None:
        return data_url(np.asarray(plain_picture, np.uint8)), ""
    tolerance = example.heat.tolerance_of_places
    peak = tolerance.limit if tolerance is not None else max(float(example.heat.values.max(initial=0.0)), 1e-9)
    level = cv2.resize(example.heat.values / np.float32(peak), size, interpolation=cv2.INTER_AREA)
    coloured = colour_levels(np.asarray(level, np.float32), calibrated=tolerance is not None)
    return data_url(np.asarray(plain_picture, np.uint8)), data_url(_laid_over(plain_picture, coloured))


def _laid_over(picture: NDArray[np.uint8], colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    share = colours[..., 3:].astype(np.float32) / 255
    return np.asarray(np.rint(picture * (1 - share) + colours[..., :3] * share), np.uint8)


def _shrunk(height: int, width: int) -> tuple[int, int]:
    scale = min(1.0, _SIDE / max(height, width))
    return max(1, round(width * scale)), max(1, round(height * scale))
