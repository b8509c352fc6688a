"""Results and items that are damaged, foreign or of another version: one line that names file, line and key."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evaluation.engine.journal import open_journal
from evaluation.errors import RunError
from evaluation.report import write_report
from evaluation.runs.finished_run import read_run
from evaluation.runs.record import ItemRecord
from evaluation.runs.settings import Settings
from tests.datasets.data_folders import mvtec
from tests.evaluation.finished_runs import shade, write_run
from vlm_inspect.datasets.registry import read_dataset

DEEP = "[" * 100_000


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_run(tmp_path / "out", read_dataset(mvtec(tmp_path / "data", ["bottle"])), lambda task: {"score": shade(task)})
    return tmp_path / "out"


def refused(folder: Path, *words: str) -> None:
    for read in (read_run, write_report):
        with pytest.raises(RunError) as caught:
            read(folder)
        message = str(caught.value)
        assert "\n" not in message
        assert len(message) < 600
        for word in words:
            assert word in message, message


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda d: d["categories"]["bottle"].update(image_auroc="high"), "categories.bottle.image_auroc"),
        (lambda d: d["categories"]["bottle"].update(image_auroc=[0.5]), "categories.bottle.image_auroc"),
        (lambda d: d["categories"]["bottle"].update(n="12"), "categories.bottle.n"),
        (lambda d: d["categories"].update(bottle=[]), "categories.bottle"),
        (lambda d: d["ci95"]["mean"].update(image_auroc=[0.5]), "ci95.mean.image_auroc"),
        (lambda d: d["usage"].update(latency_s=3), "usage.latency_s"),
        (lambda d: d.pop("coverage"), "coverage: Field required"),
        (lambda d: d.update(version=99), "version"),
        (lambda d: d.update(failures={"a": 1}), "failures"),
        (lambda d: d.update(rule_test={"rows": 1}), "rule_test.rows"),
        (lambda d: d.update(worst=[{"id": 1, "preview": "x"}]), "worst.0.id"),
    ],
)
def test_a_wrong_key_of_the_results_is_named(run: Path, change: Change, key: str) -> None:
    document = json.loads((run / "results.json").read_text())
    change(document)
    (run / "results.json").write_text(json.dumps(document))
    refused(run, "results.json", key)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", DEEP, '{"a":' * 50_000, "\x00", '{"coverage": NaN}', '"\\ud800"']
)
def test_no_results_at_all(run: Path, text: str) -> None:
    (run / "results.json").write_text(text)
    refused(run, "results.json")
    (run / "results.json").write_bytes(b"\xff\xfe{}")
    refused(run, "results.json")


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda d: d.update(score="0.5"), "score"),
        (lambda d: d.update(outcome="GOOD"), "outcome"),
        (lambda d: d.update(defect_scores=[1]), "defect_scores"),
        (lambda d: d.update(version=7), "version"),
        (lambda d: d.update(surprise=1), "surprise"),
        (lambda d: d.update(category="other"), "is of other"),
    ],
)
def test_a_wrong_key_of_an_item_is_named_with_its_line(run: Path, change: Change, key: str) -> None:
    lines = (run / "items.jsonl").read_text().splitlines()
    told = json.loads(lines[2])
    change(told)
    (run / "items.jsonl").write_text("\n".join([*lines[:2], json.dumps(told), *lines[3:]]))
    refused(run, "items.jsonl", key)
    if key != "is of other":
        refused(run, "line 3")
    (run / "items.jsonl").write_text("\n".join([*lines[:2], DEEP]))
    refused(run, "items.jsonl, line 3")


def test_a_run_of_before_there_were_versions_is_read_and_says_so(run: Path) -> None:
    document = json.loads((run / "results.json").read_text())
    assert document["version"] == 2
    del document["version"]
    for told in document["categories"].values():
        for key in ("outcome_rates", "risk_coverage", "sensitivity", "decided_rate", "normal_ok_rate"):
            del told[key]
    lines = [json.loads(line) for line in (run / "items.jsonl").read_text().splitlines()]
    assert all(line.pop("version") == 1 for line in lines)
    (run / "results.json").write_text(json.dumps(document))
    (run / "items.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert read_run(run).results.version == 1
    assert "An earlier version made this run" in write_report(run).read_text()


def test_what_is_written_is_what_is_read(run: Path) -> None:
    assert read_run(run).results.dump() == json.loads((run / "results.json").read_text())


def test_a_damaged_record_of_a_journal_is_one_line(tmp_path: Path) -> None:
    settings = Settings(
        dataset="d", format="folder", items_sha256="", categories=(), shots=0, seed=0, limit=None, model="m",
        localizer="none",
    )  # fmt: skip
    with open_journal(tmp_path / "out", resume=False) as journal:
        journal.begin(settings)
        journal.add(ItemRecord(id="a.png", category="a", label="normal", score=0.1), ["x"])
        journal._database.execute("UPDATE items SET record = ?", (DEEP,))
        with pytest.raises(RunError, match=r"journal\.sqlite, item a\.png") as caught:
            journal.records()
    assert "\n" not in str(caught.value)
