"""Whether references agree: each judged by the others, and how many would be enough."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from converters.digest import sha256_of
from converters.frame_folder import says_frames
from converters.sample import ONE, SEVERAL, SampleKind
from vlm_inspect.class_reports.class_report import qualify_inspector
from vlm_inspect.class_reports.two_references import how_far_apart
from vlm_inspect.ignored import blanked
from vlm_inspect.localization.curves.localizer import ScoredCurves
from vlm_inspect.localization.curves.names import listed
from vlm_inspect.localization.photo_mismatch import usual_photo
from vlm_inspect.localization.subject import subject_of
from vlm_inspect.localization.whole_part.usual_part import odd_parts
from vlm_inspect.qualification.advice import expected_ok, recommended_references
from vlm_inspect.references import ReferenceSet, kind_of_references, reference_files
from vlm_inspect.registration.comparison import scan_surface
from vlm_inspect.registration.identity import looks_mirrored

if TYPE_CHECKING:
    from vlm_inspect.inspector import Inspector

Say = Callable[[str], None]
ODD = 0.01
"""Chance below which a reference is odd, shared among all of them (Bonferroni)."""
_DISAGREE = 1.8
"""References disagree where their log scores spread by so many times what is usual."""
_LOOKS_MIRRORED = (
    "a mirrored part could not be told: these parts are their own mirror images, or the scans are too coarse to show "
    "their handedness"
)
_ALIKE: dict[SampleKind, str] = {
    "image": "lit and placed alike",
    "point_cloud": "scanned alike",
    "video": "filmed alike",
    "series": "recorded alike",
}
_LEAST = 3
_APART = 2.1
"""Two references disagree beyond so many standard errors. Four pairs of training pictures of two classes each lay 2.4
to 3.8 apart, five pairs of one class 0.4 to 1.7 (fine eye)."""


@dataclass(frozen=True)
class ReferenceCheck:
    """What was found."""

    log_scores: dict[str, float]
    """Path -> log score by the others, over the middle of all; higher: less like them."""
    odd: tuple[str, ...]
    disagree: bool
    spread_ratio: float
    """Spread of the log scores over what is usual for the localizer."""
    expected_ok: float
    """Share of normal parts that come out OK, about."""
    recommended: int | None
    """Number of references with which most normal parts would; None: more alone would not help."""
    kind: SampleKind = "image"
    """What the references are."""
    are_named_frames: bool = False
    """Whether they are photos named as the frames of one clip."""
    looks_mirrored: bool = False
    """Of scans: whether a mirrored part would look the same, so that it cannot be told."""
    signless: tuple[str, ...] = ()
    """Of curves: channels that look alike with their sign turned, so that a sensor wired the wrong way is not seen."""
    taken_otherwise: dict[str, str] = field(default_factory=dict)
    """Path -> what tells how that photo was taken from how the others were: its size, colour, light or sharpness; or
    what lies beside its part alone, or how its part differs from all others in colour, size or contrast."""

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "references": [{"path": path, "log_score": round(score, 3)} for path, score in self.log_scores.items()],
            "kind": self.kind,
            "odd": list(self.odd),
            "taken_otherwise": self.taken_otherwise,
            "looks_mirrored": self.looks_mirrored,
            "signless": list(self.signless),
            "disagree": self.disagree,
            "spread_ratio": round(self.spread_ratio, 2),
            "expected_ok": round(self.expected_ok, 3),
            "recommended": self.recommended,
        }

    def lines(self) -> list[str]:
        """Return it in words."""
        count = len(self.log_scores)
        references = f"1 reference ({ONE[self.kind]})" if count == 1 else f"{count} references ({SEVERAL[self.kind]})"
        told = [f"{references}; about {100 * self.expected_ok:.0f} % of normal parts come out OK"]
        if self.are_named_frames:
            told.append(
                "they are named as frames; where they are those of one clip, name their folder as the reference"
            )
        told += [_LOOKS_MIRRORED] * self.looks_mirrored
        if self.signless:
            told.append(f"a sensor wired the wrong way could not be told: {listed(self.signless)} would look the same")
        told += [f"taken otherwise than the others: {path}: {said}" for path, said in self.taken_otherwise.items()]
        told += self._odd_lines()
        if not self.odd and not self.disagree and not self.taken_otherwise and count > 1:
            told.append("they agree")
        if self.odd:
            one, it = ("one", "it is") if len(self.odd) == 1 else ("ones", "they are")
            told.append(f"first remove the odd {one} if {it} defective, and check again before more are added")
        elif self.recommended is None:
            told.append("more of them alone would not make most normal parts OK; take closer pictures, or ask a model")
        elif self.recommended > count:
            told.append(f"recommended: {self.recommended}")
        else:
            told.append("their number is enough" if self.disagree or self.taken_otherwise else "that is enough")
        return told

    def _odd_lines(self) -> list[str]:
        """Say which references are less like the others, and whether they all disagree."""
        count, told = len(self.log_scores), []
        for path in self.odd:
            told.append(
                f"odd: {path} is less like the others than chance explains (log score {self.log_scores[path]:+.2f}); "
                "look at it, it may be defective"
            )
        if self.disagree and count == 2:
            told.append(
                "the two references disagree: one is less like the other than the next normal part would be; are they "
                f"one kind of part, {_ALIKE[self.kind]}? A third would show which one is odd"
            )
        elif self.disagree:
            told.append(
                f"the references disagree: their scores spread {self.spread_ratio:.1f} times as far as usual; are they "
                f"one kind of part, {_ALIKE[self.kind]}?"
            )
            if not self.odd:
                path = max(self.log_scores, key=self.log_scores.__getitem__)
                told.append(f"least like the others: {path} (log score {self.log_scores[path]:+.2f}); look at it first")
        return told


def check_references(inspector: "Inspector", say: Say = lambda step: None) -> ReferenceCheck:
    """Judge every reference by the others.

    Raises:
        ReferenceSampleError: there are no references, or nothing can be planted on them.
        InspectError: a reference or the localizer cannot be used.
    """
    references, fitted, found = qualify_inspector(inspector, say)
    by_digest = {sha256_of(path): os.path.normpath(path) for path in reversed(reference_files(inspector.references))}
    paths = [by_digest[digest] for digest in references.sha256]
    scores = found.decision.combine(found.trial.level)
    middle = float(np.median(scores))
    spread = _usual_spread(found.decision.prior_spread, scores)
    return ReferenceCheck(
        log_scores={path: float(score) - middle for path, score in zip(paths, scores, strict=True)},
        odd=tuple(path for path, is_odd in zip(paths, _odd(scores, spread), strict=True) if is_odd),
        disagree=_disagree(references, scores, found.decision.prior_spread, inspector),
        spread_ratio=float(scores.std(ddof=1)) / found.decision.prior_spread if len(scores) > 1 else 0.0,
        expected_ok=expected_ok(found, len(references)),
        recommended=recommended_references(found),
        kind=kind_of_references(inspector.references),
        are_named_frames=len(paths) > 1 and all(says_frames(Path(path)) for path in paths),
        looks_mirrored=bool(references.posed)
        and looks_mirrored([scan_surface(one.points) for one in references.posed]),
        signless=next((one.signless for one in fitted.members if isinstance(one, ScoredCurves)), ()),
        taken_otherwise=_taken_otherwise(references, paths, inspector),
    )


def _looks_mirrored(references: ReferenceSet) -> bool:
    scans = [one.surface() for one in references.posed]
    return bool(scans) and looks_mirrored(scans)


def _disagree(references: ReferenceSet, scores: np.ndarray, prior_spread: float, inspector: "Inspector") -> bool:
    if len(scores) >= _LEAST:
        return float(scores.std(ddof=1)) > _DISAGREE * prior_spread
    localizer = inspector.used_localizer
    if len(scores) < 2 or localizer is None or kind_of_references(inspector.references) != "image":
        return False
    seen = references.seen_by(lambda views: blanked(views, inspector.rules.ignore))
    apart = how_far_apart(seen, localizer, subject_of(inspector.rules))
    return apart is not None and apart > _APART


def _taken_otherwise(references: ReferenceSet, paths: Sequence[str], inspector: "Inspector") -> dict[str, str]:
    seen = references.seen_by(lambda views: blanked(views, inspector.rules.ignore))
    told = zip(paths, usual_photo(seen.views).odd_ones(), odd_parts(seen.views), strict=True)
    return {path: photo or part for path, photo, part in told if photo or part}


def _usual_spread(prior: float, scores: np.ndarray) -> float:
    """Return the spread of the scores without the highest, which may be odd; not below half of what is usual."""
    if len(scores) < _LEAST:
        return prior
    middle = np.median(scores)
    robust = 1.4826 * float(np.median(np.abs(scores - middle)))
    return max(robust, 0.5 * prior)


def _odd(scores: np.ndarray, spread: float) -> list[bool]:
    """Tell which scores lie higher than chance explains: beyond the normal quantile of `ODD` over their number."""
    from scipy.stats import t as student_t

    if len(scores) < _LEAST:
        return [False] * len(scores)
    limit = float(student_t.ppf(1 - ODD / len(scores), len(scores) + 3)) * spread
    return [bool(score - np.median(scores) > limit) for score in scores]
