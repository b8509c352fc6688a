"""The generated pages of docs/ are current: `make docs` writes them anew."""

import re
from pathlib import Path

import pytest

from recipes.reference_pages.import_drawing import _reduced
from recipes.reference_pages.pages import render_pages

ROOT = Path(__file__).parents[2]


def test_the_generated_pages_are_current() -> None:
    stale = [path.name for path, text in render_pages(ROOT).items() if path.read_text(encoding="utf-8") != text]
    assert not stale, "run `make docs`"


def test_an_import_that_follows_is_not_drawn() -> None:
    assert _reduced({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == {"a": {"b"}, "b": {"c"}, "c": set()}


def test_a_circle_cannot_be_drawn() -> None:
    with pytest.raises(ValueError, match="cycle"):
        _reduced({"a": {"b"}, "b": {"a"}})


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_the_index_names_every_page(page: Path) -> None:
    if page.name != "index.md":
        assert f"({page.name})" in (ROOT / "docs" / "index.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda p: p.name)
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert not [link for link in links if not (page.parent / link).exists()]
