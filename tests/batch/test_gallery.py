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
    assert re.findall(r'translate="no">(\w)\.png', page) == ["d", "c", "a", "b"]
    assert re.findall(r'<li class="([^"]*)"', page) == ["part error", "part ng k1", "part ng k1 k2", "part ok"]
    assert "dent (2)" in page
    assert "&lt;b&gt;scratch (1)" in page
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    assert "main:has(#kind-2:checked) .part:not(.k2) { display: none; }" in style[1]
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in page
    assert page.count("<nav") == 0
    plain = Gallery(tmp_path / "other").write_index([row("a.png", "NG", 0.8, "dent")], title="plate").read_text()
    assert 'id="kind-all"' not in plain


def test_many_parts_are_shown_page_by_page_with_pictures_beside_them(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    rows = [
        row(f"p{k:05d}.png", "NG" if k < 300 else "OK", 1.0 - k / 20_000).model_copy(update={"page": f"p{k}.html"})
        for k in range(10_000)
    ]
    (tmp_path / "parts" / "p0.jpg").write_bytes(b"a picture")
    (tmp_path / "index-notes.html").write_text("somebody's own")
    gallery.write_index(rows, title="plate")
    names = sorted(path.name for path in tmp_path.glob("*.html") if path.name != "index-notes.html")
    assert len(names) == 50 + 2 + 49  # all, NG, OK
    first, last = ((tmp_path / name).read_text() for name in ("index.html", "index-ok-49.html"))
    assert len(first) < 200_000
    assert '<img src="parts/p0.jpg" alt="" loading="lazy">' in first
    assert first.count("<img") == 1
    assert "parts 1 to 200 of 10000" in first
    assert '<a href="index-2.html">next</a>' in first
    assert '<a href="index-ng.html">NG (300)</a>' in first
    assert "parts 9601 to 9700 of 9700" in last
    assert '<a href="index-ok-48.html">previous</a>' in last
    assert ">next<" not in last
    old = (tmp_path / "index-3.html").stat().st_mtime_ns
    rows[0] = row("p00000.png", "NG", 0.99)
    gallery.write_index(rows, title="plate")
    assert (tmp_path / "index-3.html").stat().st_mtime_ns == old  # what has not changed is not written anew
    gallery.write_index(rows[:3], title="plate")
    assert sorted(path.name for path in tmp_path.glob("*.html")) == ["index-notes.html", "index.html"]
