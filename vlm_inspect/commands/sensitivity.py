"""`vlm-inspect sensitivity`: which defects the references of a class would hold up."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vlm_inspect.command_options.general import PATH, common, progress
from vlm_inspect.command_options.groups import GroupedCommand
from vlm_inspect.command_options.inspector import inspector_options
from vlm_inspect.safe_text import escape_invisible, write_line

if TYPE_CHECKING:
    from vlm_inspect.class_reports.class_report import ClassReport
    from vlm_inspect.config import InspectorConfig


@click.command(cls=GroupedCommand)
@click.option("--json", "json_path", type=PATH, metavar="FILE|-", help="Write the figures as JSON; - is stdout.")
@click.option(
    "--html",
    "html_path",
    type=PATH,
    metavar="FILE",
    help="Write a page with the curve, the kinds and the planted defects.",
)
@click.option(
    "--planted",
    type=click.IntRange(20, 2000),
    help="Number of planted defects. Default: 120 for photos, 240 with 8 references or more.",
)
@inspector_options
@common
def sensitivity(*, config: "InspectorConfig", **options: Any) -> int:
    """Show which defects these references would catch, measured with planted defects.

    Defects are planted on each reference, and the other references judge it.

    The planted kinds (scratches, stains, holes, dents, missing and displaced components, uneven surfaces, another
    structure of the whole surface and others) stand in for real defects; --html shows them. a90/95 is the size from
    which nine in ten are caught, with 95 % confidence; a change of the whole surface has no size.

    \b
    Example:
      vlm-inspect sensitivity --rules rules/bottle.yaml --html sensitivity.html
    """
    from vlm_inspect.class_reports.class_report import report_class
    from vlm_inspect.class_reports.page import render_sensitivity
    from vlm_inspect.file_writing import check_suffix, check_writable, write_together
    from vlm_inspect.report.page_translation import translate_page

    json_path, html_path = options["json_path"], options["html_path"]
    to_stdout = json_path == Path("-")
    figures, page = ("--json", "JSON", ".json"), ("--html", "a page", ".html", ".htm")
    for path, named in ((None if to_stdout else json_path, figures), (html_path, page)):
        if path is not None:
            check_suffix(path, *named)
            check_writable(path)
    if options["planted"]:
        config = config.with_changes(qualification={"planted": options["planted"]})
    with progress(quiet=options["quiet"]) as say:
        report = report_class(config.build(), with_examples=html_path is not None, say=say)
    text = report.model_text()
    if to_stdout:
        write_line(escape_invisible(text))
    else:
        _print(report)
    contents = {} if json_path is None or to_stdout else {json_path: (text + "\n").encode()}
    if html_path is not None:
        contents[html_path] = translate_page(render_sensitivity(report), config.prompt.language).encode()
    if contents:
        write_together(contents)
        write_line(f"written: {', '.join(str(path) for path in contents)}", err=True)
    return 0


def _print(report: "ClassReport") -> None:
    from vlm_inspect.sensitivity.wording import size_words, tell_sensitivity

    found = report.sensitivity
    references = "1 reference" if found.references == 1 else f"{found.references} references"
    write_line(
        f"{report.class_name}: {references}, {found.planted} planted defects, {found.found} held up "
        f"({report.held_up.words})"
    )
    write_line(tell_sensitivity(found))
    write_line(report.trade())
    if report.advice:
        write_line(report.advice)
    write_line("")
    write_line("kind                  found   95 % interval   a90/95")
    for kind, one in found.by_kind.items():
        size = size_words(one.size_pct, one.size_mm, found.unit) or "-"
        low, high = (100 * end for end in report.held_up_by_kind[kind].ci95)
        write_line(f"{kind:<20} {one.found:>3}/{one.planted:<3}  {f'{low:.0f} to {high:.0f} %':<14}  {size}")
    write_line("")
    write_line("references   normal parts OK, about")
    for number, share in report.expected_ok.items():
        here = "  <- these" if number == found.references else ""
        write_line(f"{number:>10}   {100 * share:3.0f} %{here}")
