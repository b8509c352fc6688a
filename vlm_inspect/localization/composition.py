"""Which localizers judge which kind of sample: the one place that says so.

    image          the chosen localizer
    video          what happens in it, every frame looked at, then the chosen localizer on the frames that are shown
    point_cloud    the measured deviation from the references, then the chosen localizer on the views
                   (one mesh as reference, and checks in the rule book: the deviation alone, held against the checks)
    series         the measured deviation alone; without references, how rare a window is in its own curve

A deviation needs no weights and no choice: `--localizer none` leaves it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from converters.sample import PointCloud, SampleKind, VideoClip
from converters.video import render_frames, render_stretches
from converters.view import ViewBudget
from vlm_inspect.clip_windows import ClipWindow, WindowSettings, plan_windows, with_views
from vlm_inspect.localization.localizer import FittedLocalizer, FrameChooser, Localizer, ScoredLocalizer, is_scored
from vlm_inspect.localization.photo_mismatch import NO_PHOTO, UsualPhoto, usual_photo
from vlm_inspect.localization.refitted import RefittedLocalizer
from vlm_inspect.localization.subject import ANY_SUBJECT, Subject
from vlm_inspect.localization.whole_part.usual_part import NO_PART, UsualPart, usual_part
from vlm_inspect.references import Part, ReferenceSet
from vlm_inspect.sensitivity.standing import Standing

NO_LOCALIZER = "none"
"""Name in the record where the chosen localizer plays no part."""
OWN_NAMES = ("deviation", "events")
"""Names in the record of what scans, curves and clips are judged by without a chosen localizer."""


@dataclass(frozen=True, eq=False)
class FittedClass:
    """All that judges the samples of one class and kind, fitted to its references."""

    members: tuple[FittedLocalizer, ...] = ()
    """In the order of their maps and pictures in the evidence."""
    localizer: str = NO_LOCALIZER
    """Name of the chosen localizer, where it is one of them."""
    standing_of: Callable[[NDArray[np.float64]], Standing] | None = None
    """From the log scores of a part, by all channels of all members, to where it stands between the bounds of the
    class; None where the references cannot tell."""
    advice: str = ""
    """What is to be said before the first part: that no OK can be earned, and what would help."""
    photo: UsualPhoto = NO_PHOTO
    """How photos of the class are taken: what is taken otherwise is not compared."""
    usual: UsualPart = NO_PART
    """How the part looks as a whole, and what lies beside it: what is otherwise is no OK."""
    trial: str = ""
    """By which trial the bounds were learned, for people to read; "" where there are none."""

    @property
    def judged_by(self) -> tuple[str, ...]:
        """What scores of its parts rest on beside the references; equal: thresholds may be carried over."""
        return (*(one.judged_by for one in self.members), *([self.trial] if self.trial else []))

    @property
    def scored(self) -> tuple[ScoredLocalizer, ...] | None:
        """The members, where every one of them tells how references score without themselves."""
        known = tuple(one for one in self.members if is_scored(one))
        return known if len(known) == len(self.members) else None


def fit_class(
    kind: SampleKind, references: ReferenceSet, chosen: Localizer | None, subject: Subject = ANY_SUBJECT
) -> FittedClass:
    """Fit what judges this kind of sample.

    Args:
        kind: of the parts, and of the references where there are any.
        references: normal samples of the class; may be empty.
        chosen: the localizer that the user named; None: none.
        subject: what the part is called, and what may be wrong with it.

    Raises:
        LocalizerError: a localizer or its weights cannot be used.
    """
    if kind == "point_cloud" and is_nominal(references, subject):
        chosen = None  # the drawing and the checks decide; how pictures of one part usually vary is unknown
    used = localizers_for(kind, chosen)
    named = NO_LOCALIZER if chosen is None or chosen not in used else chosen.name
    members = tuple(_fit_scored(one, references, subject) for one in used)
    if kind != "image":
        return FittedClass(members, named)
    return FittedClass(members, named, photo=usual_photo(references.views), usual=usual_part(references.views))


def _fit_scored(localizer: Localizer, references: ReferenceSet, subject: Subject) -> FittedLocalizer:
    """Fit one; what does not score its references itself is fitted anew without each, where that is asked for."""
    fitted = localizer.fit(references, subject)
    if is_scored(fitted) or len(references.sha256) < 2:
        return fitted
    return RefittedLocalizer(localizer, fitted, references, subject)


def localizers_for(kind: SampleKind, chosen: Localizer | None) -> tuple[Localizer, ...]:
    """Return what judges this kind of sample: its measured deviation, then what was chosen if it works for the kind."""
    measured = DEVIATIONS.get(kind)
    own = () if measured is None else (measured(),)
    return own if chosen is None or kind not in chosen.kinds else (*own, chosen)


def _scans() -> Localizer:
    from vlm_inspect.localization.scan_localizer import ScanLocalizer

    return ScanLocalizer()


def _curves() -> Localizer:
    from vlm_inspect.localization.curves.localizer import CurveLocalizer

    return CurveLocalizer()


def _clips() -> Localizer:
    from vlm_inspect.localization.clip_events.localizer import ClipLocalizer

    return ClipLocalizer()


def show_evidence(part: Part, fitted: FittedClass, budget: ViewBudget) -> Part:
    """Return the part with the views that tell most: of a clip the frames before, at and after its events.

    Args:
        part: as it is drawn without having been looked at.
        fitted: what judges its class.
        budget: how many pictures it may become.

    Raises:
        ConversionError: the clip cannot be decoded any more.
    """
    if not isinstance(part.sample, VideoClip):
        return part
    for member in fitted.members:
        if isinstance(member, FrameChooser):
            chosen = member.frames_to_show(part, budget.max_frames)
            if chosen is not None:
                return replace(part, views=tuple(render_frames(part.sample, chosen, budget)))
    return part


def show_windows(
    part: Part, fitted: FittedClass, budget: ViewBudget, settings: WindowSettings
) -> tuple[Part, tuple[ClipWindow, ...]]:
    """Return a part as a model is asked about it: a long clip window by window, each with frames of its own.

    Args:
        part: as it is drawn without having been looked at.
        fitted: what judges its class.
        budget: a window shows half as many frames as a whole clip, and one grid at least.
        settings: how long windows are, and how many.

    Returns:
        The part, and its windows; none of what one request shows: `show_evidence` has drawn that.

    Raises:
        ConversionError: the clip cannot be decoded any more.
    """
    clip = part.sample
    if not isinstance(clip, VideoClip):
        return part, ()
    from vlm_inspect.localization.clip_events.curve import frame_times
    from vlm_inspect.localization.clip_events.frame_choice import choose_frames_within

    known = [one.known_events(part) for one in fitted.members if isinstance(one, FrameChooser)]
    found = next((events for events in known if events is not None), None)
    events = found or ()
    windows = plan_windows(clip.frame_count, frame_times(clip), settings, events=events, measured=found is not None)
    if not windows:
        return show_evidence(part, fitted, budget), ()
    most = max(budget.max_frames // 2, min(budget.grid**2, budget.max_frames))
    chosen = [choose_frames_within(clip, events, most, (one.first, one.last)) for one in windows]
    grids = render_stretches(clip, chosen, budget)
    views = tuple(view for drawn in grids for view in drawn)
    return replace(part, views=views), with_views(windows, [len(drawn) for drawn in grids])


def is_nominal(references: ReferenceSet, subject: Subject) -> bool:
    """Whether scans are held against one drawing by stated limits: a single mesh, and checks in the rule book."""
    sample = references.samples[0] if len(references) == 1 and references.samples else None
    return isinstance(sample, PointCloud) and sample.mesh is not None and subject.deviation_limit is not None


DEVIATIONS: Mapping[SampleKind, Callable[[], Localizer]] = {
    "point_cloud": _scans,
    "series": _curves,
    "video": _clips,
}
