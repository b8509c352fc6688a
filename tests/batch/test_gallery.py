"""The page of all parts: worst first, and chosen by outcome and by kind of defect without a script."""

import base64
import hashlib
import re
from pathlib import Path

from vlm_inspect.batch.gallery import Gallery
from vlm_inspect.sinks.row import Row


def row(name: str, outcome: str, score: float | None, *kinds: str) -> Row:
    told = {"source": name, "outcome": outcome, "score": score, "kinds": kinds, "created_at": "2026-01-01"}
    return Row.model_validate(told)


def test_parts_are_chosen_by_outcome_and_by_kind(tmp_path: Path) -> None:
    rows = [
        row("a.png", "NG", 0.8, "dent", "<b>scratch"),
        row("b.png", "OK", 0.1),
        row("c.png", "NG", 0.9, "dent"),
        row("d.png", "ERROR", None),
    ]
    page = Gallery(tmp_path).write_index(rows, title="plate").read_text()
    assert re.findall(r"<p>(\w)\.png", page) == ["d", "c", "a", "b"]
    assert re.findall(r'<li class="([^"]*)"', page) == ["part error", "part ng k1", "part ng k1 k2", "part ok"]
    assert "dent (2)" in page
    assert "&lt;b&gt;scratch (1)" in page
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    assert "main:has(#kind-2:checked) .part:not(.k2) { display: none; }" in style[1]
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in page
    plain = Gallery(tmp_path / "other").write_index([row("a.png", "NG", 0.8, "dent")], title="plate").read_text()
    assert 'id="kind-all"' not in plain
