"""Words for defects: which word of a rule book's vocabulary a measurement supports, and which rule it bears on."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from converters.view import View
from vlm_inspect.evidence import Measurement, Region
from vlm_inspect.registration.told_finding import OTHER_SIDE
from vlm_inspect.rules import Rule, RuleBook, Severity

UNNAMED = "deviation from the references"
"""A place that is unlike the references, where nothing says how."""
UNUSUAL = "unusual place"
"""A place that is rare within the part, where there is no reference."""

_STOP_WORDS = """
a above all an and any are as at away be below both by carry each every for free from give has have in is it its line
lies material may mm neither no none nor not of off on one or out over overall part piece place reference run same stand
surface than that the their there to under unit up where which whole with without
"""
_BENT = "bent bend warp deform twist shift crooked tilt buckl"
_WIDE = "miss broken worn gap incomplete"
_SMALL = "dent chip nick pit scratch"
_LOW = f"{_BENT} miss dent chip hole broken short worn gap nick incomplete pit scratch"
_HIGH = f"{_BENT} foreign contamin blob burr debris extra bump dirt excess dust bulge"
_OPENINGS = ("hole", "bore", "slot")
"""What is filled where it is missing: the surface then lies above the references, as that of a burr does."""
_STOP = frozenset(_STOP_WORDS.split())
_TOO_LOW, _TOO_HIGH = tuple(_LOW.split()), tuple(_HIGH.split())
_ENDINGS = ("iness", "ation", "ated", "ness", "ches", "shes", "ing", "ies", "ed", "es", "s", "y", "e")
_SIDES = (
    ("material missing", _TOO_LOW, "material missing"),
    ("below the reference", _TOO_LOW, "surface below the reference"),
    ("above the reference", _TOO_HIGH, "surface above the reference"),
)
"""What a region's note says was measured, the words it may stand for, and how to put it without any of them."""
_WIDE_SHARE = 0.2
_SMALL_SHARE = 0.125
"""Shares of the part's longest side: from the first on, a place is no dent; up to the second, it is no missing piece,
and beyond it, places on both sides are a bend."""
SIZES = ("length", "width", "height", "volume", "area")
"""Measures of a part's size: where one fails, the deviation from the references shows where."""


def content_words(text: str) -> frozenset[str]:
    """Return the telling words of a text: lower case, without endings, without words that every rule holds."""
    words = frozenset(_stem(word) for word in re.findall(r"[a-z]{3,}", text.lower()) if word not in _STOP)
    return words - _STOP


def bears_on(words: str, rule: Rule, book: RuleBook) -> bool:
    """Return whether a defect's words and a rule's share a telling word other than the name of the class."""
    shared = content_words(words) & content_words(f"{rule.id} {rule.text}")
    return bool(shared - content_words(book.class_name))


@dataclass(frozen=True)
class Circumstances:
    """What else is known of a part when a place of it is named."""

    part_size: float = 0.0
    """Longest side of a scanned part in its unit; 0: not known."""
    is_bent: bool = False
    """Whether large places lie on both sides of the references, of about the same size, as a bend shows."""
    is_one_sided: bool = False
    """Whether every hot place lies on one side, so that a bend is none."""
    sizes_hold: bool = False
    """Whether the measured sizes hold their limits."""
    holes_hold: bool = False
    """Whether the part has as many holes as a rule asks for, so that none is missing."""


def circumstances(hot: Sequence[Region], views: Sequence[View], measurements: Sequence[Measurement]) -> Circumstances:
    """Return what tells the kinds of deviation apart.

    Args:
        hot: every region that exceeds its tolerance.
        views: of the part.
        measurements: what was measured of it.
    """
    size = max((view.origin.locate((0.0, 0.0, 1.0, 1.0)).size_mm or 0.0 for view in views), default=0.0)
    low, high = (
        max((r.place.size_mm or 0.0 for r in hot if _side(r) == side or OTHER_SIDE in r.note), default=0.0)
        for side in ("low", "high")
    )
    return Circumstances(
        part_size=size,
        is_bent=size > 0 and min(low, high) >= max(_SMALL_SHARE * size, 0.5 * max(low, high)),
        is_one_sided=(low > 0) != (high > 0),
        sizes_hold=any(m.passed for m in measurements if m.measure in SIZES)
        and not any(m.passed is False for m in measurements if m.measure in SIZES),
        holes_hold=any(m.passed for m in measurements if m.measure == "hole_count"),
    )


def kinds_of(region: Region, book: RuleBook, told: Circumstances | None = None) -> tuple[str, ...]:
    """Return the words of the vocabulary that a region may be, as far as the evidence tells; none: it tells nothing.

    A region's own defect type is the only one. Else the side decides on which the surface deviates, whether the part
    deviates both ways (a bend), whether its sizes hold (nothing is short), and how much of the part the place covers:
    a fifth of its longest side is no dent, an eighth is no missing thread.
    """
    if region.defect_type:
        return (region.defect_type,)
    side = _side(region)
    if not region.calibrated or side is None:
        return ()
    fitting = _of_family(book.defects, _TOO_LOW if side == "low" else _TOO_HIGH)
    if side == "high" and not (told is not None and told.holes_hold):
        fitting += [word for word in _missing_openings(book.defects) if word not in fitting]
    if told is None:
        return tuple(fitting)
    bent = _of_family(fitting, _BENT.split())
    if told.is_bent and bent:
        return tuple(bent)
    left_out = {*(bent if told.is_one_sided else ()), *(_of_family(fitting, ["short"]) if told.sizes_hold else ())}
    share = (region.place.size_mm or 0.0) / told.part_size if told.part_size > 0 else 0.0
    if share >= _WIDE_SHARE:
        left_out |= set(_of_family(fitting, _SMALL.split()))
    elif 0 < share <= _SMALL_SHARE:
        wide = _of_family(fitting, _WIDE.split())
        left_out |= set(wide if side == "low" else [word for word in wide if word not in _missing_openings(wide)])
    return tuple(word for word in fitting if word not in left_out)


def name_region(region: Region, book: RuleBook, told: Circumstances | None = None) -> str:
    """Return the best word for a region that the evidence supports: the only kind that fits, else what was measured."""
    kinds = kinds_of(region, book, told)
    if len(kinds) == 1:
        return kinds[0]
    if not region.calibrated:
        return UNUSUAL
    return next((plain for measured, _, plain in _SIDES if measured in region.note), UNNAMED)


def breaks(kinds: Sequence[str], words: str, rule: Rule, book: RuleBook) -> bool:
    """Return whether a place breaks a rule in words.

    Args:
        kinds: what it may be, in words of the vocabulary; a rule that names its defects fails where each of them does.
        words: what is said of it; a rule without defects of its own fails where both share a telling word.
        rule: the rule.
        book: its book.
    """
    if rule.defects:
        return bool(kinds) and set(kinds) <= set(rule.defects)
    return bears_on(words, rule, book)


def _side(region: Region) -> Literal["low", "high"] | None:
    """Return on which side of the references a region lies; None where nothing says."""
    for measured, _, _ in _SIDES:
        if measured in region.note:
            return "high" if measured == "above the reference" else "low"
    return None


def name_failure(measurement: Measurement, rule: Rule, book: RuleBook) -> str:
    """Return the word for a failed check: one of the vocabulary where it fits, else the rule's id in words."""
    check, value = rule.check, measurement.value
    if check is not None and value is not None and measurement.measure in SIZES:
        low = check.min is not None and value < check.min
        sizes = ["small", "narrow", "undersize"] if low else ["large", "wide", "oversize"]
        if measurement.measure == "length":
            sizes.insert(0, "short" if low else "long")
        if fitting := _of_family(book.defects, sizes):
            return fitting[0]
        if measurement.measure != "length":
            return "too small" if low else "too large"
    for word in book.defects:
        if bears_on(word, rule, book):
            return word
    return f"{rule.id.replace('-', ' ').replace('_', ' ')} out of limits"


def severity_of(words: str, book: RuleBook) -> Severity:
    """Return the worst severity of the free-text rules that a defect's word breaks; major where there is none."""
    found = {rule.severity for rule in book.rules if rule.check is None and breaks((words,), words, rule, book)}
    ranks: tuple[Severity, ...] = ("critical", "major", "minor")
    return next((severity for severity in ranks if severity in found), "major")


def _missing_openings(vocabulary: Iterable[str]) -> list[str]:
    """Return the words for a hole, bore or slot that is not there."""
    return [word for word in _of_family(vocabulary, ["miss", "fill", "block", "clog"]) if _of_family([word], _OPENINGS)]


def _of_family(vocabulary: Iterable[str], stems: Iterable[str]) -> list[str]:
    wanted = tuple(stems)
    return [entry for entry in vocabulary if any(word.startswith(wanted) for word in entry.lower().split())]


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word.removesuffix(ending) + ("ch" if ending == "ches" else "sh" if ending == "shes" else "")
    return word
