"""Accuracy of multiple-choice answers, by subtask and data set, as MMAD defines it (arXiv 2410.09453, section 4).

Two things differ from the code published with it, on purpose: an answer that could not be read stays in the
denominator as wrong, and the share of answers that could be read is reported beside it. As there, "Anomaly Detection"
is the mean of the accuracies on normal and on anomalous images, "Object Structure" and "Object Details" count as
"Object Analysis", and a subtask's figure is the mean over data sets.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import mean

from vlm_inspect.datasets.question import ANOMALY_SUBTASK, Question


@dataclass(frozen=True)
class ChosenOption:
    """What a model chose; None where nothing could be read, or the call failed."""

    question: Question
    choice: str | None

    @property
    def right(self) -> bool:
        """Whether the choice is the answer; a missing one is wrong."""
        return self.choice == self.question.answer


@dataclass(frozen=True)
class SubtaskAccuracy:
    """One subtask on one data set, or on all. `value` is None where a balanced one lacks one of the two labels."""

    subtask: str
    value: float | None
    questions: int
    answered: int
    miss: float | None = None
    """Anomaly subtask only: wrong answers on anomalous images, as a share."""
    overkill: float | None = None
    """Anomaly subtask only: wrong answers on normal images, as a share."""


@dataclass(frozen=True)
class AnswerSummary:
    """Accuracies in [0, 1]."""

    average: float | None
    """Mean over subtasks of `subtasks`."""
    subtasks: dict[str, float | None]
    """Per subtask, the mean over data sets."""
    pooled: tuple[SubtaskAccuracy, ...]
    """Per subtask, over all questions alike."""
    datasets: dict[str, tuple[SubtaskAccuracy, ...]]
    coverage: float
    """Share of questions whose answer could be read."""
    parse_failures: int


def score_answers(answers: Sequence[ChosenOption]) -> AnswerSummary:
    """Return accuracy per subtask and data set; every question counts, read or not.

    Raises:
        ValueError: no answer, or one question answered twice.
    """
    ids = [answer.question.id for answer in answers]
    if not ids or len(set(ids)) < len(ids):
        raise ValueError("answers are needed, one a question" if ids else "a metric needs at least one answer")
    per_set: dict[str, list[ChosenOption]] = defaultdict(list)
    for answer in answers:
        per_set[answer.question.dataset].append(answer)
    datasets = {name: _by_subtask(per_set[name]) for name in sorted(per_set)}
    subtasks = _mean_over_sets(datasets.values())
    known = [value for value in subtasks.values() if value is not None]
    failed = sum(answer.choice is None for answer in answers)
    return AnswerSummary(
        mean(known) if known else None,
        subtasks,
        _by_subtask(answers),
        datasets,
        1.0 - failed / len(answers),
        failed,
    )


def _by_subtask(answers: Iterable[ChosenOption]) -> tuple[SubtaskAccuracy, ...]:
    groups: dict[str, list[ChosenOption]] = defaultdict(list)
    for answer in answers:
        groups[answer.question.subtask].append(answer)
    return tuple(_accuracy(name, groups[name]) for name in sorted(groups))


def _accuracy(subtask: str, answers: Sequence[ChosenOption]) -> SubtaskAccuracy:
    answered = sum(answer.choice is not None for answer in answers)
    if subtask != ANOMALY_SUBTASK:
        return SubtaskAccuracy(subtask, mean(answer.right for answer in answers), len(answers), answered)
    wrong = {
        label: [not answer.right for answer in answers if answer.question.anomalous is label] for label in (True, False)
    }
    miss, overkill = (float(mean(wrong[label])) if wrong[label] else None for label in (True, False))
    value = None if miss is None or overkill is None else 1.0 - (miss + overkill) / 2
    return SubtaskAccuracy(subtask, value, len(answers), answered, miss, overkill)


def _mean_over_sets(sets: Iterable[Sequence[SubtaskAccuracy]]) -> dict[str, float | None]:
    found: dict[str, list[float]] = defaultdict(list)
    for one in sets:
        for subtask in one:
            found[subtask.subtask] += [] if subtask.value is None else [subtask.value]
    return {name: mean(found[name]) if found[name] else None for name in sorted(found)}
