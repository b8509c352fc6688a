"""The page of a run in a real browser: no error on its console, every picture decodes, a phone need not scroll."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from evaluation.prompt_tests.answer_changes import RuleTest, count_moves
from evaluation.prompt_tests.probing import ProbeResult
from evaluation.prompt_tests.rule_changes import AS_IS, Change
from evaluation.report import write_report
from evaluation.runs.plan import Task
from evaluation.runs.record import Spent
from tests.browsing import open_file
from tests.datasets.data_folders import mvtec
from tests.evaluation.finished_runs import failed, shade, write_run
from vlm_inspect.datasets.registry import read_dataset

if TYPE_CHECKING:
    from playwright import sync_api as playwright

LONG = "x" * 400 + "/" + "Donaudampfschifffahrtsgesellschaft" * 12


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with everything that could be too wide for a phone."""
    root = tmp_path_factory.mktemp("seen")

    def said(task: Task) -> dict[str, object]:
        if task.id.endswith("000.png") and task.item.anomalous:
            return failed("backend", LONG)
        words = {"reasoning": LONG, "defects": (LONG,), "reasons": (LONG,), "rules": {"a" * 64: "fail"}}
        return {"score": shade(task), "preview_rgb": (200, 120, 40), **words}

    out = root / "ablation" / "model" / "1-task"
    write_run(out, read_dataset(mvtec(root / "data", ["bottle", "c" * 60])), said, model=f"openai:{LONG}")
    row = {"model": LONG, "variant": "task", "image_auroc": 0.6, "interval": [0.4, 0.8]}
    (root / "ablation" / "ablation.json").write_text(
        json.dumps({"dataset": "d", "rows": [row, {**row, "variant": "class"}]})
    )
    (out / "rule_test.json").write_text(rule_test_of(LONG).as_document().model_dump_json())
    return write_report(out)


def rule_test_of(rule: str) -> RuleTest:
    """Return a rule test of one rule, that moved the answer on one part of two."""
    turned = Change("negated", rule)
    told = [{AS_IS: ProbeResult(True, 0.9), turned: ProbeResult(moved, 0.2)} for moved in (True, False)]
    return RuleTest(LONG, {rule: LONG}, (LONG,), ((LONG, LONG),), (count_moves(turned, told),), 4, Spent())


@pytest.mark.parametrize("width", [390, 1200])
def test_pictures_decode_and_nothing_sticks_out(report: Path, browser: "playwright.Browser", width: int) -> None:
    seen = open_file(browser, report, width)
    told = seen.sizes()
    assert told["inner"] == width
    assert told["images"] == 8
    assert told["undecoded"] == []
    assert told["charts"] == 14, "those of two classes, the ablation and the rule test among them"
    assert told["wide"] == []
    assert told["scroll"] <= width
    assert seen.console == []


def test_the_checks_can_fail(tmp_path: Path, browser: "playwright.Browser") -> None:
    broken = tmp_path / "broken.html"
    policy = "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; img-src data:\">"
    broken.write_text(
        f"<!doctype html><head>{policy}</head><body><img src='data:image/png;base64,AAAA' alt='dead'>"
        "<table width='900'><tr><td>wide</td></tr></table><script>no()</script></body>"
    )
    seen = open_file(browser, broken, 390)
    told = seen.sizes()
    assert any("script" in line for line in seen.console), "a script that the policy forbids is an error"
    assert told["undecoded"] == ["dead"]
    assert told["scroll"] > 390
    assert "TABLE" in told["wide"]
