"""`TextLocalizer`: a method that judges pictures by words, as a `Localizer`.

Every view is cut into the pictures that it holds, the judge says how probable an anomaly is in each and where, and the
answers are drawn on the view. Probabilities become surprisal, s = -ln P(normal), in nats: near 0 it is P(anomalous),
towards certainty it goes on growing, so that the logarithm of s spreads normal parts evenly, which the tolerance of
`calibration.py` asks for. Order is kept: no ranking metric changes.

References need not be remembered for that, but they say how high normal parts score: the tolerance. A judge with a
few-shot memory scores each of them against the others.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from converters.view import View
from vlm_inspect.array_cache import ArrayCache, content_of, key_of, user_cache
from vlm_inspect.evidence import AnomalyMap, TypeMap
from vlm_inspect.localization.dual_encoder.encoder import Rgb
from vlm_inspect.localization.localizer import PICTURES, Localization
from vlm_inspect.localization.picture_batch import BatchedJudge
from vlm_inspect.localization.picture_judge import FittedJudge, PictureJudge, PictureScores
from vlm_inspect.localization.subject import ANY_SUBJECT, Subject
from vlm_inspect.references import Part, ReferenceSet
from vlm_inspect.tolerance import OVERKILL, Tolerance, tolerance_from_normals
from vlm_inspect.vision.network import without_runtime

PRIOR_DOF = 1.0
"""How many samples a judge's `normal_spread` counts for: little, since classes differ widely in it."""
TYPE_GRID = 64
"""Longest side of the grid over a view on which defect types are kept."""
_LEAST_NORMAL = 1e-6
"""P(normal) counts as at least this much: single precision tells no smaller one from 0."""
_TOLD_DIGITS = 8
"""Of a digest that is shown to people."""
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Scored:
    """The raw scores of one view: of the whole, and of its highest place."""

    score: float
    peak: float


@dataclass(frozen=True, eq=False)
class _Normal:
    """What is known of the normal views of one key."""

    judge: FittedJudge
    """With their pictures, where it remembers normal parts."""
    scores: tuple[Scored, ...] = ()
    """Of each reference, judged without itself."""


class TextLocalizer:
    """Draws what a `PictureJudge` says on views, and takes the tolerance from the references."""

    kinds = PICTURES

    def __init__(self, judge: PictureJudge, cache: ArrayCache | None = None, *, batch: int = 1) -> None:
        """Make a localizer of a judge.

        Args:
            judge: what judges pictures.
            cache: where the scores of references are kept; None: the user's.
            batch: above 1, several threads may localize parts at once, and so many of their pictures are judged
                together.
        """
        self._judge = judge
        self._cache = cache or user_cache()
        self.batch = batch
        self._turn = threading.Lock()

    @property
    def name(self) -> str:
        """The method, or the weights that it runs on."""
        return self._judge.name

    def vocabulary(self, subject: Subject) -> tuple[str, ...]:
        """See `OpenVocabulary`."""
        return self._judge.vocabulary(subject)

    def fit(self, references: ReferenceSet, subject: Subject = ANY_SUBJECT) -> "FittedText":
        """Learn how high the references score, and remember them where the judge does.

        Raises:
            LocalizerError: the weights, or a word, cannot be used.
        """
        views, judge = references.views, self._judge
        shared = None if judge.uses_normals and views else judge.fit(subject)
        normal = {}
        for key in sorted({view.key for one in views for view in one}):
            same = _pictures_by_reference(key, views)
            fitted = shared or judge.fit(subject, [picture for pictures in same for picture in pictures])
            normal[key] = _Normal(self._batched(fitted), self._normal_scores(same, subject))
        bare = None if normal else _Normal(self._batched(shared or judge.fit(subject)))
        return FittedText(judge.name, judge.normal_spread, bare or normal, judge.identity)

    def _batched(self, fitted: FittedJudge) -> FittedJudge:
        return fitted if self.batch < 2 else BatchedJudge(fitted, self.batch, self._turn)

    def _normal_scores(self, same: Sequence[Sequence[Rgb]], subject: Subject) -> tuple[Scored, ...]:
        """Score every reference, against the others where the judge remembers normal parts; kept on disk."""
        if len(same) < 2:
            return ()
        digests = [[content_of(picture) for picture in pictures] for pictures in same]
        key = key_of(self._judge.identity, subject.class_name, subject.defects, *digests)
        rows = self._cache.array("normal_scores", key, (len(same), 2), lambda: self._score_references(same, subject))
        return tuple(Scored(float(score), float(peak)) for score, peak in rows)

    def _score_references(self, same: Sequence[Sequence[Rgb]], subject: Subject) -> NDArray[np.float64]:
        """Return the score and the highest place of each reference, (n, 2)."""
        judge = self._judge
        if judge.uses_normals:
            by_reference = []
            for left_out, pictures in enumerate(same):
                others = [picture for i, ps in enumerate(same) if i != left_out for picture in ps]
                by_reference.append(judge.fit(subject, others).judge(pictures))
        else:
            by_reference = judge_groups(judge.fit(subject), same)
        rows = [
            (
                surprisal(max(a.score for a in answers)).item(),
                max(float(surprisal(a.heat).max(initial=0.0)) for a in answers),
            )
            for answers in by_reference
        ]
        return np.asarray(rows, np.float64)


class FittedText:
    """A judge with the words of one class and what its normal parts look like and score."""

    def __init__(self, name: str, spread: float, normal: "Mapping[str, _Normal] | _Normal", identity: str) -> None:
        """Judge by what is known of normal views.

        Args:
            name: of the judge.
            spread: its `normal_spread`.
            normal: by the key of the views, or one for all views, where there are no references.
            identity: of the judge.
        """
        self.name, self._spread, self._normal = name, spread, normal
        self.judged_by = f"{name} {key_of(without_runtime(identity))[:_TOLD_DIGITS]}"

    def localize(self, part: Part) -> Localization:
        """Return one map for each view; with references, for each whose key a reference has.

        Raises:
            LocalizerError: the weights cannot be used on a picture.
        """
        known = [(i, view, self._known(view.key)) for i, view in enumerate(part.views)]
        judged = [(i, view, normal) for i, view, normal in known if normal is not None]
        answers: dict[int, list[PictureScores]] = {}
        for judge in {id(normal.judge): normal.judge for _, _, normal in judged}.values():
            own = [(i, view) for i, view, normal in judged if normal.judge is judge]
            told = judge_groups(judge, [_pictures(view) for _, view in own])
            answers |= {i: of_view for (i, _), of_view in zip(own, told, strict=True)}
        maps = (self._map(i, view, normal, answers[i], tests=len(judged)) for i, view, normal in judged)
        return Localization(tuple(maps))

    def _known(self, key: str) -> "_Normal | None":
        return self._normal if isinstance(self._normal, _Normal) else self._normal.get(key)

    def _map(
        self, index: int, view: View, known: _Normal, answers: Sequence[PictureScores], *, tests: int
    ) -> AnomalyMap:
        tolerances = _tolerances(known.scores, self._spread, tests=tests)
        return _draw(index, view, answers, self.name, known.scores, tolerances)


def judge_groups(judge: FittedJudge, groups: Sequence[Sequence[Rgb]]) -> list[list[PictureScores]]:
    """Return the answers for the pictures of each group, all of them judged in one call."""
    answers = judge.judge([picture for group in groups for picture in group])
    ends = np.cumsum([len(group) for group in groups])
    return [answers[end - len(group) : end] for group, end in zip(groups, ends, strict=True)]


def _tolerances(normal: Sequence[Scored], spread: float, tests: int) -> tuple[Tolerance, Tolerance] | None:
    """Return the tolerances of score and highest place; all views together keep the stated overkill."""
    if not normal:
        return None
    score, peak = (
        tolerance_from_normals(scores, overkill=OVERKILL / tests, prior_spread=spread, prior_dof=PRIOR_DOF)
        for scores in ([one.score for one in normal], [one.peak for one in normal])
    )
    return score, peak


def surprisal(probability: float | NDArray[np.float32]) -> NDArray[np.float32]:
    """Return -ln(1 - p) in nats of P(anomalous) p in [0, 1]; at most 13.8.

    Raises:
        ValueError: a probability is NaN; it must not pass as normal.
    """
    given = np.asarray(probability, np.float64)
    if np.isnan(given).any():
        raise ValueError("P(anomalous) is NaN")
    return np.asarray(-np.log(np.maximum(1.0 - np.clip(given, 0.0, 1.0), _LEAST_NORMAL)), np.float32)


def _boxes(view: View) -> list[Box]:
    """Return where the pictures of a view lie: its panes that show the part, or itself."""
    boxes = [pane.box_xyxy for pane in view.panes] or [(0, 0, view.size_hw[1], view.size_hw[0])]
    return [
        (x0, y0, x1, y1)
        for x0, y0, x1, y1 in boxes
        if x1 > x0 and y1 > y0 and (view.mask is None or view.mask[y0:y1, x0:x1].any())
    ]


def _pictures(view: View) -> list[Rgb]:
    return [np.ascontiguousarray(view.image[y0:y1, x0:x1]) for x0, y0, x1, y1 in _boxes(view)]


def _pictures_by_reference(key: str, references: Sequence[Sequence[View]]) -> list[list[Rgb]]:
    """Return, for every reference that has such views, the pictures of its views of that key."""
    found = [[picture for view in views if view.key == key for picture in _pictures(view)] for views in references]
    return [pictures for pictures in found if pictures]


def _draw(
    index: int,
    view: View,
    answers: Sequence[PictureScores],
    name: str,
    normal: Sequence[Scored],
    tolerances: tuple[Tolerance, Tolerance] | None,
) -> AnomalyMap:
    """Put the answers for the pictures of a view together into its map."""
    import cv2

    values = np.zeros(view.size_hw, np.float32)
    for (x0, y0, x1, y1), answer in zip(_boxes(view), answers, strict=True):
        heat = cv2.resize(answer.heat.astype(np.float32), (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
        values[y0:y1, x0:x1] = surprisal(heat)
    if view.mask is not None:
        values[~view.mask] = 0.0
    return AnomalyMap(
        view=index,
        values=values,
        score=surprisal(max((a.score for a in answers), default=0.0)).item(),
        source=name,
        unit="nats",
        tolerance=None if tolerances is None else tolerances[0],
        peak_tolerance=None if tolerances is None else tolerances[1],
        types=_types(view, answers),
        phrases=max(answers, key=lambda answer: answer.score).phrases if answers else None,
        notes=_notes(answers, name),
        normal_scores=tuple(one.score for one in normal),
        normal_peaks=tuple(one.peak for one in normal),
    )


def _types(view: View, answers: Sequence[PictureScores]) -> TypeMap | None:
    """Return the type maps of a view's pictures on one coarse grid over the view."""
    import cv2

    words = next((answer.words for answer in answers if answer.types is not None), ())
    if not words:
        return None
    height, width = view.size_hw
    scale = TYPE_GRID / max(height, width)
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    grid = np.zeros((len(words), rows, columns), np.float32)
    for (x0, y0, x1, y1), answer in zip(_boxes(view), answers, strict=True):
        if answer.types is None:
            continue
        top, left = round(y0 * scale), round(x0 * scale)
        bottom, right = max(top + 1, round(y1 * scale)), max(left + 1, round(x1 * scale))
        for k, word_map in enumerate(answer.types):
            drawn = cv2.resize(word_map.astype(np.float32), (right - left, bottom - top), interpolation=cv2.INTER_AREA)
            grid[k, top:bottom, left:right] = drawn[: rows - top, : columns - left]
    return TypeMap(tuple(words), grid, names=all(answer.names for answer in answers))


def _notes(answers: Sequence[PictureScores], name: str) -> tuple[str, ...]:
    """Return what the judge has to say, and the phrases that speak most for an anomaly in the worst picture."""
    notes = [note for answer in answers for note in answer.notes]
    starved = [answer.fallback for answer in answers if answer.fallback]
    notes += [f"{told} ({len(starved)} of {len(answers)} pictures)" for told in starved]
    worst = max(answers, key=lambda answer: answer.score, default=None)
    if worst is not None and worst.phrases is not None and worst.phrases.nearest:
        phrases = "; ".join(f"{text} ({similarity:.2f})" for text, similarity in worst.phrases.nearest)
        notes.append(f"{name}: phrases nearest to the picture among those of an anomalous part: {phrases}")
    return tuple(dict.fromkeys(notes))
