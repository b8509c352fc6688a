"""`make docs`: write the generated pages, each in its place."""

from pathlib import Path

from recipes.reference_pages.pages import render_pages

ROOT = Path(__file__).parents[2]


def main() -> None:
    """Write every page whose text has changed."""
    for path, text in render_pages(ROOT).items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
