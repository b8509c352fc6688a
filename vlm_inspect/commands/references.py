"""`vlm-inspect references check`: whether the references of a class agree, and how many it should have."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vlm_inspect.command_options.general import PATH, common, progress
from vlm_inspect.command_options.groups import GroupedCommand
from vlm_inspect.command_options.inspector import inspector_options
from vlm_inspect.safe_text import escape_invisible, write_line

if TYPE_CHECKING:
    from vlm_inspect.config import InspectorConfig


@click.group()
def references() -> None:
    """Check the references of a class.

    \b
    Example:
      vlm-inspect references check --rules rules/bottle.yaml
    """


@references.command(cls=GroupedCommand)
@click.option(
    "--json",
    "json_path",
    type=PATH,
    is_flag=False,
    flag_value="-",
    metavar="[FILE|-]",
    help="Write the figures as JSON to FILE, or to stdout without a FILE.",
)
@inspector_options
@common
def check(*, config: "InspectorConfig", json_path: Path | None, **options: Any) -> int:
    """Show which references stand out, whether they disagree, and how many would be enough.

    Each reference is judged by the others. One that stands out may be a defective part: look at its picture.

    \b
    Example:
      vlm-inspect references check --rules rules/bottle.yaml
      vlm-inspect references check --reference 'normal/*.png'
    """
    from vlm_inspect.class_reports.reference_check import check_references
    from vlm_inspect.file_writing import check_writable, write_atomically

    to_stdout = json_path == Path("-")
    if json_path is not None and not to_stdout:
        check_writable(json_path)
    with progress(quiet=options["quiet"]) as say:
        found = check_references(config.build(), say=say)
    text = json.dumps(found.as_json(), ensure_ascii=False, indent=2)
    if to_stdout:
        write_line(escape_invisible(text))
        return 0
    for line in found.lines():
        write_line(line)
    if json_path is not None:
        write_atomically(json_path, (text + "\n").encode())
        write_line(f"written: {json_path}", err=True)
    return 0
