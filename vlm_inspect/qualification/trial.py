"""The trial: defects planted on left-out references, and what they do to the scores of every channel."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from converters.sample import ImageSample, PointCloud, Sample, SampleKind
from converters.view import ViewBudget
from vlm_inspect.localization.localizer import ScoredLocalizer
from vlm_inspect.localization.subject import Subject
from vlm_inspect.planting.design import STANDARD_SIZES, WHOLE_KINDS, Planting, design
from vlm_inspect.qualification.stands import Stand, StandIns, set_up
from vlm_inspect.references import Part, ReferenceSet, Stage
from vlm_inspect.sensitivity.planted_scores import PlantedScores

PLANTED: dict[SampleKind, int] = {"image": 120, "series": 96, "point_cloud": 32, "video": 30}
"""How many defects are planted: of scans and clips fewer, since each has many views."""
_MANY, _PLANTED_ON_MANY = 8, 240
"""References from which on more are planted on photographs: their level is known better than what defects do."""
Progress = Callable[[str], None]
_TOGETHER, _PIXELS_TOGETHER = 8, 64_000_000
"""Planted samples that are scored at once, and of photographs the pixels that they may have together."""
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
    unit: str = ""
    """In which `unit_per_share` is; "" where it is not known."""


def run_trial(
    references: ReferenceSet,
    members: Sequence[ScoredLocalizer],
    subject: Subject,
    budget: ViewBudget,
    *,
    count: int | None = None,
    seed: int = 0,
    progress: Progress = lambda step: None,
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
        progress: told how many have been tried.
    """
    stands = set_up(references, subject)
    if not stands or not members:
        return None
    kind = stands[0].sample.kind
    unit = unit_per_share(stands[0].sample)
    matters = sizes_that_matter(subject, unit, float(np.median([stand.specimen.compactness for stand in stands])))
    plan = plan_trial(stands, matters, count=count or planted_on(kind, len(references)), seed=seed)
    level = np.concatenate([one.level for one in members], axis=1)
    alone = len(references) == 1
    sizes, rises = np.zeros(len(plan)), np.zeros((len(plan), level.shape[1]))
    tried = 0
    for index, stand in enumerate(stands):
        makes = StandIns(stand, references.stage, budget, subject)
        base: NDArray[np.float64] | None = None
        for own, planted in _score_stand(makes, _on(plan, index), members, None if alone else stand.row):
            # A copy scores far below the next part, on which a defect has to stand out.
            base = (np.maximum(own, level[stand.row]) if alone else own) if base is None else base
            for number, size, scores in planted:
                sizes[number], rises[number] = size, scores - base
            tried += len(planted)
            progress(f"learning what would be found: {tried} of {len(plan)} planted defects")
    return Trial(level, _as_planted(plan, stands, sizes, rises, matters), unit, matters)


def try_on_normals(
    stands: Sequence[Stand],
    plan: Sequence[Planting],
    members: Sequence[ScoredLocalizer],
    stage: Stage,
    budget: ViewBudget,
    subject: Subject,
    *,
    matters: tuple[float, float],
    progress: Progress = lambda step: None,
) -> Trial:
    """Plant defects on normal photographs that are no references.

    Nothing has to be left out to judge them, so they rise as they will on new parts.

    Args:
        stands: the photographs, from `stands_of`; the rows of `Trial.level` are theirs.
        plan: the defects, from `plan_trial`.
        members: what judges the class.
        stage: of the references.
        budget: how many pictures a sample may become.
        subject: what never counts.
        matters: sizes that matter, as in the trial of the references.
        progress: told how many have been tried.
    """
    channels = sum(len(one.priors) for one in members)
    sizes, rises, level = np.zeros(len(plan)), np.zeros((len(plan), channels)), np.zeros((len(stands), channels))
    tried = 0
    for index, stand in enumerate(stands):
        makes = StandIns(stand, stage, budget, subject)
        for own, planted in _score_stand(makes, _on(plan, index), members, None):
            level[index] = own
            for number, size, scores in planted:
                sizes[number], rises[number] = size, scores - own
            tried += len(planted)
            progress(f"learning what would be found: {tried} of {len(plan)} defects planted on normal parts")
    return Trial(level, _as_planted(plan, stands, sizes, rises, matters), None, matters)


_Scored = tuple[int, float, NDArray[np.float64]]
"""Number in the plan, size as planted, log scores (C,)."""


def _score_stand(
    makes: StandIns, plan: Sequence[tuple[int, Planting]], members: Sequence[ScoredLocalizer], without: int | None
) -> Iterator[tuple[NDArray[np.float64], list[_Scored]]]:
    """Yield, some defects at a time, the log scores (C,) of the sound specimen and those of the planted ones."""
    sound = makes.sound()
    own: NDArray[np.float64] | None = None
    for some in _chunks(plan, sound.sample):
        made = [makes.planted(one) for _, one in some]
        # What parts share with the sound one is judged once where they are judged together.
        together = [sound] if own is None or makes.share_views else []
        scores = _scores(members, [*together, *(part for part, _ in made)], without)
        own = scores[0] if own is None else own
        numbers = [number for number, _ in some]
        yield own, list(zip(numbers, [one.size for _, one in made], scores[len(together) :], strict=True))


def _on(plan: Sequence[Planting], index: int) -> list[tuple[int, Planting]]:
    return [(number, one) for number, one in enumerate(plan) if one.reference == index]


def _as_planted(
    plan: Sequence[Planting],
    stands: Sequence[Stand],
    sizes: NDArray[np.float64],
    rises: NDArray[np.float64],
    matters: tuple[float, float],
) -> PlantedScores:
    return PlantedScores(
        kinds=tuple(one.kind for one in plan),
        sizes=sizes,
        matter=np.array([one.kind in WHOLE_KINDS or matters[0] <= one.size <= matters[1] for one in plan]),
        owners=np.array([stands[one.reference].row for one in plan]),
        rises=rises,
        whole=np.array([one.kind in WHOLE_KINDS for one in plan], bool),
    )


def planted_on(kind: SampleKind, references: int) -> int:
    """Return how many defects are planted on so many references of a kind."""
    return _PLANTED_ON_MANY if kind == "image" and references >= _MANY else PLANTED[kind]


def plan_trial(stands: Sequence[Stand], matters: tuple[float, float], *, count: int, seed: int) -> list[Planting]:
    """Return what is planted on specimens; `Planting.reference` counts them."""
    return design([stand.specimen.kinds for stand in stands], count, matters=matters, seed=seed)


def unit_per_share(sample: Sample) -> float | None:
    """Return what a share of 1 is in the unit of a scan or in seconds of a curve; None where that is not known."""
    if isinstance(sample, PointCloud):
        return float(np.ptp(sample.points, axis=0).max())
    if sample.kind == "series" and not sample.time_is_index:
        return float(sample.time_s[-1] - sample.time_s[0])
    return None


def unit_of(sample: Sample | None, scan_unit: str) -> str:
    """Return the unit that sizes on a sample have: that of scans, s of a curve; "" of a picture and a clip."""
    if isinstance(sample, PointCloud):
        return scan_unit
    return "s" if sample is not None and sample.kind == "series" and not sample.time_is_index else ""


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


def _scores(members: Sequence[ScoredLocalizer], parts: Sequence[Part], without: int | None) -> NDArray[np.float64]:
    return np.concatenate([one.score(parts, without=without) for one in members], axis=1)


def _chunks(plan: Sequence[tuple[int, Planting]], sample: Sample | None) -> Iterator[Sequence[tuple[int, Planting]]]:
    """Yield some defects of one sample at a time."""
    together = _TOGETHER
    if isinstance(sample, ImageSample):
        pixels = sum(page.shape[0] * page.shape[1] for page in sample.pages)
        together = max(1, min(_TOGETHER, _PIXELS_TOGETHER // pixels))
    for start in range(0, len(plan), together):
        yield plan[start : start + together]
