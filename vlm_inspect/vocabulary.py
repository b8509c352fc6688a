"""Words for defects: which word of a rule book's vocabulary a measurement supports, and which rule it bears on."""

import re
from collections.abc import Iterable

from vlm_inspect.evidence import Measurement, Region
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
_BOTH_WAYS = "bent bend warp deform twist shift crooked tilt buckl"
_LOW = f"{_BOTH_WAYS} miss dent chip hole broken short worn gap nick incomplete pit scratch"
_HIGH = f"{_BOTH_WAYS} foreign contamin blob burr debris extra bump dirt excess dust bulge"
_STOP = frozenset(_STOP_WORDS.split())
_TOO_LOW, _TOO_HIGH = tuple(_LOW.split()), tuple(_HIGH.split())
_ENDINGS = ("iness", "ation", "ated", "ness", "ches", "shes", "ing", "ies", "ed", "es", "s", "y", "e")
_SIDES = (
    ("material missing", _TOO_LOW, "material missing"),
    ("below the reference", _TOO_LOW, "surface below the reference"),
    ("above the reference", _TOO_HIGH, "surface above the reference"),
)
"""What a region's note says was measured, the words it may stand for, and how to put it without any of them."""
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


def name_region(region: Region, book: RuleBook) -> str:
    """Return the best word for a region that the evidence supports.

    That is its own defect type; else, from the side on which the surface deviates, the only word of the vocabulary that
    fits; else that side in words. A bend shows on both sides, so where the vocabulary holds one, the side decides
    nothing.
    """
    if region.defect_type:
        return region.defect_type
    if not region.calibrated:
        return UNUSUAL
    for measured, families, plain in _SIDES:
        if measured in region.note:
            fitting = _of_family(book.defects, families)
            return fitting[0] if len(fitting) == 1 else plain
    return UNNAMED


def name_failure(measurement: Measurement, rule: Rule, book: RuleBook) -> str:
    """Return the word for a failed check: one of the vocabulary where it fits, else the rule's id in words."""
    check, value = rule.check, measurement.value
    if check is not None and value is not None and measurement.measure in SIZES:
        low = check.min is not None and value < check.min
        sizes = ("short", "small", "narrow", "undersize") if low else ("long", "large", "wide", "oversize")
        if fitting := _of_family(book.defects, sizes):
            return fitting[0]
    for word in book.defects:
        if bears_on(word, rule, book):
            return word
    return f"{rule.id.replace('-', ' ').replace('_', ' ')} out of limits"


def severity_of(words: str, book: RuleBook) -> Severity:
    """Return the worst severity of the free-text rules that these words bear on; major where there is none."""
    found = {rule.severity for rule in book.rules if rule.check is None and bears_on(words, rule, book)}
    ranks: tuple[Severity, ...] = ("critical", "major", "minor")
    return next((severity for severity in ranks if severity in found), "major")


def _of_family(vocabulary: Iterable[str], stems: Iterable[str]) -> list[str]:
    wanted = tuple(stems)
    return [entry for entry in vocabulary if any(word.startswith(wanted) for word in entry.lower().split())]


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word.removesuffix(ending) + ("ch" if ending == "ches" else "sh" if ending == "shes" else "")
    return word
