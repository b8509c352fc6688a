"""`Gallery`: a folder with pages that show every part, worst first, and a page about each."""

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.errors import OutputError
from vlm_inspect.file_writing import check_folder, write_atomically, write_together
from vlm_inspect.safe_text import plain, plain_line
from vlm_inspect.significant_digits import probability_words
from vlm_inspect.sinks.row import Row

if TYPE_CHECKING:
    import jinja2

    from vlm_inspect.examination import Examination

PAGE_PARTS = 200
"""Parts on one page."""
_SIDE = 220
_MOST_KINDS = 12
"""Most kinds of defects that can be chosen, the most frequent ones."""
_HIDDEN = "main:has(#kind-{number}:checked) .part:not(.k{number}) {{ display: none; }}\n"
_ORDER = ("ERROR", "NG", "REVIEW", "OK")
_OWN_PAGE = re.compile(r"index(-error|-ng|-review|-ok)?(-[0-9]+)?\.html")


class Gallery:
    """Pages in a folder: `index.html`, 200 parts a page, and `parts/` with a page and a small picture for each part."""

    def __init__(self, folder: Path, language: str | None = None) -> None:
        """Make the folder; the language is that of the list, by its name or code, None: English.

        Raises:
            OutputError: it cannot be made or written to.
        """
        check_folder(folder)
        self.folder, self.language = folder, language
        try:
            self._parts.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{folder} cannot be made: {error.strerror or error}; name another folder") from error

    @property
    def _parts(self) -> Path:
        return self.folder / "parts"

    def add(self, source: Path, examination: "Examination") -> str:
        """Write the page of a part and return its name; raises OutputError where it cannot be written."""
        from vlm_inspect.report.pictures import encode_jpeg
        from vlm_inspect.report.rendering import html_page

        stem = re.sub(r"[^A-Za-z0-9._-]+", "_", source.stem)[:60].lstrip(".") or "part"
        whole = str(source.absolute()).encode(errors="surrogateescape")
        name = f"{stem}-{hashlib.sha256(whole).hexdigest()[:10]}.html"
        contents = {self._parts / name: html_page(examination)}
        if examination.views:
            contents[self._picture(name)] = encode_jpeg(_thumbnail(examination))
        write_together(contents)
        return name

    def write_index(self, rows: Sequence[Row], *, title: str) -> Path:
        """Write the pages of all parts and return the first; raises OutputError where one cannot be written.

        Of more parts than one page shows, the further ones stand on `index-2.html` and so on, and each outcome has
        pages of its own; what an earlier, longer list left is removed.
        """
        import jinja2

        from vlm_inspect.report.page_translation import translate_page

        folder = resources.files("vlm_inspect.report") / "templates"
        environment = jinja2.Environment(
            autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        environment.filters["plain"] = plain_line
        template = environment.from_string((folder / "gallery.html.j2").read_text(encoding="utf-8"))
        style = "".join((folder / name).read_text(encoding="utf-8") for name in ("inspection.css", "gallery.css"))
        shown = sorted(rows, key=lambda row: (row.score is not None, -(row.score or 0.0), row.source))
        counts: Counter[str] = Counter(row.outcome for row in shown)
        outcomes = [(outcome, counts[outcome], _page_name(outcome, 1)) for outcome in _ORDER if counts[outcome]]
        pictures = {path.name for path in self._parts.glob("*.jpg")}
        lists = {"": shown}
        if len(shown) > PAGE_PARTS:
            lists |= {outcome: [row for row in shown if row.outcome == outcome] for outcome, _, _ in outcomes}
        written = set()
        for outcome, own in lists.items():
            for number, part in enumerate(_pages_of(own), 1):
                told = _Page(title, outcome, number, part, len(own), len(shown))
                page = _render(template, told, outcomes, style, pictures)
                _write_changed(self.folder / told.name, translate_page(page, self.language).encode(errors="replace"))
                written.add(told.name)
        for path in self.folder.glob("index-*.html"):
            if path.name not in written and _OWN_PAGE.fullmatch(path.name):
                path.unlink(missing_ok=True)
        return self.folder / "index.html"

    def _picture(self, page: str) -> Path:
        return self._parts / _picture_name(page)


@dataclass(frozen=True)
class _Page:
    """One page of a list of parts."""

    title: str
    outcome: str
    """Of the list; "" for all parts."""
    number: int
    rows: Sequence[Row]
    listed: int
    """How many parts the list has."""
    parts: int
    """How many parts there are."""

    @property
    def name(self) -> str:
        return _page_name(self.outcome, self.number)

    @property
    def pages(self) -> int:
        return max(1, -(-self.listed // PAGE_PARTS))

    @property
    def others(self) -> list[tuple[str, str]]:
        """Words and file names of the pages before and after it, the first and the last."""
        numbers = {"first": 1, "previous": self.number - 1, "next": self.number + 1, "last": self.pages}
        return [
            (words, _page_name(self.outcome, number))
            for words, number in numbers.items()
            if 1 <= number <= self.pages and number != self.number
        ]


def _render(
    template: "jinja2.Template",
    page: _Page,
    outcomes: Sequence[tuple[str, int, str]],
    style: str,
    pictures: Collection[str],
) -> str:
    from markupsafe import Markup

    kinds = Counter(kind for row in page.rows for kind in row.kinds).most_common(_MOST_KINDS)
    number_of = {kind: number for number, (kind, _) in enumerate(kinds, 1)}
    style += "".join(_HIDDEN.format(number=number) for number in number_of.values())
    first = (page.number - 1) * PAGE_PARTS
    return template.render(
        chance=probability_words,
        title=plain(page.title),
        page=page,
        span=(first + 1, first + len(page.rows)),
        paged=page.parts > PAGE_PARTS,
        rows=[
            (
                row,
                f"parts/{quote(_picture_name(row.page))}" if row.page and _picture_name(row.page) in pictures else "",
                [number_of[kind] for kind in row.kinds if kind in number_of],
            )
            for row in page.rows
        ],
        kinds=[(number_of[kind], kind, count) for kind, count in kinds],
        outcomes=outcomes,
        style=Markup(style),  # our own files, whose digest the policy names
        style_sha256=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
    )


def _pages_of(rows: Sequence[Row]) -> list[Sequence[Row]]:
    return [rows[first : first + PAGE_PARTS] for first in range(0, max(1, len(rows)), PAGE_PARTS)]


def _page_name(outcome: str, number: int) -> str:
    return "-".join(filter(None, ("index", outcome.lower(), "" if number == 1 else str(number)))) + ".html"


def _picture_name(page: str) -> str:
    return f"{page.removesuffix('.html')}.jpg"


def _write_changed(path: Path, content: bytes) -> None:
    """Write a page whose content is another: of thousands of parts few move at a time."""
    try:
        if path.read_bytes() == content:
            return
    except OSError:
        pass  # it is not there yet, or the writing tells what is wrong
    write_atomically(path, content)


def _thumbnail(examination: "Examination") -> NDArray[np.uint8]:
    """Return the most suspicious view with its heat, (h, w, 3) uint8, no side longer than `_SIDE`."""
    from PIL import Image

    from vlm_inspect.report.heat import blend, heat_of_view
    from vlm_inspect.report.marks import rank_views

    index = rank_views(examination.inspection, examination.views, examination.evidence)[0]
    image = examination.views[index].image
    heat = heat_of_view(examination.evidence, index)
    picture = Image.fromarray(blend(image, heat) if heat else image)
    picture.thumbnail((_SIDE, _SIDE))
    return np.asarray(picture.convert("RGB"))
