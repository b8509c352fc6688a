"""The page of a run: complete, escaped, self-contained; failures and n/a are said."""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from evaluation.errors import RunError
from evaluation.report import write_report
from evaluation.report.charts import Plot, round_ticks
from evaluation.report.curves import curves_of, histogram
from evaluation.runs.plan import Task
from evaluation.scoring.outcomes import counted_scores
from tests.datasets.data_folders import mvtec
from tests.evaluation.finished_runs import failed, shade, write_run
from tests.report.test_html import ATTACKS, Page
from vlm_inspect.datasets.registry import read_dataset

HOSTILE = "".join(ATTACKS)


def said(task: Task) -> dict[str, Any]:
    """Screws are judged well, bottles at random; some fail."""
    if task.id.endswith("screw/test/hole/001.png"):
        return failed(message=f"No verdict in {HOSTILE}")
    good = task.category == "screw"
    score = (0.9 if task.item.anomalous else 0.1) if good else shade(task)
    colour = (40, 90, 160) if task.item.anomalous else (90, 90, 90)
    words = {"reasoning": f"Because {HOSTILE}", "defects": (f"spot {HOSTILE}",) if score >= 0.5 else ()}
    return {"score": score, "heatmap_score": score * 2, "rules": {"thread": "pass"}, "preview_rgb": colour, **words}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("report")
    write_run(root / "out", read_dataset(mvtec(root / "data")), said)
    write_report(root / "out")
    return root / "out"


@pytest.fixture(scope="module")
def page(run: Path) -> Page:
    return Page((run / "report.html").read_text(encoding="utf-8"))


def test_the_page_says_what_the_results_say(run: Path, page: Page) -> None:
    document = json.loads((run / "results.json").read_text())
    assert page.open == []
    for name in ("bottle", "screw"):
        told = document["categories"][name]
        low, high = document["ci95"][name]["image_auroc"]
        assert f"{told['image_auroc']:.3f} {low:.3f} to {high:.3f}" in page.text
        assert f"{told['balanced_accuracy']:.1%}" in page.text
        assert f"{told['brier']:.3f}" in page.text
    assert f"{document['usage']['latency_s']['p99']:.2f} s" in page.text
    assert "Failures: 1" in page.text
    assert "12 items" in page.text
    assert "0 references were compared by content with every scored file: 0 are scored" in page.text
    assert "openai:tiny" in page.text
    for word in ("crack", "hole", "Truly", "on normal items", "thread", "Reliability", "Precision and recall", "ROC"):
        assert word in page.text


def test_every_mistake_is_told_with_its_picture_and_words(run: Path, page: Page) -> None:
    document = json.loads((run / "results.json").read_text())
    lines = [json.loads(line) for line in (run / "items.jsonl").read_text().splitlines()]
    missed = [one for one in lines if one["label"] == "anomalous" and (one["score"] is None or one["score"] < 0.5)]
    overkill = [one for one in lines if one["label"] == "normal" and (one["score"] is None or one["score"] >= 0.5)]
    assert missed, "the data of this test hold a miss"
    assert f"Missed: {len(missed)} of 8" in page.text
    assert f"Overkill: {len(overkill)} of 4" in page.text
    pictures = [one for one in page.all("img") if (one["src"] or "").startswith("data:image/jpeg")]
    assert len(pictures) == len(document["worst"]) == 11
    assert "no preview was kept" in page.text, "the failed item has none, and is shown all the same"


def test_nothing_foreign_runs_and_nothing_is_loaded(run: Path, page: Page) -> None:
    source = (run / "report.html").read_text(encoding="utf-8")
    assert HOSTILE.replace("\n", "")[:20] in page.text, "hostile words are shown as words"
    assert not {tag for tag, _ in page.tags} & {"script", "iframe", "object", "embed", "form", "base", "textarea"}
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        for name in ("src", "href"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), (tag, value)
    assert "url(" not in source
    assert "@import" not in source
    assert len(re.findall("<style>", source)) == 1


def test_one_label_is_not_a_number(tmp_path: Path) -> None:
    dataset = read_dataset(mvtec(tmp_path / "data"))
    write_run(tmp_path / "out", dataset.select(["bottle"]), lambda task: {"score": 0.25})
    flat = Page(write_report(tmp_path / "out").read_text())
    assert "Every item has the same score" in flat.text
    for path in (tmp_path / "data" / "screw" / "test" / "good").iterdir():
        path.unlink()
    write_run(tmp_path / "one", read_dataset(tmp_path / "data"), said)
    page = Page(write_report(tmp_path / "one").read_text())
    assert "One label only, so no AUROC (n/a, not in the mean): screw" in page.text
    assert "n/a: all 4 items are anomalous" in page.text
    assert "nan" not in re.sub(r"base64,\S+", "", (tmp_path / "one" / "report.html").read_text()).lower()


def test_a_damaged_or_missing_run_is_refused(tmp_path: Path, run: Path) -> None:
    with pytest.raises(RunError, match="no such folder"):
        write_report(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="no finished run"):
        write_report(tmp_path / "empty")
    for name, text in (("results.json", "{"), ("results.json", "{}"), ("items.jsonl", '{"id": 1}\n')):
        broken = tmp_path / f"broken-{name}-{len(text)}"
        broken.mkdir()
        for path in (run / "results.json", run / "items.jsonl"):
            (broken / path.name).write_bytes(path.read_bytes())
        (broken / name).write_text(text)
        with pytest.raises(RunError):
            write_report(broken)


def test_curves_go_through_what_the_threshold_does(run: Path) -> None:
    from evaluation.runs.finished_run import read_run

    found = read_run(run)
    for name in found.categories:
        records = found.of_category(name)
        curves = curves_of(records, 0.5)
        assert curves is not None
        assert curves.roc[0] == (0.0, 0.0)
        assert curves.roc[-1] == (1.0, 1.0)
        told = found.results.categories[name]
        assert curves.roc_at == pytest.approx((told.metric("overkill_rate"), 1 - (told.metric("miss_rate") or 0.0)))
        area = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(curves.roc))
        assert area == pytest.approx(told.metric("image_auroc"))
        steps = [(0.0, 1.0), *curves.pr]
        average = sum((b[0] - a[0]) * b[1] for a, b in pairwise(steps))
        assert average == pytest.approx(told.metric("image_ap"))
        assert len(counted_scores(records)) == len(records)


def test_histograms_count_everything_and_axes_are_round() -> None:
    assert sum(histogram([0.0, 0.5, 1.0, 0.999])) == 4
    assert histogram([1.0])[-1] == 1
    assert round_ticks(0, 1) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert len(round_ticks(0, 7)) <= 6
    assert round_ticks(3, 3) == [3]
    plot = Plot("<b>", "x", "y", y_range=(0.0, 0.0))
    plot.dot((5.0, -2.0), "dot", says="<i>")
    assert "<b>" not in plot.render()
    assert "<i>" not in plot.render()
