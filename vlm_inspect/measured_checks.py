"""`measure`: the value of one rule's check, against its bounds, in words.

What cannot be measured is never an error here and never a pass: `passed` is None and the reason says why.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from converters.sample import ImageSample, PointCloud, Sample, Series
from vlm_inspect.errors import MeasurementError
from vlm_inspect.evidence import Measurement
from vlm_inspect.measurement.channel_names import plain_name
from vlm_inspect.measurement.partial import SeenPart
from vlm_inspect.measurement.registry import MEASURES, Measure, kind_names
from vlm_inspect.registration.alignment import PosedCloud, common_frame
from vlm_inspect.rules import Check, Rule


@dataclass(frozen=True)
class _Value:
    """One value of a sample that may have several: one a page, one a channel."""

    number: float
    unit: str
    whose: str = ""
    side: str = ""
    """What the number alone does not say."""


Posed = tuple[PosedCloud, Sequence[PosedCloud]]
"""A scan and its references in one frame."""


def measure(
    rule: Rule,
    sample: Sample,
    references: Sequence[Sample] = (),
    *,
    unit: str = "mm",
    posed: Posed | None = None,
    seen: SeenPart | None = None,
) -> Measurement:
    """Return the measurement of a rule's check on a sample.

    Of several pages or channels the worst counts: the one farthest outside its bounds, else closest to one.

    Args:
        rule: a rule with a check.
        sample: what is inspected.
        references: normal samples; those of another kind than the sample are not used.
        unit: of the coordinates of a scan.
        posed: the scan and its references where they are aligned already; None: they are aligned here when needed.
        seen: what the scan shows of the part; None: all of it.
    """
    check = rule.check
    if check is None:
        raise ValueError(f"rule {rule.id!r} has no check to measure")
    chosen = MEASURES[check.measure]
    if sample.kind not in chosen.kinds:
        reason = f"{chosen.name} is measured on {kind_names(chosen)}, not on this kind of input"
        return Measurement(rule.id, chosen.name, None, "", None, reason)
    if seen is not None and posed is not None and chosen.of_whole and isinstance(sample, PointCloud):
        return _measure_seen(rule.id, chosen, check, posed, seen, chosen.unit.format(unit=unit, channel=""))
    try:
        values = _values(chosen, check, sample, references, unit, posed)
    except MeasurementError as e:
        return Measurement(rule.id, chosen.name, None, chosen.unit.format(unit=unit, channel=""), None, str(e))
    unknown = next((v for v in values if not math.isfinite(v.number)), None)
    if unknown is not None:
        reason = f"{unknown.whose}the value is not a finite number"
        return Measurement(rule.id, chosen.name, None, unknown.unit, None, reason)
    worst = min(values, key=lambda value: _margin(value.number, check))
    passed = _margin(worst.number, check) >= 0.0
    reason = worst.whose + _in_words(worst, check) + (f": {worst.side}" if worst.side and not passed else "")
    return Measurement(rule.id, chosen.name, worst.number, worst.unit, passed, reason)


def _measure_seen(rule: str, chosen: Measure, check: Check, posed: Posed, seen: SeenPart, unit: str) -> Measurement:
    """Return a measurement of a part that a scan does not show all of: what is seen may be enough."""
    if chosen.of_seen is None:
        reason = f"the scan shows {100 * seen.share:.0f} % of the part: scan all of it"
        return Measurement(rule, chosen.name, None, unit, None, reason)
    found = chosen.of_seen(*posed, seen)
    value = _Value(found.number, unit)
    passed = _margin(found.number, check) >= 0.0
    if not found.unseen:
        return Measurement(rule, chosen.name, found.number, unit, passed, _in_words(value, check))
    if check.max is not None and found.number > check.max:
        reason = f"at least {_in_words(value, check)}"
        return Measurement(rule, chosen.name, found.number, unit, False, reason)
    shown = shown_number(found.number, [bound for bound in (check.min, check.max) if bound is not None])
    reason = f"at least {shown} {unit}, {found.unseen}: scan all of it"
    return Measurement(rule, chosen.name, None, unit, None, reason)


def measure_plainly(name: str, sample: Sample, *, unit: str = "mm", channel: str | None = None) -> Measurement:
    """Return the value of a measure of a sample that no rule limits; of several pages or channels, the first one's.

    Args:
        name: of a measure.
        sample: what is measured.
        unit: of the coordinates of a scan.
        channel: of a curve; None: its first one.
    """
    chosen = MEASURES[name]
    if sample.kind not in chosen.kinds:
        reason = f"{chosen.name} is measured on {kind_names(chosen)}, not on this kind of input"
        return Measurement("", name, None, "", None, reason)
    try:
        value = _values(chosen, Check.model_construct(measure=name, channel=channel), sample, (), unit, None)[0]
    except MeasurementError as error:
        return Measurement("", name, None, "", None, str(error))
    if not math.isfinite(value.number):
        return Measurement("", name, None, "", None, f"{value.whose}the value is not a finite number")
    return Measurement("", name, value.number, value.unit, None, value.whose)


def _values(
    chosen: Measure, check: Check, sample: Sample, references: Sequence[Sample], unit: str, posed: Posed | None
) -> list[_Value]:
    """Return the values of a measure on a sample, at least one."""
    alike = [reference for reference in references if reference.kind == sample.kind]
    if chosen.compares and not alike:
        raise MeasurementError(f"{chosen.name} needs a reference to compare with, and there is none")
    if isinstance(sample, ImageSample):
        return _page_values(chosen, sample, [r for r in alike if isinstance(r, ImageSample)])
    if isinstance(sample, Series) and chosen.scope == "channel":
        return _channel_values(chosen, check, sample)
    arguments: tuple[object, ...] = (sample,)
    if isinstance(sample, PointCloud) and chosen.scope == "sample_to_references":
        arguments = posed or common_frame(sample, tuple(r for r in alike if isinstance(r, PointCloud)))
    side = "" if chosen.side is None else chosen.side(*arguments)
    return [_Value(chosen.function(*arguments), chosen.unit.format(unit=unit, channel=""), side=side)]


def _page_values(chosen: Measure, sample: ImageSample, references: Sequence[ImageSample]) -> list[_Value]:
    pages = [page for reference in references for page in reference.pages]
    more = (pages,) if chosen.scope == "page_to_references" else ()
    names = [f"page {i + 1}: " for i in range(len(sample.pages))] if len(sample.pages) > 1 else [""]
    return [_Value(chosen.function(page, *more), chosen.unit, n) for page, n in zip(sample.pages, names, strict=True)]


def _channel_values(chosen: Measure, check: Check, sample: Series) -> list[_Value]:
    wanted = _wanted(sample.names, check.channel)
    if not wanted and check.channel is not None:
        raise MeasurementError(f"the curve has no channel {check.channel!r}; it has {', '.join(sample.names)}")
    if chosen.unit == "Hz" and sample.time_is_index:
        raise MeasurementError("the file has no time column, so frequencies in Hz are not known")
    values = []
    for i in wanted:
        whose = f"{sample.names[i]}: " if len(wanted) > 1 else ""
        try:
            number = chosen.function(sample.time_s, sample.values[:, i])
        except MeasurementError as e:
            raise MeasurementError(f"{whose}{e}") from e
        values.append(_Value(number, chosen.unit.format(unit="", channel=sample.units[i]), whose))
    return values


def _wanted(names: Sequence[str], channel: str | None) -> list[int]:
    """Return the columns that a check measures: those of that name, else those of it in any case; None: all."""
    if channel is None:
        return list(range(len(names)))
    exact = [i for i, name in enumerate(names) if name == channel]
    return exact or [i for i, name in enumerate(names) if plain_name(name) == plain_name(channel)]


def _margin(number: float, check: Check) -> float:
    """Return how far inside its bounds a number lies; negative: outside."""
    below = math.inf if check.min is None else number - check.min
    above = math.inf if check.max is None else check.max - number
    return min(below, above)


def _in_words(value: _Value, check: Check) -> str:
    """Say it: "18.2 mm < 19.7 mm", "20.01 mm within 19.7 to 20.3 mm"."""
    bounds = [bound for bound in (check.min, check.max) if bound is not None]
    shown, unit = shown_number(value.number, bounds), f" {value.unit}" if value.unit else ""
    if check.min is not None and value.number < check.min:
        return f"{shown}{unit} < {check.min:.12g}{unit}"
    if check.max is not None and value.number > check.max:
        return f"{shown}{unit} > {check.max:.12g}{unit}"
    if check.min is not None and check.max is not None:
        return f"{shown}{unit} within {check.min:.12g} to {check.max:.12g}{unit}"
    sign = ">=" if check.max is None else "<="
    return f"{shown}{unit} {sign} {bounds[0]:.12g}{unit}"


def shown_number(number: float, bounds: Sequence[float]) -> str:
    """Write a number with four digits, or as many as keep it on its side of its bounds."""
    for digits in range(4, 18):
        text = f"{number:.{digits}g}"
        if all((float(text) < b) == (number < b) and (float(text) > b) == (number > b) for b in bounds):
            break
    return f"{float(text):.12g}" if digits <= 12 else text
