"""Stands: the specimens of a class in their places, and parts made of them with planted defects."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from converters.sample import ImageSample, PointCloud, Sample, VideoClip
from converters.view import View, ViewBudget
from vlm_inspect.ignored import blanked
from vlm_inspect.localization.subject import Subject
from vlm_inspect.planting.copies import COPIES, changed_copy
from vlm_inspect.planting.design import Planting
from vlm_inspect.planting.specimen import PlantedSample, Specimen, prepare_specimen
from vlm_inspect.references import Part, ReferenceSet, Stage, present
from vlm_inspect.registration.known_scan import Change


@dataclass(frozen=True, eq=False)
class Stand:
    """A specimen in its place: which reference it is, and as which row of the levels it counts."""

    specimen: Specimen
    sample: Sample
    reference: Part
    row: int


class StandIns:
    """Makes parts of one stand, with and without a planted defect.

    A scan keeps the pose of its reference, which a defect does not turn; the views of sides from which nothing changed
    are those of the reference, and the tiles of a photograph without a change those of the sound one: the same objects,
    so that they need be judged but once. A clip shows the same frames.
    """

    def __init__(self, stand: Stand, stage: Stage, budget: ViewBudget, subject: Subject) -> None:
        """Make parts of a stand.

        Args:
            stand: the specimen.
            stage: on which curves are drawn.
            budget: how many pictures a part may become.
            subject: what never counts.
        """
        self._stand, self._stage, self._budget, self._subject = stand, stage, budget, subject
        self._drawn = None
        self._shown: _Shown | None = None
        sample, frame = stand.sample, stand.reference.frame
        if isinstance(sample, PointCloud) and frame is not None:
            from converters.point_cloud import Drawing
            from converters.projection import project_like

            self._drawn = Drawing(project_like(sample, frame, budget.scan_size), stand.reference.views)

    @property
    def share_views(self) -> bool:
        """Whether parts share views."""
        return self._drawn is not None or (self._shown is not None and len(self._shown.views) > 1)

    def sound(self) -> Part:
        """Return the specimen as it is."""
        sample, frame = self._stand.sample, self._stand.reference.frame
        if isinstance(sample, VideoClip):
            return Part(sample, self._blanked(self._stand.reference.views))
        if isinstance(sample, ImageSample):
            self._shown = self._shown or _show(sample, self._budget, self._subject)
            return Part(sample, self._shown.views)
        if not isinstance(sample, PointCloud) or frame is None:
            return self._presented(sample)
        change = Change.nothing(sample.points)
        return Part(sample, self._blanked(self._stand.reference.views), frame, change)

    def planted(self, planting: Planting) -> tuple[Part, PlantedSample]:
        """Return the specimen with the planned defect, and what was planted."""
        made = plant_as_planned(self._stand, planting)
        if isinstance(made.sample, VideoClip):
            return Part(made.sample, self._blanked(self._grids(made.sample))), made
        if isinstance(made.sample, ImageSample):
            return Part(made.sample, self._shown_changed(made.sample)), made
        frame = self._stand.reference.frame
        if not isinstance(made.sample, PointCloud) or frame is None or self._drawn is None:
            return self._presented(made.sample), made
        from converters.point_cloud import draw_point_cloud

        views = draw_point_cloud(made.sample, self._budget, frame, self._drawn).views
        return Part(made.sample, self._blanked(views), frame, made.change), made

    def _grids(self, clip: VideoClip) -> tuple[View, ...]:
        """Return the grids of a changed clip, with the frames that its reference shows: none has to be chosen."""
        from converters.frame_grid import FramesOrigin
        from converters.video import render_frames

        origins = (view.origin for view in self._stand.reference.views)
        shown = [cell.frame for one in origins if isinstance(one, FramesOrigin) for cell in one.cells]
        return tuple(render_frames(clip, [one for one in shown if one < clip.frame_count], self._budget))

    def _shown_changed(self, sample: ImageSample) -> tuple[View, ...]:
        """Return the views of the photograph with a defect."""
        from converters.image import render_changed

        before = self._stand.sample
        assert isinstance(before, ImageSample)
        shown = self._shown = self._shown or _show(before, self._budget, self._subject)
        rendered = render_changed(sample, self._budget, before, shown.rendered)
        changed = blanked(rendered, self._subject.ignore)
        threes = zip(shown.rendered, shown.views, rendered, changed, strict=True)
        return tuple(old if now is was else new for was, old, now, new in threes)

    def _presented(self, sample: Sample) -> Part:
        part = present(sample, self._stage, self._budget)
        return replace(part, views=blanked(part.views, self._subject.ignore))

    def _blanked(self, views: tuple[View, ...]) -> tuple[View, ...]:
        """Return views without what never counts; those of the reference are already without."""
        own = {id(view) for view in self._stand.reference.views}
        ignored = blanked(views, self._subject.ignore)
        return tuple(view if id(view) in own else other for view, other in zip(views, ignored, strict=True))


@dataclass(frozen=True, eq=False)
class _Shown:
    """The views of a sound photograph."""

    rendered: tuple[View, ...]
    views: tuple[View, ...]
    """The same without what never counts."""


def _show(sample: ImageSample, budget: ViewBudget, subject: Subject) -> _Shown:
    from converters.image import render_image

    rendered = tuple(render_image(sample, budget))
    return _Shown(rendered, blanked(rendered, subject.ignore))


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


def stands_of(samples: Sequence[Sample], references: ReferenceSet, subject: Subject) -> list[Stand]:
    """Return the specimens of photographs that are no references, in their own order; those left out on which nothing
    can be planted."""
    stands: list[Stand] = []
    for sample in samples:
        specimen = prepare_specimen(sample, subject.ignore)
        if specimen is not None:
            stands.append(Stand(specimen, sample, references.parts[0], len(stands)))
    return stands


def plant_as_planned(stand: Stand, planting: Planting) -> PlantedSample:
    """Return the specimen with the planned defect: the same plan, the same defect."""
    generator = np.random.default_rng(planting.seed)
    return stand.specimen.plant(planting.kind, planting.size, planting.contrast, generator)


def _copies(sample: Sample | None) -> list[Sample]:
    """Return changed copies of a single reference that is a photograph; of nothing else."""
    if not isinstance(sample, ImageSample):
        return []
    return [
        replace(sample, pages=tuple(changed_copy(page, number) for page in sample.pages)) for number in range(COPIES)
    ]
