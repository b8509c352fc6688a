"""The second of two looks: choose the places that matter, enlarge them from the source, and ask again.

places  = choose_places(evidence, opinion, views, rules)          the hottest regions, and what the model named
cut     = cut_out(view, box, sample)                              zoom.py; beside it the same place of a reference
request = build_second_request(first, opinion, enlargements)      prompting/second_request.py
"""

import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise, zip_longest
from typing import Any

import numpy as np

from converters.sample import Sample
from converters.view import BoxXyxy, BoxXyxyn, View
from vlm_inspect.backends.backend import Request
from vlm_inspect.enlargement import Enlargement
from vlm_inspect.errors import ParseError
from vlm_inspect.evidence import AnomalyMap, Evidence, ReferenceMatch
from vlm_inspect.ignored import ignored_boxes
from vlm_inspect.looks.look import Look, Seen, Step
from vlm_inspect.looks.zoom import cut_out
from vlm_inspect.prompting.assembly import PromptLimits
from vlm_inspect.prompting.second_request import build_second_request
from vlm_inspect.references import Part, ReferenceSet
from vlm_inspect.rules import RuleBook
from vlm_inspect.verdict import Verdict

MOST_PLACES = 6
"""Most enlargements."""
_SAME = 0.3
"""Overlap (intersection over union) from which two boxes are one place."""
_INSIDE = 0.5
_MUCH_LARGER = 6.0
"""A box of which this share lies in one that is not much larger is the same place too: a tile's edge cut it off."""
_PEAK_SIDE = 0.08
"""Side of the box around the highest point of a map without a region, as a share of the view."""

Reason = tuple[str, Mapping[str, Any]]
Again = Callable[[Request, Verdict | ParseError], Request | None]
"""Given a first request and what was read from its answer, the request of a second look; None: nothing to look at."""


@dataclass(frozen=True)
class HotPlace:
    """Somewhere to look closer."""

    view: int
    box_xyxyn: BoxXyxyn
    reasons: tuple[Reason, ...]
    match: ReferenceMatch | None = None


def second_step(first: Look, samples: tuple[Part, ReferenceSet] | None, limits: PromptLimits) -> Step:
    """Return the step of the second look; where nothing is asked, its note says why.

    Args:
        first: the first look.
        samples: part and references at full resolution; None: they are not at hand.
        limits: sizes and numbers of the pictures.

    Raises:
        ConversionError: a clip cannot be decoded any more.
        PromptError: the texts of the second look are missing or wrong.
    """
    began = time.perf_counter()
    if isinstance(first.opinion, Verdict) and not first.opinion.by_model:
        return Step(note="A second look changes nothing for the evidence model: it reads no picture.")
    request = None
    if samples is not None and first.request is not None and first.opinion is not None:
        request = second_request(first.request, first.opinion, *samples, limits)
    if request is None:
        return Step(note="There was no second look: nothing was found or named that could be enlarged.")
    saw = tuple(Seen(one.view, one.box_xyxyn) for one in request.enlargements)
    return Step(request, "look_again", elapsed_s=time.perf_counter() - began, saw=saw)


def looking_again(samples: tuple[Part, ReferenceSet] | None, limits: PromptLimits) -> Again | None:
    """Return what makes second requests of first ones; see `second_step`."""
    if samples is None:
        return None
    part, references = samples
    return lambda first, opinion: second_request(first, opinion, part, references, limits)


def changes_of_mind(looks: Sequence[Look]) -> Iterator[str]:
    """Yield where a second look changed the verdict of the first, or took the place of one that could not be read."""
    judged = [look for look in looks if look.opinion is not None]
    for before, after in pairwise(judged):
        if after.phase != "look_again":
            continue
        first, second = before.opinion, after.opinion
        if isinstance(first, ParseError):
            yield f"The answer of the first look{_at(after)} could not be read: {first}"
        elif isinstance(first, Verdict) and isinstance(second, Verdict) and first.anomalous != second.anomalous:
            was, now = ("anomalous" if one.anomalous else "normal" for one in (first, second))
            yield f"The second look{_at(after)} changed the model's verdict from {was} to {now}."


def _at(look: Look) -> str:
    return "" if look.window is None else f" at {look.window.name}"


def second_request(
    first: Request, opinion: Verdict | ParseError, part: Part, references: ReferenceSet, limits: PromptLimits
) -> Request | None:
    """Return the request of the second look, or None where there is nothing to look closer at.

    Args:
        first: the request of the first look.
        opinion: what was read from the answer to it.
        part: the part with its sample, which the enlargements are taken from.
        references: the known-normal samples.
        limits: sizes and numbers of the pictures.

    Raises:
        ConversionError: a clip cannot be decoded any more.
        PromptError: the texts of the second look are missing or wrong.
    """
    verdict = opinion if isinstance(opinion, Verdict) else None
    places = choose_places(first.evidence, verdict, first.views, first.rules, marks=limits.regions)
    if not places:
        return None
    enlargements = [_enlarge(place, first.views, first.evidence, part.sample, references) for place in places]
    return build_second_request(first, verdict, enlargements, limits)


def choose_places(
    evidence: Evidence, verdict: Verdict | None, views: Sequence[View], rules: RuleBook, *, marks: int = 0
) -> list[HotPlace]:
    """Return at most `MOST_PLACES` places: regions and named boxes in turns, each kind in its own order.

    Where neither points anywhere, the highest points of the maps: a defect may hide inside the tolerance.

    Args:
        evidence: the regions, hottest first.
        verdict: the model's first opinion, or None.
        views: the views of the part.
        rules: boxes that they ignore are not looked at again.
        marks: how many of the regions were marked by number in the first request.
    """
    regions = [
        HotPlace(r.view, r.box_xyxyn, (("mark", {"mark": i}) if i <= marks else ("region", {}),), r.match)
        for i, r in enumerate(evidence.regions, start=1)
    ]
    named = [
        HotPlace(defect.view, defect.box_xyxyn, (("named", {"name": defect.type}),))
        for defect in (verdict.defects if verdict is not None else ())
        if defect.view is not None and defect.box_xyxyn is not None and 0 <= defect.view < len(views)
    ]
    wanted = [place for place in chain.from_iterable(zip_longest(regions, named)) if place is not None]
    chosen: list[HotPlace] = []
    for place in wanted or list(_peaks(evidence.maps, views)):
        if _is_ignored(place, views, rules):
            continue
        same = next((i for i, other in enumerate(chosen) if _are_one(place, other, views)), None)
        if same is None:
            chosen.append(place)
        else:
            reasons = tuple({key: (key, values) for key, values in (*chosen[same].reasons, *place.reasons)}.values())
            chosen[same] = replace(chosen[same], reasons=reasons, match=chosen[same].match or place.match)
    return chosen[:MOST_PLACES]


def _peaks(maps: Sequence[AnomalyMap], views: Sequence[View]) -> Iterator[HotPlace]:
    """Yield the highest point of each map, those nearest to their tolerance first."""
    high = [one for one in maps if float(one.values.max(initial=0.0)) > 0.0]
    for one in sorted(high, key=lambda m: -(m.probability or 0.0)):
        height, width = views[one.view].size_hw
        row, column = np.unravel_index(int(one.values.argmax()), one.values.shape)
        x, y = (float(column) + 0.5) / one.values.shape[1], (float(row) + 0.5) / one.values.shape[0]
        half_px = _PEAK_SIDE * max(height, width) / 2
        half_x, half_y = min(0.5, half_px / width), min(0.5, half_px / height)
        x, y = min(1 - half_x, max(half_x, x)), min(1 - half_y, max(half_y, y))
        yield HotPlace(one.view, (x - half_x, y - half_y, x + half_x, y + half_y), (("peak", {}),))


def _is_ignored(place: HotPlace, views: Sequence[View], rules: RuleBook) -> bool:
    x, y = (place.box_xyxyn[0] + place.box_xyxyn[2]) / 2, (place.box_xyxyn[1] + place.box_xyxyn[3]) / 2
    boxes = ignored_boxes(place.view, views, rules.ignore) if rules.ignore else ()
    return any(x0 <= x <= x1 and y0 <= y <= y1 for x0, y0, x1, y1 in boxes)


def _are_one(one: HotPlace, other: HotPlace, views: Sequence[View]) -> bool:
    """Whether two boxes are one place of the part; tiles of an image show the same place twice."""
    a, b = (_on_source(place, views[place.view]) for place in (one, other))
    if a[0] != b[0]:
        return False
    wide, high = min(a[1][2], b[1][2]) - max(a[1][0], b[1][0]), min(a[1][3], b[1][3]) - max(a[1][1], b[1][1])
    if wide <= 0 or high <= 0:
        return False
    small, large = sorted((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (a[1], b[1]))
    common = wide * high
    return common >= _SAME * (small + large - common) or (common >= _INSIDE * small and large <= _MUCH_LARGER * small)


def _on_source(place: HotPlace, view: View) -> tuple[Hashable, BoxXyxy]:
    """Return what a box lies on (a page, a frame, else the view), and the box there."""
    found = view.origin.locate(place.box_xyxyn)
    if found.source_xyxy is None:
        return ("view", place.view), place.box_xyxyn
    return ("source", found.page, found.frame), found.source_xyxy


def _enlarge(
    place: HotPlace, views: Sequence[View], evidence: Evidence, sample: Sample | None, references: ReferenceSet
) -> Enlargement:
    view = views[place.view]
    cut = cut_out(view, place.box_xyxyn, sample)
    plain = Enlargement(place.view, place.box_xyxyn, place.reasons, cut.image, cut.from_source)
    match = place.match or _find_match(place, evidence.maps) or _same_box(place, view, evidence.maps, references)
    if match is None or not 0 <= match.reference < len(references.parts):
        return plain
    known = references.parts[match.reference]
    if not 0 <= match.view < len(known.views):
        return plain
    # The same kind of picture of both, or none: what is drawn anew beside what is cut would differ by that alone.
    twin = cut_out(known.views[match.view], match.box_xyxyn, known.sample, cut.lens)
    return replace(plain, reference=match.reference, twin=twin.image) if twin.from_source == cut.from_source else plain


def _find_match(place: HotPlace, maps: Sequence[AnomalyMap]) -> ReferenceMatch | None:
    from vlm_inspect.localization.regions import find_match

    x, y = (place.box_xyxyn[0] + place.box_xyxyn[2]) / 2, (place.box_xyxyn[1] + place.box_xyxyn[3]) / 2
    for one in maps:
        if one.view == place.view and one.matches is not None:
            height, width = one.values.shape
            centre = min(height - 1, int(y * height)), min(width - 1, int(x * width))
            return find_match(one, place.box_xyxyn, centre)
    return None


def _same_box(
    place: HotPlace, view: View, maps: Sequence[AnomalyMap], references: ReferenceSet
) -> ReferenceMatch | None:
    """Return the same box on the comparable view of the nearest reference; None where it has no such view."""
    nearest = next((m.nearest_reference for m in maps if m.view == place.view and m.nearest_reference is not None), 0)
    if not nearest < len(references.parts):
        return None
    alike = [i for i, other in enumerate(references.parts[nearest].views) if other.key == view.key]
    if place.view in alike:
        return ReferenceMatch(nearest, place.view, place.box_xyxyn)
    # One of several tiles or grids of another count would show another place.
    return ReferenceMatch(nearest, alike[0], place.box_xyxyn) if len(alike) == 1 else None
