"""Output folders of runs, written by the code that writes real ones, from answers that a test makes up."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from evaluation.runs.plan import Task, make_plan
from evaluation.runs.record import Failure, ItemRecord, Spent
from evaluation.runs.settings import Limits, Settings
from evaluation.scoring.results import build_results, write_results
from vlm_inspect.datasets.item import Dataset
from vlm_inspect.decision.thresholds import Thresholds

Said = Callable[[Task], Mapping[str, Any]]
"""What becomes of a task: fields of its record; `preview_rgb` paints a preview, `chosen` answers a question."""


def write_run(
    folder: Path, dataset: Dataset, said: Said, *, questions: bool = False, **settings: Any
) -> dict[str, Any]:
    """Write a finished run over the test items of a data set, or over its questions, and return its results."""
    plan = make_plan(dataset, shots=0, ask_questions=questions)
    folder.mkdir(parents=True)
    records = {task.id: _record(folder, task, dict(said(task))) for task in plan.tasks}
    names = tuple(category.name for category in plan.categories)
    told = {"model": "openai:tiny", "localizer": "none", "shots": 0, "seed": 0, "limit": None, **settings}
    results = build_results(
        plan,
        records,
        pixels={},
        settings=Settings(
            dataset=dataset.name, format=dataset.format, items_sha256=plan.items_sha256, categories=names, **told
        ),
        limits=Limits(),
        thresholds={name: Thresholds() for name in names},
        wall_s=12.5,
        checks={"references_compared_with_scored_files": 0, "leaks": 0},
        worst=[one for one in records.values() if (folder / "previews" / f"{one.preview}.jpg").is_file()],
    )
    write_results(folder, results, plan, records)
    return results.dump()


def failed(kind: str = "parse", message: str = "The reply is empty.") -> dict[str, Any]:
    """Return what a record says of an item without a verdict."""
    return {"score": None, "outcome": None, "failure": Failure.model_validate({"kind": kind, "message": message})}


def shade(task: Task) -> float:
    """Return a number in [0, 1) that belongs to a task for good."""
    return int(hashlib.sha256(task.id.encode()).hexdigest()[:8], 16) / 2**32


def _record(folder: Path, task: Task, said: dict[str, Any]) -> ItemRecord:
    name = hashlib.sha256(task.id.encode()).hexdigest()[:16]
    colour = said.pop("preview_rgb", None)
    if colour is not None:
        (folder / "previews").mkdir(exist_ok=True)
        Image.fromarray(np.full((60, 124, 3), colour, np.uint8)).save(folder / "previews" / f"{name}.jpg")
    question = None
    if task.question is not None:
        one = task.question
        told = {"dataset": one.dataset, "subtask": one.subtask, "answer": one.answer}
        question = {**told, "chosen": said.pop("chosen")}
    facts = {
        "question": question,
        "id": task.id,
        "category": task.category,
        "label": "anomalous" if task.item.anomalous else "normal",
        "defect_types": task.item.defects,
        "preview": name,
        "latency_s": round(0.5 + shade(task), 3),
        "usage": Spent(prompt_tokens=1000, completion_tokens=7, calls=1),
    }
    score = said.get("score")
    outcome = None if score is None else "NG" if score >= 0.5 else "OK"
    return ItemRecord.model_validate({**facts, "outcome": outcome, **said})
