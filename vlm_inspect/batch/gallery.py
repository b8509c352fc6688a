"""`Gallery`: a folder with one page that shows every part, worst first, and a page about each."""

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.errors import OutputError
from vlm_inspect.file_writing import check_folder, write_atomically, write_together
from vlm_inspect.safe_text import plain, plain_line
from vlm_inspect.sinks.row import Row

if TYPE_CHECKING:
    from vlm_inspect.examination import Examination

_SIDE = 220
_MOST_KINDS = 12
"""Most kinds of defects that can be chosen, the most frequent ones."""
_HIDDEN = "main:has(#kind-{number}:checked) .part:not(.k{number}) {{ display: none; }}\n"
_ORDER = ("ERROR", "NG", "REVIEW", "OK")


class Gallery:
    """Pages in a folder: `index.html`, and `parts/` with a page and a small picture for each part."""

    def __init__(self, folder: Path) -> None:
        """Make the folder.

        Raises:
            OutputError: it cannot be made or written to.
        """
        check_folder(folder)
        self.folder = folder
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
        """Write the page of all parts and return where it is; raises OutputError where it cannot be written."""
        import jinja2
        from markupsafe import Markup

        folder = resources.files("vlm_inspect.report") / "templates"
        environment = jinja2.Environment(
            autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        environment.filters["plain"] = plain_line
        kinds = Counter(kind for row in rows for kind in row.kinds).most_common(_MOST_KINDS)
        number_of = {kind: number for number, (kind, _) in enumerate(kinds, 1)}
        style = "".join((folder / name).read_text(encoding="utf-8") for name in ("inspection.css", "gallery.css"))
        style += "".join(_HIDDEN.format(number=number) for number in number_of.values())
        shown = sorted(rows, key=lambda row: (row.score is not None, -(row.score or 0.0), row.source))
        counts: Counter[str] = Counter(row.outcome for row in shown)
        page = environment.from_string((folder / "gallery.html.j2").read_text(encoding="utf-8")).render(
            title=plain(title),
            rows=[
                (row, self._data_url(row), [number_of[kind] for kind in row.kinds if kind in number_of])
                for row in shown
            ],
            kinds=[(number_of[kind], kind, count) for kind, count in kinds],
            counts=[(outcome, counts[outcome]) for outcome in _ORDER if counts[outcome]],
            style=Markup(style),  # our own files, whose digest the policy names
            style_sha256=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        )
        path = self.folder / "index.html"
        write_atomically(path, page.encode(errors="replace"))
        return path

    def _picture(self, page: str) -> Path:
        return self._parts / f"{page.removesuffix('.html')}.jpg"

    def _data_url(self, row: Row) -> str:
        """Return the small picture of a part as a data: address; empty where there is none."""
        try:
            data = self._picture(row.page).read_bytes() if row.page else b""
        except OSError:
            return ""
        return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}" if data else ""


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
