"""`Outputs`: where one inspection goes, checked before the model is asked and written after it has answered."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vlm_inspect.errors import OutputError
from vlm_inspect.file_writing import check_suffix, check_writable, write_together
from vlm_inspect.real_path import real_path
from vlm_inspect.report.rendering import html_page, overlay_png

if TYPE_CHECKING:
    from converters.sample import SampleKind
    from vlm_inspect.examination import Examination

STDOUT = "-"
_TABLES = (".csv", ".txt", "")
_KINDS: "dict[SampleKind, str]" = {
    "image": "a picture",
    "point_cloud": "a scan",
    "video": "a clip",
    "series": "a curve",
}


@dataclass(frozen=True)
class Outputs:
    """Files that one inspection is written to; the terminal gets it too, unless stdout carries the JSON."""

    json_path: str | None = None
    """A file, or "-" for stdout."""
    html_path: Path | None = None
    overlay_path: Path | None = None
    ply_path: Path | None = None
    """The scan, coloured by its deviation."""
    curve_path: Path | None = None
    """A number for every frame of a clip, as a table; a plot of it goes beside it."""

    @property
    def _json_file(self) -> Path | None:
        return None if self.json_path in (None, STDOUT) else Path(str(self.json_path))

    @property
    def _files(self) -> list[Path]:
        named = (self._json_file, self.html_path, self.overlay_path, self.ply_path, self.curve_path, self._plot_path)
        return [path for path in named if path is not None]

    @property
    def _plot_path(self) -> Path | None:
        """Where the plot of the curve goes: the table's name with .png; None beside what is no file."""
        path = self.curve_path
        if path is None or (path.exists() and not path.is_file()):
            return None
        return path.with_suffix(".png")

    def check_apart_from(self, inputs: Iterable[Path]) -> None:
        """Make sure that no result replaces what the inspection reads.

        Raises:
            OutputError: one of the files is an input, or lies in a folder that is one.
        """
        read = {_real(path) for path in inputs}
        for path in self._files:
            place = _real(path)
            if place in read or place.parent in read:
                raise OutputError(f"{path} is part of what is inspected; write the result elsewhere")

    def check_kind(self, kind: "SampleKind") -> None:
        """Find out before any work is done whether a part of this kind can have every result that is wanted.

        Raises:
            OutputError: it cannot.
        """
        if self.curve_path is not None and kind not in ("video", "series"):
            raise OutputError(f"--curve needs a clip or a curve, and the part is {_KINDS[kind]}; leave it out")
        if self.ply_path is not None and kind != "point_cloud":
            raise OutputError(f"--ply needs a scan, and the part is {_KINDS[kind]}; leave it out")

    def check_writable(self) -> None:
        """Find out before any work is done whether every file can be written.

        Raises:
            OutputError: one of them cannot, or two are the same.
        """
        paths = self._files
        self._check_suffixes()
        self._check_curve()
        for i, path in enumerate(paths):
            check_writable(path)
            if path.exists() and not path.is_file():
                continue  # a device takes any number of results
            if _real(path) in [_real(other) for other in paths[:i]]:
                raise OutputError(f"{path} is named for two results; give each its own file")

    def _check_suffixes(self) -> None:
        for path, told in (
            (self._json_file, ("--json", "JSON", ".json")),
            (self.html_path, ("--html", "a page", ".html", ".htm")),
            (self.overlay_path, ("--overlay", "a PNG", ".png")),
            (self.ply_path, ("--ply", "a PLY", ".ply")),
        ):
            if path is not None:
                check_suffix(path, *told)

    def _check_curve(self) -> None:
        """Make sure that the curve is named as a table, and that its plot replaces no file but an earlier plot."""
        path, plot = self.curve_path, self._plot_path
        if path is None or plot is None:
            return
        if path.suffix.lower() not in _TABLES:
            raise OutputError(f"--curve writes a table, not {path.suffix}; name a file that ends in .csv")
        from vlm_inspect.report.frame_curve import is_curve_plot

        if plot.is_file() and not is_curve_plot(plot):
            raise OutputError(f"{plot} is there, and --curve {path} writes its plot there; name another file")

    def write(self, examination: "Examination") -> None:
        """Write the result to stdout first: an answer that was paid for is seen, whatever becomes of the files.

        Raises:
            OutputError: stdout is closed, or a file cannot be written; then none of them is, and none is half replaced.
        """
        from vlm_inspect.report.json_report import render_json

        text = render_json(examination.inspection)
        try:
            self._show(examination, text)
        finally:  # what is piped into a reader that has gone is still written to the files
            written = self._write_files(examination, text)
        if self.json_path != STDOUT:
            _print_lines(f"written: {path}" for path in written)

    def _show(self, examination: "Examination", json_text: str) -> None:
        if sys.stdout is None:
            raise OutputError("stdout is closed; leave it open, or send it to /dev/null")
        if self.json_path == STDOUT:
            _write_utf8(json_text)
            return
        from rich.console import Console

        from vlm_inspect.report.terminal import print_inspection

        print_inspection(examination.inspection, Console(highlight=False))
        sys.stdout.flush()

    def _write_files(self, examination: "Examination", json_text: str) -> list[Path]:
        """Render every file first, then write: a picture that cannot be drawn leaves no page behind."""
        surface = examination.evidence.surface
        contents: dict[Path, bytes] = {}
        if (path := self._json_file) is not None:
            contents[path] = json_text.encode()
        if self.html_path is not None:
            contents[self.html_path] = html_page(examination)
        if self.overlay_path is not None:
            contents[self.overlay_path] = overlay_png(examination)
        if self.ply_path is not None:
            from vlm_inspect.report.ply import render_no_ply, render_ply

            contents[self.ply_path] = (
                render_no_ply([*filter(None, [examination.evidence.mismatch]), *examination.evidence.notes])
                if surface is None
                else render_ply(surface, examination.fused_at_points)
            )
        contents |= self._render_curve(examination)
        write_together(contents)
        return list(contents)

    def _render_curve(self, examination: "Examination") -> dict[Path, bytes]:
        """Render the curve; where nothing compared, files that say why: those of an earlier part would mislead."""
        if self.curve_path is None:
            return {}
        from vlm_inspect.report.frame_curve import (
            render_curve_plot,
            render_curve_table,
            render_no_plot,
            render_no_table,
        )

        evidence = examination.evidence
        curve = evidence.curve or evidence.sample_curve
        if curve is None:
            counted = "sample" if any(view.kind == "plot" for view in examination.views) else "frame"
            reasons = [*filter(None, [evidence.mismatch]), *evidence.notes]
            table, plot = render_no_table(counted, reasons), render_no_plot
        else:
            table, plot = render_curve_table(curve), partial(render_curve_plot, curve)
        written = {self.curve_path: table}
        return written if self._plot_path is None else {**written, self._plot_path: plot()}


def _print_lines(lines: Iterable[str]) -> None:
    from rich.console import Console
    from rich.text import Text

    from vlm_inspect.safe_text import plain_line

    console = Console(highlight=False)
    for line in lines:
        console.print(Text(plain_line(line), style="dim"), soft_wrap=True)


def _write_utf8(text: str) -> None:
    """Write JSON to stdout in UTF-8, as its standard (RFC 8259) demands, whatever the terminal's encoding."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode())
    sys.stdout.buffer.flush()


def _real(path: Path) -> Path:
    """The path with links followed; a link to itself, which `Path.resolve` raises on, stays as it is."""
    return real_path(path)
