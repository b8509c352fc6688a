"""`vlm-inspect init`: a rule book to start from, made of a folder of normal parts."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vlm_inspect.command_options.general import PATH, common, progress
from vlm_inspect.command_options.groups import GroupedCommand
from vlm_inspect.real_path import real_path
from vlm_inspect.safe_text import write_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from vlm_inspect.rule_proposal.proposal import Proposal


@click.command(cls=GroupedCommand)
@click.argument("folder", type=PATH)
@click.option("--out", type=PATH, metavar="FILE", help="Where to write it. Default: NAME.yaml beside FOLDER.")
@click.option("--class", "class_name", metavar="NAME", help="What the parts are called. Default: the folder's name.")
@click.option("--unit", metavar="UNIT", help="Unit of the coordinates of scans. Default: mm.")
@click.option("--no-sensitivity", is_flag=True, help="Leave out which defects would be caught; that takes a minute.")
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@common
def init(folder: Path, **options: Any) -> int:
    """Write a commented rule book for the normal parts in FOLDER.

    It names the class and the references, proposes ranges for all that can be measured, and says which defects the
    references would catch. The proposals are comments: you decide which count.

    \b
    Example:
      vlm-inspect init normal/ --class bracket --out bracket.yaml
      vlm-inspect ask part.jpg --rules bracket.yaml
    """
    from vlm_inspect.errors import OutputError
    from vlm_inspect.file_writing import check_writable, write_atomically
    from vlm_inspect.rule_proposal.book import book_text
    from vlm_inspect.rule_proposal.proposal import name_of_class, propose_rules

    name = options["class_name"] or name_of_class(folder)
    place: Path = options["out"] or real_path(folder).parent / f"{'_'.join(name.split()).replace('/', '_')}.yaml"
    if place.exists() and not options["force"]:
        raise OutputError(f"{place} is there already; name another file with --out, or replace it with --force")
    check_writable(place)
    with progress(quiet=options["quiet"]) as say:
        proposal = propose_rules(folder, class_name=name, unit=options["unit"], say=say)
        if real_path(place) in {real_path(path) for path in proposal.files}:
            raise OutputError(f"{place} is one of the parts; write the rule book elsewhere")
        text = book_text(proposal, place) if options["no_sensitivity"] else _with_sensitivity(proposal, place, say)
    write_atomically(place, text.encode())
    write_line(f"written: {place}")
    return 0


def _with_sensitivity(proposal: "Proposal", place: Path, say: "Callable[[str], None]") -> str:
    from vlm_inspect.class_reports.class_report import report_class
    from vlm_inspect.errors import ReferenceSampleError
    from vlm_inspect.inspector import Inspector
    from vlm_inspect.rule_proposal.book import book_text, proposed_rules

    inspector = Inspector(rules=proposed_rules(proposal, place), references=proposal.files)
    try:
        return book_text(proposal, place, report_class(inspector, say=say))
    except ReferenceSampleError as error:  # a single scan: there is nothing to tell, and that is said
        return book_text(proposal, place, why_none=str(error))
