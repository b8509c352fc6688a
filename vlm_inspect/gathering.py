"""`gather`: everything that is measured before the model is asked.

The localizers that were fitted to the class (`localization/composition.py`) compare the part with its references; hot
areas of their maps become regions. The checks of the rule book become measurements.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from converters.sample import ImageSample, PointCloud, Sample
from converters.view import View
from vlm_inspect.evidence import AnomalyMap, Evidence, Measurement, Region
from vlm_inspect.ignored import blanked, ignored_boxes, score_shift, without_ignored
from vlm_inspect.localization.composition import NO_LOCALIZER, FittedClass
from vlm_inspect.localization.localizer import Localization
from vlm_inspect.localization.other_part import other_part
from vlm_inspect.localization.photo_mismatch import transparent_alone
from vlm_inspect.localization.whole_part.usual_part import Unusual
from vlm_inspect.measurement.partial import SeenPart
from vlm_inspect.references import Part, ReferenceSet
from vlm_inspect.registration.identity import INCOMPARABLE, Shown
from vlm_inspect.rules import RuleBook
from vlm_inspect.sensitivity.standing import Standing
from vlm_inspect.sensitivity.whole_surface import WholeLay
from vlm_inspect.sensitivity.wording import tell_whole

MAX_REGIONS = 8
"""Most regions over all views; those beyond a tolerance, then the hottest, are kept."""
_BEYOND = 0.5
"""Score from which on a calibrated region exceeds its tolerance."""
REGIONS_PER_VIEW = 4
_OBLONG = 1.15
"""A photo whose sides differ by less stands neither way."""
_UNMEASURED: dict[Shown, str] = {
    "other unit": "the scan is in another unit than its references: convert it",
    "other clock": "the curve's time is in another unit than that of its references: convert it",
    "several parts": "the scan shows several parts: give one scan for each",
    "mirror image": "the scan is a mirror image of its references: they cannot be compared",
    "other part": "the scan seems to be of another part: it cannot be compared with the references",
    "piece": "the scan shows a piece of the part: scan all of it",
}
"""Why checks of a scan or a curve are not measured, by what it shows."""


def gather(
    part: Part,
    references: ReferenceSet,
    rules: RuleBook,
    fitted: FittedClass,
    whole: Sequence[WholeLay | None] | None = None,
) -> tuple[tuple[View, ...], Evidence]:
    """Localize on every view, measure every check.

    Args:
        part: what is inspected.
        references: the normal samples that its checks are compared with.
        rules: the checks, and the boxes that never count.
        fitted: what judges the part, fitted to these references.
        whole: how a calibration lays the scores of the surface as a whole; None: as the references say.

    Returns:
        The views, pictures of what was found included, and the evidence over them.

    Raises:
        LocalizerError: a localizer or its weights cannot be used.
    """
    seen = replace(part, views=blanked(part.views, rules.ignore))
    compared = bool(fitted.members) and isinstance(part.sample, ImageSample)
    other_photo = _other_photo(part.sample, references, seen.views, fitted) if compared else ""
    found = [Localization(mismatch=other_photo)] if other_photo else [one.localize(seen) for one in fitted.members]
    shows: Shown = next((one.shows for one in found if one.shows != "part"), "part")
    if shows in INCOMPARABLE:
        found = [Localization(mismatch=one.mismatch) for one in found]
    partly = next((one.seen for one in found if one.seen is not None), None)
    if shows == "piece" or partly is not None:  # what is missing in its pictures was not scanned
        found = [one if one.shows == "piece" or one.seen is not None else Localization() for one in found]
    measurements = _measurements(part, references, rules, partly)
    measurements = measurements if shows == "piece" and partly is not None else _unmeasured(measurements, shows)
    views = (*part.views, *(picture for one in found for picture in one.pictures))
    found = [counted(one, views, rules) for one in found]
    maps = tuple(made for one in found for made in one.maps)
    standing = _standing(found, fitted, whole)
    # Of another part no place is told: its deviations say where it is another, not what is wrong with it.
    told = [one for one in found if one.shows != "other part"]
    regions = [region for one in told for region in regions_of(one, views)]
    if standing is not None and standing.outcome == "NG" and not regions and len(told) == len(found):
        regions = _hottest(found, views)
    notes = (note for one in found for note in one.notes)
    mismatch = next((one.mismatch for one in found if one.mismatch), "")
    unusual = fitted.usual.unusual(seen.views) if compared and not mismatch else Unusual()
    if compared and not mismatch:
        is_ng = standing is not None and standing.outcome == "NG"
        mismatch = " ".join(filter(None, [*unusual.said, other_part(maps) if is_ng else ""]))
    evidence = Evidence(
        maps=maps,
        regions=tuple(sorted([*unusual.regions, *regions], key=_by_weight)[:MAX_REGIONS]),
        measurements=measurements,
        reference_count=len(references),
        localizer=_name_of_maps(fitted, maps),
        surface=next((one.surface for one in found if one.surface is not None), None),
        curve=next((one.curve for one in found if one.curve is not None), None),
        sample_curve=next((one.sample_curve for one in found if one.sample_curve is not None), None),
        mismatch=mismatch,
        standing=standing,
        incomplete=fitted.standing_of is not None and standing is None,
        notes=(
            *((fitted.advice,) if fitted.advice else ()),
            *(note for note in (tell_whole(standing),) if note),
            *_notes(part.sample),
            *(() if other_photo else (*_turned(part.sample, references), *_without_counterpart(part, references))),
            *notes,
            *dict.fromkeys(note for one in maps for note in one.notes),
        ),
    )
    return views, evidence


def _other_photo(photo: Sample | None, references: ReferenceSet, views: Sequence[View], fitted: FittedClass) -> str:
    """Say why a photo is not compared with its references; nothing where it can be."""
    return transparent_alone(photo, references.samples) or fitted.photo.mismatch(views)


def _name_of_maps(fitted: FittedClass, maps: Sequence[AnomalyMap]) -> str:
    """Return the name of what made the maps: the chosen localizer, else what a scan, clip or curve has of its own."""
    if fitted.localizer != NO_LOCALIZER or not maps:
        return fitted.localizer
    return "+".join(dict.fromkeys(one.source for one in maps))


def counted(found: Localization, views: Sequence[View], rules: RuleBook) -> Localization:
    """The finding without what the rule book ignores: a hot spot there must not decide by the score either."""
    maps = tuple(without_ignored(one, ignored_boxes(one.view, views, rules.ignore)) for one in found.maps)
    if found.log_scores is None:
        return replace(found, maps=maps)
    return replace(found, maps=maps, log_scores=found.log_scores + score_shift(found.maps, maps))


def _standing(
    found: Sequence[Localization], fitted: FittedClass, whole: Sequence[WholeLay | None] | None
) -> Standing | None:
    """Return where the part stands; None where a member could not compare every view, or nothing decides."""
    scores = [one.log_scores for one in found if one.log_scores is not None]
    if fitted.standing_of is None or len(scores) != len(found):
        return None
    return fitted.standing_of(np.concatenate(scores)).relaid(whole)


def regions_of(found: Localization, views: Sequence[View]) -> list[Region]:
    """Return the hot areas of the maps of a finding, as they stand on these views."""
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


def _by_weight(region: Region) -> tuple[bool, float]:
    """Return what regions are sorted by: those beyond a tolerance first, since the scores of others are mere ranks."""
    return not (region.calibrated and region.score >= _BEYOND), -region.score


def _hottest(found: Sequence[Localization], views: Sequence[View]) -> list[Region]:
    """Return the hottest place of all: what made a part NG is shown, also where no single place exceeds its bound."""
    hot = [
        (peak / one.tolerance_of_places.limit, finding, one, peak)
        for finding in found
        for one in finding.maps
        if one.tolerance_of_places is not None and (peak := float(one.values.max(initial=0.0))) > 0
    ]
    if not hot:
        return []
    _, finding, hottest, peak = max(hot, key=lambda one: one[0])
    tolerance = hottest.tolerance_of_places
    assert tolerance is not None
    limit = 0.98 * peak
    lowered = replace(tolerance, limit=limit, centre=min(tolerance.centre, 0.9 * limit))
    shown = replace(hottest, tolerance=lowered, peak_tolerance=None)
    return regions_of(replace(finding, maps=(shown,)), views)[:1]


def _measurements(
    part: Part, references: ReferenceSet, rules: RuleBook, seen: SeenPart | None
) -> tuple[Measurement, ...]:
    from vlm_inspect.measured_checks import measure

    if part.sample is None:
        return ()
    posed = None if part.posed is None else (part.posed, references.posed)
    return tuple(
        measure(rule, part.sample, references.samples, unit=rules.unit, posed=posed, seen=seen)
        for rule in rules.rules
        if rule.check is not None
    )


def _unmeasured(measurements: tuple[Measurement, ...], shows: Shown) -> tuple[Measurement, ...]:
    """Return the measurements of a scan that does not show the whole part, or not that alone: what they mean is
    unknown."""
    from vlm_inspect.measurement.registry import MEASURES

    if shows == "part":
        return measurements
    reason = _UNMEASURED[shows]

    def holds(one: Measurement) -> bool:
        if shows in ("mirror image", "other part"):  # what needs no reference is measured all the same
            return not MEASURES[one.measure].compares
        if shows == "other clock":  # a value has the same size at whatever time
            return not MEASURES[one.measure].takes_time
        return shows not in INCOMPARABLE and not MEASURES[one.measure].of_whole

    return tuple(one if holds(one) else replace(one, value=None, passed=None, reason=reason) for one in measurements)


def _turned(sample: Sample | None, references: ReferenceSet) -> tuple[str, ...]:
    """Say that a photo stands where all of its references lie, or the other way round."""
    stands = _stands(sample)
    others = {_stands(one) for one in references.samples}
    if stands is None or others != {not stands}:
        return ()
    said = (
        "The photo stands upright and its references lie on their longer side"
        if stands
        else "The photo lies on its longer side and its references stand upright"
    )
    return (f"{said}: turn it, or take it as they were taken.",)


def _without_counterpart(part: Part, references: ReferenceSet) -> tuple[str, ...]:
    """Say that some pages or tiles of a photo are those of no reference."""
    known = {view.key for views in references.views for view in views}
    unknown = sum(view.key not in known for view in part.views)
    if not isinstance(part.sample, ImageSample) or not known or not unknown:
        return ()
    return (
        f"{unknown} of {len(part.views)} views have no counterpart in a reference: give references of the same size, "
        "with as many pages.",
    )


def _stands(sample: Sample | None) -> bool | None:
    """Return whether a photo is higher than it is wide; None of what is no photo, or nearly square."""
    if not isinstance(sample, ImageSample):
        return None
    height, width = sample.pages[0].shape[:2]
    if max(height, width) < _OBLONG * min(height, width):
        return None
    return bool(height > width)


def _notes(sample: Sample | None) -> tuple[str, ...]:
    notes = () if sample is None else sample.notes
    if isinstance(sample, PointCloud) and sample.dropped:
        points = "1 point of the scan was" if sample.dropped == 1 else f"{sample.dropped} points of the scan were"
        return (f"{points} NaN or infinite, and left out.", *notes)
    return notes
