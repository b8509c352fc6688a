"""The page: self-contained, escaped, linked up, and harmless whatever a model or a rule book says."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from vlm_inspect.evidence import Evidence
from vlm_inspect.inspection import DefectOutcome, RuleOutcome
from vlm_inspect.report.html import render_html
from vlm_inspect.rules import Rule, RuleBook

VOID = {"meta", "img", "input", "br", "link", "hr"}
ATTACKS = (
    "<script>alert(1)</script>",
    "</style><script>alert(2)</script>",
    '"><img src=x onerror=alert(3)>',
    "'><svg onload=alert(4)>",
    "javascript:alert(5)",
    "{{ 7 * 7 }}{% include '/etc/passwd' %}",
    "</title></textarea><iframe src=//evil.example>",
)


class Page(HTMLParser):
    """Every tag with its attributes, all text, and whether tags are balanced."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture
def page(case) -> Page:
    return Page(render_html(case.inspection, case.views, case.evidence))


def test_the_page_is_balanced_and_says_it_all(page: Page) -> None:
    assert page.open == []
    for words in ("NG", "uncalibrated", "18.2 mm < 19.7 mm", "cannot tell", "missing thread", "0.10, 2.00, 11.40 mm",
                  "limit 0.5 mm", "12 points", "a" * 64, "depth, top"):  # fmt: skip
        assert words in page.text, words


def test_nothing_is_loaded_from_elsewhere_and_nothing_runs(case) -> None:
    source = render_html(case.inspection, case.views, case.evidence)
    page = Page(source)
    assert not {tag for tag, _ in page.tags} & {"script", "iframe", "object", "embed", "link", "form", "base"}
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        for name in ("src", "href"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/", "#")), (tag, value)
    assert "url(" not in source
    assert "@import" not in source


def test_the_policy_names_the_style_sheet_by_its_digest(case) -> None:
    source = render_html(case.inspection, case.views, case.evidence)
    style = re.search(r"<style>(.*?)</style>", source, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    (policy,) = [m["content"] for m in Page(source).all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert f"style-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_defects_and_marks_link_to_each_other(page: Page) -> None:
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    targets = [(attributes.get("href") or "")[1:] for attributes in page.all("a")]
    assert set(targets) == {"view-1", "defect-1"}
    assert set(targets) <= ids
    assert {"view-0", "view-1", "view-2", "defect-1", "defect-2"} <= ids


def test_marks_lie_on_the_view_in_its_pixels(page: Page) -> None:
    boxes = [rect for rect in page.all("rect") if rect.get("class") == "box"]
    assert [[float(rect[k] or 0) for k in ("x", "y", "width", "height")] for rect in boxes] == [
        pytest.approx([38.4, 28.8, 25.6, 28.8], abs=0.06)
    ]
    assert [svg["viewbox"] for svg in page.all("svg")] == ["0 0 128 96"] * 3


@pytest.mark.parametrize("attack", ATTACKS)
def test_foreign_text_stays_text(case, attack: str) -> None:
    from dataclasses import replace

    rule = RuleOutcome(id="length", status="fail", reason=attack, source="model")
    defect = DefectOutcome(type=attack, severity="major", view=0, box_xyxyn=(0, 0, 1, 1), score=0.5, source="model",
                           description=attack)  # fmt: skip
    fields = {"answer": attack, "reasoning": f"x{attack}", "rules": (rule,), "defects": (defect,), "notes": (attack,)}
    inspection = case.inspection.model_copy(update={**fields, "review_reasons": (attack,), "model": attack})
    inspection = inspection.model_copy(
        update={"views": tuple(v.model_copy(update={"label": attack}) for v in inspection.views)}
    )
    views = [replace(view, label=attack) for view in case.views]
    book = RuleBook(class_name=attack, rules=(Rule(id="length", text=attack),))
    page = Page(render_html(inspection, views, case.evidence, rules=book, question=attack))
    plain = Page(render_html(case.inspection, case.views, case.evidence))
    assert page.open == []
    assert {tag for tag, _ in page.tags} <= {tag for tag, _ in plain.tags} | {"br"}
    assert page.text.count(" ".join(attack.split())) >= 9
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        assert not (attributes.get("href") or "#").startswith("javascript")


def test_the_rule_texts_and_the_question_are_shown(case) -> None:
    book = RuleBook(class_name="screw", rules=(Rule(id="length", text="Overall length is 20 mm."),))
    page = Page(render_html(case.inspection, case.views, case.evidence, rules=book, question="Is it too short?"))
    assert "Overall length is 20 mm." in page.text
    assert "Is it too short?" in page.text
    assert "NG: screw" in page.text


def test_a_page_without_views_maps_rules_or_defects(case) -> None:
    empty = {"views": (), "rules": (), "defects": (), "notes": (), "answer": "", "reasoning": ""}
    page = Page(render_html(case.inspection.model_copy(update=empty), (), Evidence()))
    assert page.open == []
    assert page.all("img") == []
    assert page.all("table") == []


def test_uncalibrated_heat_is_labelled_so(case) -> None:
    from dataclasses import replace

    maps = tuple(replace(m, tolerance=None) for m in case.evidence.maps)
    page = Page(render_html(case.inspection, case.views, Evidence(maps=maps)))
    assert "uncalibrated, colours span its own range" in page.text
    assert "limit of normal parts" not in page.text
