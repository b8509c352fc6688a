"""`gather`: everything that is measured before the model is asked.

The localizers that were fitted to the class (`localization/composition.py`) compare the part with its references; hot
areas of their maps become regions. The checks of the rule book become measurements.
"""

from collections.abc import Sequence
from dataclasses import replace

from converters.sample import PointCloud, Sample
from converters.view import View
from vlm_inspect.evidence import AnomalyMap, Evidence, Measurement, Region
from vlm_inspect.ignored import ignored_boxes, without_ignored
from vlm_inspect.localization.composition import FittedClass
from vlm_inspect.localization.localizer import Localization
from vlm_inspect.references import Part, ReferenceSet
from vlm_inspect.rules import RuleBook

MAX_REGIONS = 8
"""Most regions over all views; the hottest are kept."""
REGIONS_PER_VIEW = 4


def gather(
    part: Part, references: ReferenceSet, rules: RuleBook, fitted: FittedClass
) -> tuple[tuple[View, ...], Evidence]:
    """Localize on every view, measure every check.

    Args:
        part: what is inspected.
        references: the normal samples that its checks are compared with.
        rules: the checks, and the boxes that never count.
        fitted: what judges the part, fitted to these references.

    Returns:
        The views, pictures of what was found included, and the evidence over them.

    Raises:
        LocalizerError: a localizer or its weights cannot be used.
    """
    found = [one.localize(part) for one in fitted.members]
    views = (*part.views, *(picture for one in found for picture in one.pictures))
    found = [replace(one, maps=_counted(one.maps, views, rules)) for one in found]
    maps = tuple(made for one in found for made in one.maps)
    regions = [region for one in found for region in _regions(one, views)]
    notes = (note for one in found for note in one.notes)
    evidence = Evidence(
        maps=maps,
        regions=tuple(sorted(regions, key=lambda region: -region.score)[:MAX_REGIONS]),
        measurements=_measurements(part, references, rules),
        reference_count=len(references),
        localizer=fitted.localizer,
        notes=(*_notes(part.sample), *notes, *dict.fromkeys(note for one in maps for note in one.notes)),
    )
    return views, evidence


def _counted(maps: Sequence[AnomalyMap], views: Sequence[View], rules: RuleBook) -> tuple[AnomalyMap, ...]:
    """The maps without what the rule book ignores: a hot spot there must not decide by the score either."""
    return tuple(without_ignored(one, ignored_boxes(one.view, views, rules.ignore)) for one in maps)


def _regions(found: Localization, views: Sequence[View]) -> list[Region]:
    from vlm_inspect.localization.regions import find_regions

    hot = (region for one in found.maps for region in find_regions(one, views[one.view], max_regions=REGIONS_PER_VIEW))
    return [
        replace(
            region,
            note=found.describe(region.view, region.box_xyxyn) or region.note,
            place=found.locate(region.view, region.box_xyxyn) or region.place,
        )
        for region in hot
    ]


def _measurements(part: Part, references: ReferenceSet, rules: RuleBook) -> tuple[Measurement, ...]:
    from vlm_inspect.measurement.check import measure

    if part.sample is None:
        return ()
    posed = None if part.posed is None else (part.posed, references.posed)
    return tuple(
        measure(rule, part.sample, references.samples, unit=rules.unit, posed=posed)
        for rule in rules.rules
        if rule.check is not None
    )


def _notes(sample: Sample | None) -> tuple[str, ...]:
    notes = () if sample is None else sample.notes
    if isinstance(sample, PointCloud) and sample.dropped:
        return (f"{sample.dropped} points of the scan were NaN or infinite and were left out.", *notes)
    return notes
