"""The trial: defects planted on left-out references, and what they do to the scores of every channel."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from converters.sample import ImageSample, PointCloud, Sample, SampleKind
from converters.view import ViewBudget
from vlm_inspect.ignored import blanked
from vlm_inspect.localization.localizer import ScoredLocalizer
from vlm_inspect.localization.subject import Subject
from vlm_inspect.planting.copies import COPIES, changed_copy
from vlm_inspect.planting.design import STANDARD_SIZES, Planting, design
from vlm_inspect.planting.specimen import PlantedSample, Specimen, prepare_specimen
from vlm_inspect.references import Part, ReferenceSet, present
from vlm_inspect.sensitivity.learning import PlantedScores

PLANTED: dict[SampleKind, int] = {"image": 96, "series": 96, "point_cloud": 32, "video": 20}
"""How many defects are planted: of scans and clips fewer, since each has many views."""
_TOGETHER = 8
"""Planted samples that are scored at once."""
_MATTERS_UP_TO = 2.0
"""A smallest defect that matters stands for sizes up to this many times its own."""


@dataclass(frozen=True, eq=False)
class Trial:
    """What was planted, and what became of the scores."""

    level: NDArray[np.float64]
    """(n, C): log scores of the references as new normal parts would have them."""
    planted: PlantedScores
    unit_per_share: float | None
    """Length of the part's longer side in the unit of its scan, of a curve in seconds; None where it is not known."""
    matters: tuple[float, float]
    """Least and greatest of the sizes that matter, as shares of the longer side."""


@dataclass(frozen=True, eq=False)
class Stand:
    """A specimen in its place: which reference it is, and as which row of the levels it counts."""

    specimen: Specimen
    sample: Sample
    reference: Part
    row: int


def run_trial(
    references: ReferenceSet,
    members: Sequence[ScoredLocalizer],
    subject: Subject,
    budget: ViewBudget,
    *,
    count: int | None = None,
    seed: int = 0,
) -> Trial | None:
    """Plant defects on every reference and score them without it; None where nothing can be planted.

    Args:
        references: at least one; of a single photograph changed copies are planted on, and a defect has to rise over
            what the next part is expected to score.
        members: what judges the class, fitted to these references.
        subject: what never counts, and which size matters.
        budget: how many pictures a sample may become.
        count: how many defects; None: what suits the kind.
        seed: of the defects.
    """
    stands = set_up(references, subject)
    if not stands or not members:
        return None
    kind = stands[0].sample.kind
    unit = unit_per_share(stands[0].sample)
    matters = sizes_that_matter(subject, unit, float(np.median([stand.specimen.compactness for stand in stands])))
    plan = plan_trial(stands, matters, count=count or PLANTED[kind], seed=seed)
    sizes, rises = np.zeros(len(plan)), np.zeros((len(plan), sum(len(one.priors) for one in members)))
    level = np.concatenate([one.level for one in members], axis=1)
    alone = len(references) == 1
    for index, stand in enumerate(stands):
        left_out = None if alone else stand.row
        base = _scores(members, [stand_in(stand, stand.sample, references, budget, subject)], left_out)[0]
        if alone:  # a copy scores far below the next part, on which a defect has to stand out
            base = np.maximum(base, level[stand.row])
        own = [number for number, one in enumerate(plan) if one.reference == index]
        for some in _chunks(own):
            made = [plant_as_planned(stand, plan[number]) for number in some]
            parts = [stand_in(stand, one.sample, references, budget, subject) for one in made]
            rises[some] = _scores(members, parts, left_out) - base
            sizes[some] = [one.size for one in made]
    return Trial(
        level=level,
        planted=PlantedScores(
            kinds=tuple(one.kind for one in plan),
            sizes=sizes,
            matter=np.array([matters[0] <= one.size <= matters[1] for one in plan]),
            owners=np.array([stands[one.reference].row for one in plan]),
            rises=rises,
        ),
        unit_per_share=unit,
        matters=matters,
    )


def set_up(references: ReferenceSet, subject: Subject) -> list[Stand]:
    """Return the specimens: every reference, or changed copies of a single photograph."""
    stands = []
    alone = len(references) == 1
    for row, part in enumerate(references.parts):
        for sample in _copies(part.sample) if alone else [part.sample]:
            specimen = None if sample is None else prepare_specimen(sample, subject.ignore)
            if specimen is not None and sample is not None:
                stands.append(Stand(specimen, sample, part, row))
    return stands


def plan_trial(stands: Sequence[Stand], matters: tuple[float, float], *, count: int, seed: int) -> list[Planting]:
    """Return what is planted on specimens; `Planting.reference` counts them."""
    return design([stand.specimen.kinds for stand in stands], count, matters=matters, seed=seed)


def plant_as_planned(stand: Stand, planting: Planting) -> PlantedSample:
    """Return the specimen with the planned defect: the same plan, the same defect."""
    generator = np.random.default_rng(planting.seed)
    return stand.specimen.plant(planting.kind, planting.size, planting.contrast, generator)


def stand_in(stand: Stand, sample: Sample, references: ReferenceSet, budget: ViewBudget, subject: Subject) -> Part:
    """Return a changed reference as a part; a scan keeps the pose of the reference, which a defect does not turn."""
    part = _present(stand, sample, references, budget)
    return replace(part, views=blanked(part.views, subject.ignore))


def _present(stand: Stand, sample: Sample, references: ReferenceSet, budget: ViewBudget) -> Part:
    if isinstance(sample, PointCloud) and stand.reference.frame is not None:
        from converters.point_cloud import render_point_cloud

        frame = stand.reference.frame
        return Part(sample=sample, views=tuple(render_point_cloud(sample, budget, frame)), frame=frame)
    return present(sample, references.stage, budget)


def unit_per_share(sample: Sample) -> float | None:
    """Return what a share of 1 is in the unit of a scan or in seconds of a curve; None where that is not known."""
    if isinstance(sample, PointCloud):
        return float(np.ptp(sample.points, axis=0).max())
    if sample.kind == "series" and not sample.time_is_index:
        return float(sample.time_s[-1] - sample.time_s[0])
    return None


def sizes_that_matter(subject: Subject, unit: float | None, compactness: float) -> tuple[float, float]:
    """Return least and greatest size that decide about an OK, as shares of the part's longer side.

    Args:
        subject: may say which size matters.
        unit: length of the longer side in the unit of a scan; None where it is not known.
        compactness: see `Specimen.compactness`; the standard sizes are shares of the disc of the part's area.

    Raises:
        ReferenceSampleError: the rule book states a size in a unit that pictures do not have.
    """
    smallest = subject.smallest_defect
    if smallest is None:
        return STANDARD_SIZES[0] * compactness, STANDARD_SIZES[1] * compactness
    least = smallest.as_share(unit)
    return least, min(0.9, _MATTERS_UP_TO * least)


def _copies(sample: Sample | None) -> list[Sample]:
    """Return changed copies of a single reference that is a photograph; of nothing else."""
    if not isinstance(sample, ImageSample):
        return []
    return [
        replace(sample, pages=tuple(changed_copy(page, number) for page in sample.pages)) for number in range(COPIES)
    ]


def _scores(members: Sequence[ScoredLocalizer], parts: Sequence[Part], without: int | None) -> NDArray[np.float64]:
    return np.concatenate([one.score(parts, without=without) for one in members], axis=1)


def _chunks(numbers: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(numbers), _TOGETHER):
        yield numbers[start : start + _TOGETHER]
