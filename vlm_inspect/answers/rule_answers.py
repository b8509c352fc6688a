"""Answers about rules, about what was measured, and about what the part was compared with."""

from collections.abc import Iterator, Sequence

from vlm_inspect.answers.language import Language
from vlm_inspect.answers.place_answers import MOST_PLACES
from vlm_inspect.answers.places import SeenPlace
from vlm_inspect.answers.record import PartRecord, RuleRow
from vlm_inspect.answers.translation import put_said
from vlm_inspect.evidence import Measurement
from vlm_inspect.measured_checks import shown_number
from vlm_inspect.rules import Check, Rule

_ORDER = {"fail": 0, "cannot_tell": 1, "not_checked": 2, "pass": 3}


def tell_rules(record: PartRecord, language: Language, rules: Sequence[Rule]) -> Iterator[str]:
    """Say how the part stands to some rules, with what they ask for; to all of them where none is named."""
    if not record.rows:
        yield language.say("no_rules")
    wanted = {rule.id for rule in rules}
    for row in sorted(record.rows, key=lambda row: _ORDER[row.status]):
        if row.rule.id in wanted or not wanted:
            yield _row(row, language)
        if row.rule.id in wanted:
            yield language.say("rule_text", text=row.rule.text)


def tell_failing(record: PartRecord, language: Language) -> Iterator[str]:
    """Say which rules fail, and why."""
    for row in record.failing:
        yield language.say("rule_fails", id=row.rule.id, reason=row_reason(row, language))


def row_reason(row: RuleRow, language: Language) -> str:
    """Say why a rule came out as it did: the value and the limits of a check, else the words of the record."""
    if row.measurement is not None and row.measurement.value is not None and row.rule.check is not None:
        value, limits = _value(row.measurement, row.rule.check), _limits(row.rule.check, row.measurement.unit, language)
        return f"{language.put(row.measurement.measure)} {value}; {limits}"
    return put_said(language, row.reason.rstrip("."))


def tell_measures(record: PartRecord, language: Language, measures: Sequence[str]) -> Iterator[str]:
    """Say what was measured, with its unit and limits; what no rule asked for is measured now.

    Args:
        record: of the part.
        language: of the answer.
        measures: which; empty: all that rules asked for.
    """
    rows = [row for row in record.rows if row.measurement is not None]
    chosen = [row for row in rows if row.measurement and (row.measurement.measure in measures or not measures)]
    for row in chosen:
        yield _measured(row, language)
    measured = {row.measurement.measure for row in chosen if row.measurement}
    for name in measures:
        if name not in measured:
            yield _measured_now(record.measure(name), language)
    if not chosen and not measures:
        yield language.say("no_measure")


def tell_comparison(record: PartRecord, language: Language, places: Sequence[SeenPlace]) -> Iterator[str]:
    """Say what the part was compared with, and what its places and its hottest view are most like."""
    evidence = record.evidence
    if not evidence.reference_count:
        yield language.say("compared_none")
        return
    yield language.say("compared", count=evidence.reference_count, localizer=evidence.localizer)
    for place in places[:MOST_PLACES]:
        match = None if place.first.region is None else place.first.region.match
        if match is not None:
            told = {"number": place.first.number, "citation": place.first.citation}
            yield language.say("compared_place", reference=match.reference + 1, **told)
    known = [one for one in evidence.maps if one.nearest_reference is not None]
    hottest = max(known, key=lambda one: one.probability or 0.0, default=None)
    if hottest is not None and hottest.nearest_reference is not None:
        label = language.put(record.views[hottest.view].label)
        yield language.say("nearest", view=hottest.view, label=label, reference=hottest.nearest_reference + 1)


def _row(row: RuleRow, language: Language) -> str:
    severity, status = language.severities[row.rule.severity], language.statuses[row.status]
    return language.say("rule", id=row.rule.id, severity=severity, status=status, reason=row_reason(row, language))


def _measured(row: RuleRow, language: Language) -> str:
    measurement, check = row.measurement, row.rule.check
    assert measurement is not None
    known = {"measure": language.put(measurement.measure), "id": row.rule.id}
    if measurement.value is None or check is None:
        return language.say("not_measured", reason=put_said(language, measurement.reason.rstrip(".")), **known)
    limits, status = _limits(check, measurement.unit, language), language.statuses[row.status]
    return language.say("measured", value=_value(measurement, check), limits=limits, status=status, **known)


def _measured_now(measurement: Measurement, language: Language) -> str:
    measure = language.put(measurement.measure)
    if measurement.value is None:
        return language.say("no_value", measure=measure, reason=put_said(language, measurement.reason.rstrip(".")))
    return language.say("measured_now", measure=measure, value=_value(measurement))


def _value(measurement: Measurement, check: Check | None = None) -> str:
    """Say a value with its unit, with digits that keep it on its side of its limits."""
    limits = () if check is None else [one for one in (check.min, check.max) if one is not None]
    return f"{shown_number(measurement.value or 0.0, limits)} {measurement.unit}".strip()


def _limits(check: Check, unit: str, language: Language) -> str:
    """Say the limits of a check, in the unit of its value."""
    low, high = ("" if one is None else f"{one:.12g}" for one in (check.min, check.max))
    name = "at_most" if not low else "between" if high else "at_least"
    return language.say(name, low=low, high=high, unit=unit).strip()
