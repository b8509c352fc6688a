"""Answers about places: what was found, where, how big, how deep, how far along the part, how many."""

import math
from collections.abc import Iterator, Sequence

from converters.image import ImageOrigin
from converters.series_plot import PlotOrigin
from converters.view import BoxXyxyn, Place
from vlm_inspect.answers.language import Language
from vlm_inspect.answers.numbers import chance
from vlm_inspect.answers.places import NumberedPlace, SeenPlace
from vlm_inspect.answers.record import PartRecord
from vlm_inspect.answers.translation import put_said
from vlm_inspect.citation import cite
from vlm_inspect.inspection import CurveEventRecord
from vlm_inspect.registration.told_finding import ToldFinding, read_told
from vlm_inspect.significant_digits import rounded

MOST_PLACES = 3
"""Most places that one answer lists."""
_AROUND = 0.03
"""Half a side of the box around the hottest place of a view, as a fraction of the view."""


def listed(places: Sequence[SeenPlace]) -> Sequence[SeenPlace]:
    """Return the places that an answer lists: those that count, else the hottest."""
    return ([place for place in places if place.counts] or list(places))[:MOST_PLACES]


def has_sizes(places: Sequence[SeenPlace]) -> bool:
    """Return whether the size of every listed place is known in the part's unit; False where there is no place."""
    regions = [place.first.region for place in listed(places)]
    return bool(regions) and all(one is not None and one.place.size_mm is not None for one in regions)


def tell_where(record: PartRecord, language: Language, places: Sequence[SeenPlace]) -> Iterator[str]:
    """Say what each place is and where."""
    if not places:
        yield from _tell_no_place(record, language)
    for place in listed(places):
        region = place.first.region
        weak = region is not None and region.calibrated and not place.counts and region.score < 0.5
        said = place_words(record, language, place)
        yield f"{language.say('place_weak')} {said}" if weak else said


def _tell_no_place(record: PartRecord, language: Language) -> Iterator[str]:
    """Say that there is no place; of a part that a person has to look at, where to begin."""
    if record.evidence.mismatch and not record.evidence.maps:
        if record.untold_mismatch:
            yield put_said(language, record.untold_mismatch)
        return
    hottest = _hottest(record) if record.is_undecided else None
    if hottest is None:
        yield language.say("no_place")
        return
    view, box = hottest
    where = _place_words(record, language, view, box, record.views[view].origin.locate(box))
    citation = "" if isinstance(record.views[view].origin, PlotOrigin) else cite(view, box)
    yield language.say("hottest", where=where, citation=citation)


def place_words(record: PartRecord, language: Language, place: SeenPlace) -> str:
    """Say what a place is, where, how large, how sure, and which numbers it has besides."""
    first, region = place.first, place.first.region
    others = ", ".join(str(number) for number in place.numbers[1:])
    also = language.say("also", others=others) if others else ""
    word, told = language.put(first.word), {"number": first.number, "citation": first.citation, "also": also}
    if region is None:
        return language.say("place_model", word=word, **told)
    name = "place" if region.calibrated else "place_suspicious" if region.defect_type else "place_unusual"
    return language.say(
        name,
        word=word[:1].upper() + word[1:] if name == "place" else word,
        where=_where(record, language, first),
        size=_across(record, language, first),
        score=chance(region.score, language),
        note=_note(record, language, region.note),
        **told,
    )


def tell_size(record: PartRecord, language: Language, places: Sequence[SeenPlace]) -> Iterator[str]:
    """Say how large each place is: on the part, else in pixels of the picture, else as a share of its view."""
    if not places:
        yield language.say("no_place")
    for place in listed(places):
        first = place.first
        known = {"number": first.number, "word": language.put(first.word), "citation": first.citation}
        size = _across(record, language, first)
        origin = record.views[first.view].origin
        if isinstance(origin, PlotOrigin):
            yield _how_long(record, language, first, origin)
        elif size:
            yield language.say("size", size=size, **known)
        elif isinstance(origin, ImageOrigin):
            x0, y0, x1, y1 = origin.locate(first.box_xyxyn).source_xyxy or (0.0, 0.0, 0.0, 0.0)
            yield language.say("size_pixels", width=round(x1 - x0), height=round(y1 - y0), **known)
        else:
            x0, y0, x1, y1 = first.box_xyxyn
            yield language.say("size_share", percent=f"{100 * (x1 - x0) * (y1 - y0):.2g}", **known)


def _how_long(record: PartRecord, language: Language, place: NumberedPlace, origin: PlotOrigin) -> str:
    """Say from when to when a place of a curve lasts, by its event, else by the columns of its box."""
    at = origin.locate(place.box_xyxyn)
    known = {"number": place.number, "word": language.put(place.word), "channel": at.channel}
    event = _event_at(record, at)
    if event is not None:
        known["channel"] = ", ".join(event.channels)
        first, last = (
            (event.start_s, event.end_s) if not origin.time_is_index else (event.start_sample, event.end_sample)
        )
    else:
        x0, y0, x1, y1 = place.box_xyxyn
        ends = (origin.locate((x, y0, x, y1)) for x in (x0, x1))
        first, last = (one.sample if origin.time_is_index else one.time_s for one in ends)
    if origin.time_is_index:
        count = round((last or 0) - (first or 0)) + 1
        return language.say("size_samples", count=count, first=first, last=last, **known)
    begin, end = first or 0.0, last or 0.0
    digits = max(2, 1 - math.floor(math.log10(max(end - begin, 1e-12))))
    told = {"first": f"{begin:.{digits}f}", "last": f"{end:.{digits}f}", "length": rounded(end - begin, 2)}
    return language.say("size_time", **told, **known)


def _event_at(record: PartRecord, at: Place) -> CurveEventRecord | None:
    """Return the event of a curve that a place lies in."""
    for event in record.curve_events:
        first, now, last = event.start_s, at.time_s, event.end_s
        if first is None or now is None or last is None:
            first, now, last = event.start_sample, at.sample, event.end_sample
        if now is not None and first <= now <= last and (at.channel is None or at.channel in event.channels):
            return event
    return None


def tell_depth(record: PartRecord, language: Language, places: Sequence[SeenPlace]) -> Iterator[str]:
    """Say how deep or high each place is; where no place tells, the largest deviation of the part."""
    told = [(place, found) for place in listed(places) if (found := _finding(place)) is not None]
    for place, found in told:
        first = place.first
        note, word = _finding_words(found, record, language), language.put(first.word)
        yield language.say("depth", number=first.number, word=word, note=note, citation=first.citation)
    if told:
        return
    deviations = [one for one in record.evidence.maps if one.unit == record.book.unit and one.values.size]
    if not deviations:
        yield language.say("no_depth")
        return
    farthest = max(deviations, key=lambda one: float(one.values.max()))
    value = rounded(float(farthest.values.max()), 3)
    yield language.say("depth_part", value=value, unit=record.book.unit, view=farthest.view)


def tell_axis(record: PartRecord, language: Language, places: Sequence[SeenPlace]) -> Iterator[str]:
    """Say how far along the part each place lies."""
    if not places:
        yield language.say("no_axis")
    for place in listed(places):
        yield _along_part(record, language, place.first)


def tell_count(record: PartRecord, language: Language, places: Sequence[SeenPlace]) -> Iterator[str]:
    """Say how many places there are."""
    counting = sum(place.counts for place in places)
    yield language.say("count", count=counting, all=len(places), failed=len(record.failing))


def _where(record: PartRecord, language: Language, place: NumberedPlace) -> str:
    """Say where a place lies: on its view, and on the part as far as that is known."""
    on_part = None if place.region is None else place.region.place
    return _place_words(record, language, place.view, place.box_xyxyn, on_part)


def _place_words(record: PartRecord, language: Language, view: int, box_xyxyn: BoxXyxyn, on_part: Place | None) -> str:
    if on_part is not None and on_part.channel is not None:
        told = {"view": view, "channel": on_part.channel}
        if on_part.time_s is None:
            return language.say("plot_sample", sample=on_part.sample, **told)
        return language.say("plot_time", time=rounded(on_part.time_s, 5), **told)
    x0, y0, x1, y1 = box_xyxyn
    percents = {"percent_x": round(50 * (x0 + x1)), "percent_y": round(50 * (y0 + y1))}
    said = language.say("view", view=view, label=language.put(record.views[view].label), **percents)
    if on_part is None:
        return said
    if on_part.point_mm is not None:
        x, y, z = (f"{value:.1f}" for value in on_part.point_mm)
        said += language.say("point", x=x, y=y, z=z, unit=record.book.unit)
    if on_part.time_s is not None:
        said += language.say("time", time=f"{on_part.time_s:.2f}")
    if on_part.frame is not None:
        said += language.say("frame", frame=on_part.frame)
    if on_part.sample is not None:
        said += language.say("sample", sample=on_part.sample)
    return said + (language.say("page", page=on_part.page + 1) if on_part.page else "")


def _hottest(record: PartRecord) -> tuple[int, BoxXyxyn] | None:
    """Return the view and the surroundings of the hottest place of all maps, in terms of what each allows; None where
    nothing is warm."""
    best: tuple[float, int, BoxXyxyn] | None = None
    for one in record.evidence.latest_maps:
        peak = float(one.values.max(initial=0.0))
        limit = one.tolerance_of_places.limit if one.tolerance_of_places is not None else 1.0
        if peak <= 0 or (best is not None and peak / limit <= best[0]):
            continue
        height, width = one.values.shape
        row, column = divmod(int(one.values.argmax()), width)
        x, y = (column + 0.5) / width, (row + 0.5) / height
        box = (max(0.0, x - _AROUND), max(0.0, y - _AROUND), min(1.0, x + _AROUND), min(1.0, y + _AROUND))
        best = (peak / limit, one.view, box)
    return None if best is None else best[1:]


def _across(record: PartRecord, language: Language, place: NumberedPlace) -> str:
    size = None if place.region is None else place.region.place.size_mm
    return "" if size is None else language.say("across", size=rounded(size, 2), unit=record.book.unit)


def _note(record: PartRecord, language: Language, note: str) -> str:
    if not note:
        return ""
    found = read_told(note)
    if found is None:  # of an event when it happens, and what is unusual
        return language.say("note", note=": ".join(put_said(language, part) for part in note.rstrip(".").split(": ")))
    words = _finding_words(found, record, language)
    return language.say("note", note=words)


def _finding(place: SeenPlace) -> ToldFinding | None:
    """Return the first measured depth among the views of a place."""
    regions = (one.region for one in (place.first, *place.others) if one.region is not None)
    return next((found for region in regions if (found := read_told(region.note)) is not None), None)


def _finding_words(found: ToldFinding, record: PartRecord, language: Language) -> str:
    known = {"depth": f"{found.depth:.2f}", "unit": record.book.unit}
    if found.extent is None:
        return language.say(f"only_{found.side}", **known)
    values = {"extent": rounded(found.extent, 2), **known}
    if found.area is None or found.volume is None:
        return language.say("missing", **values)
    return language.say(found.side, area=rounded(found.area, 2), volume=rounded(found.volume, 2), **values)


def _along_part(record: PartRecord, language: Language, place: NumberedPlace) -> str:
    known = {"number": place.number, "word": language.put(place.word), "citation": place.citation}
    on_part = record.views[place.view].origin.locate(place.box_xyxyn) if place.region is None else place.region.place
    if on_part.time_s is not None:
        return language.say("axis_time", time=f"{on_part.time_s:.2f}", **known)
    if on_part.sample is not None:
        return language.say("axis_sample", sample=on_part.sample, **known)
    axis = record.axis
    if on_part.point_mm is not None and axis is not None:
        near = axis.along(on_part.point_mm)
        start, unit = axis.start, record.book.unit
        if not axis.starts_wider and near > axis.length / 2:
            near, start = axis.length - near, axis.end
        x, y, z = (f"{value:.1f}" for value in start)
        end = language.say("end_wider") if axis.starts_wider else language.say("end_at", x=x, y=y, z=z, unit=unit)
        lengths = {"near": f"{near:.1f}", "far": f"{axis.length - near:.1f}", "length": f"{axis.length:.1f}"}
        return language.say("axis", end=end, unit=unit, **lengths, **known)
    x0, y0, x1, y1 = place.box_xyxyn
    height, width = record.views[place.view].size_hw
    wide = width >= height
    percent = round(50 * ((x0 + x1) if wide else (y0 + y1)))
    side, start_word = ("side_width", "start_left") if wide else ("side_height", "start_top")
    return language.say(
        "axis_pixels", percent=percent, side=language.say(side), start=language.say(start_word), **known
    )  # fmt: skip
