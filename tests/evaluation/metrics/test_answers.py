"""Accuracy of multiple-choice answers: balanced where it asks for defects, failures wrong, coverage told."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.metrics import ChosenOption, score_answers
from vlm_inspect.datasets.question import ANOMALY_SUBTASK, Question
from vlm_inspect.datasets.registry import read_dataset


def question(
    number: int, *, subtask: str = ANOMALY_SUBTASK, anomalous: bool = False, dataset: str = "MVTec-AD"
) -> Question:
    right = "A" if anomalous else "B"
    options = (("A", "Yes."), ("B", "No."))
    return Question(
        f"q{number}", "i", dataset, dataset, Path("x.png"), "Any defect?", options, right, subtask, anomalous
    )


def test_the_anomaly_subtask_is_balanced() -> None:
    # Always "No": nine of ten right, and useless.
    asked = [question(at, anomalous=at == 0) for at in range(10)]
    summary = score_answers([ChosenOption(one, "B") for one in asked])
    told = summary.pooled[0]
    assert (told.value, told.miss, told.overkill) == (0.5, 1.0, 0.0)
    assert summary.subtasks == {ANOMALY_SUBTASK: 0.5}


def test_a_missing_answer_is_wrong_and_lowers_coverage() -> None:
    asked = [question(at, subtask="Defect Analysis") for at in range(4)]
    summary = score_answers(
        [ChosenOption(one, choice) for one, choice in zip(asked, ["B", "B", "A", None], strict=True)]
    )
    assert summary.average == 0.5
    assert (summary.coverage, summary.parse_failures, summary.pooled[0].answered) == (0.75, 1, 3)


def test_a_subtask_is_the_mean_over_data_sets() -> None:
    asked = [question(at, subtask="Defect Analysis", dataset="VisA" if at else "MVTec-AD") for at in range(5)]
    summary = score_answers([ChosenOption(one, "B" if at else "A") for at, one in enumerate(asked)])
    assert summary.subtasks == {"Defect Analysis": 0.5}
    assert summary.pooled[0].value == pytest.approx(0.8)
    assert [one.value for one in summary.datasets["VisA"]] == [1.0]


def test_an_unbalanceable_subtask_is_left_out() -> None:
    summary = score_answers([ChosenOption(question(0), "B"), ChosenOption(question(1, subtask="Defect Analysis"), "B")])
    assert summary.subtasks == {ANOMALY_SUBTASK: None, "Defect Analysis": 1.0}
    assert summary.average == 1.0


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="at least one"):
        score_answers([])
    with pytest.raises(ValueError, match="one a question"):
        score_answers([ChosenOption(question(0), "A"), ChosenOption(question(0), "B")])


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["A", "B", None])), min_size=1, max_size=30), st.randoms())
@settings(deadline=None)
def test_order_does_not_matter(told: list[tuple[bool, str | None]], random: object) -> None:
    answers = [ChosenOption(question(at, anomalous=odd), choice) for at, (odd, choice) in enumerate(told)]
    shuffled = list(answers)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    assert score_answers(answers) == score_answers(shuffled)


def test_real_questions(shared_data: Path) -> None:
    asked = read_dataset(shared_data / "qa").questions
    right = score_answers([ChosenOption(one, one.answer) for one in asked])
    assert (right.average, right.coverage) == (1.0, 1.0)
    assert score_answers([ChosenOption(one, "B") for one in asked]).average == 0.5
