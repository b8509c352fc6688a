"""Tasks, references and what is refused before anything is asked."""

from pathlib import Path

import pytest

from evaluation.errors import RunError
from evaluation.runs.plan import check_leaks, class_name, load_rule_books, make_plan
from tests.datasets.data_folders import mmad, mvtec
from vlm_inspect.datasets.registry import read_dataset


def test_references_come_from_the_training_images_by_seed(tmp_path: Path) -> None:
    dataset = read_dataset(mvtec(tmp_path))
    plan = make_plan(dataset, shots=2, seed=5)
    assert make_plan(dataset, shots=2, seed=5) == plan
    assert {len(task.references) for task in plan.tasks} == {2}
    assert all("train/good" in path.as_posix() for task in plan.tasks for path in task.references)
    chosen = {make_plan(dataset, shots=2, seed=seed).tasks[0].references for seed in range(8)}
    assert len(chosen) > 1
    assert check_leaks(plan) == 4
    with pytest.raises(RunError, match="4 normal training items, fewer than --shots 5"):
        make_plan(dataset, shots=5)


def test_a_limit_keeps_both_labels_in_proportion(tmp_path: Path) -> None:
    dataset = read_dataset(mvtec(tmp_path))
    whole = {task.id for task in make_plan(dataset, shots=0).tasks}
    for limit, odd in ((1, 1), (2, 1), (3, 2), (5, 3), (6, 4), (99, 4)):
        plan = make_plan(dataset, shots=0, limit=limit)
        tasks = plan.of_category("bottle")
        assert len(tasks) == min(limit, 6)
        assert sum(bool(task.item.anomalous) for task in tasks) == odd
        assert {task.id for task in plan.tasks} <= whole
        assert [task.id for task in tasks] == sorted(task.id for task in tasks)


def test_a_copy_of_a_reference_among_the_scored_is_found(tmp_path: Path) -> None:
    root = mvtec(tmp_path)
    train = root / "bottle" / "train" / "good" / "000.png"
    (root / "bottle" / "test" / "good" / "other_name.png").write_bytes(train.read_bytes())
    dataset = read_dataset(root)
    with pytest.raises(RunError, match=r"1 references are also scored.*000\.png = .*other_name\.png"):
        check_leaks(make_plan(dataset, shots=4))


def test_a_missing_reference_is_said_before_the_run(tmp_path: Path) -> None:
    dataset = read_dataset(mvtec(tmp_path))
    plan = make_plan(dataset, shots=4)
    plan.tasks[0].references[1].unlink()
    with pytest.raises(RunError, match="1 references are missing"):
        check_leaks(plan)


def test_questions_are_tasks_with_templates_of_their_own(tmp_path: Path) -> None:
    dataset = read_dataset(mmad(tmp_path))
    plan = make_plan(dataset, shots=1, ask_questions=True)
    assert plan.asks_questions
    assert len(plan.tasks) == 6
    assert all(task.references == task.item.references for task in plan.tasks)
    assert not make_plan(dataset, shots=0).asks_questions
    assert plan.rules["MVTec-AD/bottle"].class_name == "bottle"
    assert class_name("metal_nut") == "metal nut"


def test_rule_books_by_class(tmp_path: Path) -> None:
    dataset = read_dataset(mvtec(tmp_path / "data"))
    books = tmp_path / "books"
    with pytest.raises(RunError, match="no such folder"):
        load_rule_books(books, ["bottle"])
    books.mkdir()
    with pytest.raises(RunError, match=r"it needs bottle\.yaml"):
        load_rule_books(books, ["bottle"])
    (books / "bottle.yaml").write_text("class_name: flask\nrules:\n- {id: whole, text: It is whole.}\n")
    plan = make_plan(dataset, shots=0, rules=load_rule_books(books, ["bottle", "screw"]))
    assert plan.rules["bottle"].class_name == "flask"
    assert plan.rules["screw"].class_name == "screw"
    assert plan.with_rules == {"bottle"}
