"""Which pages are generated, and their text."""

from pathlib import Path

from recipes.reference_pages.import_drawing import draw_imports
from recipes.reference_pages.json_page import json_page
from recipes.reference_pages.rules_page import rules_page

BEGIN, END = "<!-- imports: begin -->", "<!-- imports: end -->"


def render_pages(root: Path) -> dict[Path, str]:
    """Return path -> text of every generated page; of docs/architecture.md only the drawing is generated."""
    architecture = root / "docs" / "architecture.md"
    before, _, rest = architecture.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return {
        root / "docs" / "rules.md": rules_page(),
        root / "docs" / "json.md": json_page(),
        architecture: f"{before}{BEGIN}\n{draw_imports()}{END}{after}",
    }
