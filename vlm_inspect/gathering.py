"""`gather`: everything that is measured before the model is asked.

Two kinds of maps are made. A localizer compares pictures with pictures (`localization/`). Scans and curves are also
compared with their references as numbers, in mm and in the curve's own units: their deviation. Hot areas of both
become regions; the checks of the rule book become measurements.
"""

from collections.abc import Sequence
from dataclasses import replace

from converters.sample import PointCloud, Sample, Series
from converters.view import View
from vlm_inspect.evidence import AnomalyMap, Evidence, Measurement, Region
from vlm_inspect.ignored import ignored_boxes, without_ignored
from vlm_inspect.localization.localizer import Localizer
from vlm_inspect.localization.subject import subject_of
from vlm_inspect.references import Part, ReferenceSet
from vlm_inspect.rules import RuleBook

MAX_REGIONS = 8
"""Most regions over all views; the hottest are kept."""
REGIONS_PER_VIEW = 4


def gather(
    part: Part, references: ReferenceSet, rules: RuleBook, localizer: Localizer | None
) -> tuple[tuple[View, ...], Evidence]:
    """Localize on every view, compare with the references, measure every check.

    Returns:
        The views, pictures of a scan's deviation included, and the evidence over them.

    Raises:
        LocalizerError: the localizer or its weights cannot be used.
    """
    views, maps, regions = _deviation(part, references, rules)
    if isinstance(part.sample, Series):
        localizer = None  # the picture of a curve is compared no better than the curve itself
    if localizer is not None:
        found = _counted(localizer.localize(part.views, references.views, subject_of(rules)), views, rules)
        maps += found
        regions += _regions(found, views)
    evidence = Evidence(
        maps=tuple(maps),
        regions=tuple(sorted(regions, key=lambda region: -region.score)[:MAX_REGIONS]),
        measurements=_measurements(part, references, rules),
        reference_count=len(references),
        localizer="none" if localizer is None else localizer.name,
        notes=(*_notes(part.sample, references), *dict.fromkeys(note for one in maps for note in one.notes)),
    )
    return views, evidence


def _deviation(
    part: Part, references: ReferenceSet, rules: RuleBook
) -> tuple[tuple[View, ...], list[AnomalyMap], list[Region]]:
    """Compare as numbers; returns the views with the pictures of the deviation, its maps and its regions."""
    if part.posed is not None and references.surfaces is not None:
        from vlm_inspect.localization.scan_deviation import scan_deviation

        found = scan_deviation(part.posed, references.surfaces, part.views, unit=rules.unit)
        views = (*part.views, *found.views)
        maps = _counted(found.maps, views, rules)
        noted = [
            replace(region, note=found.note(region.view, region.box_xyxyn, rules.unit))
            for region in _regions(maps, views)
        ]
        return views, maps, noted
    if isinstance(part.sample, Series):
        from vlm_inspect.localization.series_deviation import series_deviation

        maps = _counted(series_deviation(part.sample, references.windows or (), part.views), part.views, rules)
        if _unknown_channels(part.sample, references):
            # What was not compared cannot be within its tolerance; what exceeds it elsewhere still does.
            maps = [one if (one.probability or 0.0) >= 0.5 else replace(one, tolerance=None) for one in maps]
        return part.views, maps, _regions(maps, part.views)
    return part.views, [], []


def _counted(maps: Sequence[AnomalyMap], views: Sequence[View], rules: RuleBook) -> list[AnomalyMap]:
    """The maps without what the rule book ignores: a hot spot there must not decide by the score either."""
    return [without_ignored(one, ignored_boxes(one.view, views, rules.ignore)) for one in maps]


def _regions(maps: Sequence[AnomalyMap], views: Sequence[View]) -> list[Region]:
    from vlm_inspect.localization.regions import find_regions

    return [region for one in maps for region in find_regions(one, views[one.view], max_regions=REGIONS_PER_VIEW)]


def _measurements(part: Part, references: ReferenceSet, rules: RuleBook) -> tuple[Measurement, ...]:
    from vlm_inspect.measurement.check import measure

    posed = None if part.posed is None else (part.posed, references.posed)
    return tuple(
        measure(rule, part.sample, references.samples, unit=rules.unit, posed=posed)
        for rule in rules.rules
        if rule.check is not None
    )


def _unknown_channels(series: Series, references: ReferenceSet) -> list[str]:
    """Return the channels that no reference has; same number of channels: they are matched by position."""
    if references.windows is None or len(references.windows.names) == len(series.names):
        return []
    return [name for name in series.names if name not in references.windows.names]


def _notes(sample: Sample, references: ReferenceSet) -> tuple[str, ...]:
    if isinstance(sample, PointCloud) and sample.dropped:
        return (f"{sample.dropped} points of the scan were NaN or infinite and were left out.",)
    if isinstance(sample, Series) and (unknown := _unknown_channels(sample, references)):
        return (f"The references have no channel {', '.join(unknown)}: not compared.",)
    return ()
