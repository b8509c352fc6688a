"""`vlm-inspect references check`: whether the references of a class agree, and how many it should have."""

import json
from typing import TYPE_CHECKING, Any

import click

from vlm_inspect.command_options.general import common, progress
from vlm_inspect.command_options.groups import GroupedCommand
from vlm_inspect.command_options.inspector import inspector_options
from vlm_inspect.safe_text import write_line

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
@click.option("--json", "as_json", is_flag=True, help="Write JSON to stdout.")
@inspector_options
@common
def check(*, config: "InspectorConfig", as_json: bool, **options: Any) -> int:
    """Show which references stand out, whether they disagree, and how many would be enough.

    Each reference is judged by the others. One that stands out may be a defective part: look at its picture.

    \b
    Example:
      vlm-inspect references check --rules rules/bottle.yaml
      vlm-inspect references check --reference 'normal/*.png'
    """
    from vlm_inspect.class_reports.reference_check import check_references

    with progress(quiet=options["quiet"]) as say:
        found = check_references(config.build(), say=say)
    if as_json:
        from vlm_inspect.safe_text import escape_invisible

        write_line(escape_invisible(json.dumps(found.as_json(), ensure_ascii=False, indent=2)))
        return 0
    for line in found.lines():
        write_line(line)
    return 0
