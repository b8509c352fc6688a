"""`vlm-inspect cases`: list, show, judge, export and delete the inspections that were kept."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vlm_inspect.command_options.general import PATH, GivenPath, common
from vlm_inspect.commands.case_screen import open_console, print_dialogue, print_head, print_judgements, print_lines
from vlm_inspect.commands.judging import judge
from vlm_inspect.commands.storing import open_store, store_option
from vlm_inspect.safe_text import write_line

if TYPE_CHECKING:
    from vlm_inspect.store import CaseStore, Filters

Command = TypeVar("Command", bound=Callable[..., Any])

_FILTERS = (
    click.option("--outcome", type=click.Choice(["OK", "NG", "REVIEW"], case_sensitive=False)),
    click.option("--class", "class_name", metavar="NAME", help="Class of the parts, as the rule book names it."),
    click.option(
        "--since", metavar="DATE", help="From this date or time (UTC), such as 2026-03-14 or 2026-03-14T09:26."
    ),
    click.option("--until", metavar="DATE", help="Up to the end of this date, or up to this time (UTC)."),
    click.option("--text", help="Text in the path, class, question, answer or reasoning."),
    click.option(
        "--judged",
        type=click.Choice(["ok", "ng", "none", "any"], case_sensitive=False),
        help="What a person judged last: ok or ng; none: not judged; any: judged.",
    ),
    click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the newest N."),
)


def filter_options(command: Command) -> Command:
    """Add the options that say which cases."""
    for option in reversed(_FILTERS):
        command = option(command)
    return command


class _ListUnlessNamed(click.Group):
    """A group whose command may be left away: then it lists."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `list` in front of options."""
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_ListUnlessNamed)
def cases() -> None:
    """List, show, judge, export and delete the inspections that `ask --save` kept.

    \b
    Example:
      vlm-inspect cases --outcome NG --since 2026-03-14
      vlm-inspect cases show 20260314-0926
      vlm-inspect cases judge 20260314-0926 ng --by anna
      vlm-inspect cases export --format csv --out march.csv
    """


@cases.command("list")
@filter_options
@click.option("--json", "as_json", is_flag=True, help="Write a JSON list to stdout.")
@store_option
@common
def list_cases(as_json: bool, store: str | None, quiet: bool, debug: bool, **filters: Any) -> int:
    """List cases, newest first.

    \b
    Example:
      vlm-inspect cases list --class screw --outcome REVIEW
      vlm-inspect cases list --judged ng --outcome OK
    """
    with open_store(store) as opened:
        found = opened.list(_filters(filters))
    if as_json:
        from dataclasses import asdict

        _echo_json([asdict(line) for line in found])
    elif found:
        print_lines(found)
    elif not quiet:
        write_line("no case passes; keep one with vlm-inspect ask PART --save", err=True)
    return 0


@cases.command("show")
@click.argument("case_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Write the whole case as JSON to stdout.")
@click.option("--html", "html_path", type=PATH, help="Write the report as one self-contained HTML page.")
@click.option("--overlay", "overlay_path", type=PATH, help="Write the views with heatmaps and marks as a PNG.")
@click.option("--input", "input_folder", type=PATH, metavar="DIR", help="Write the kept input to this folder.")
@store_option
@common
def show_case(
    case_id: str,
    as_json: bool,
    html_path: Path | None,
    overlay_path: Path | None,
    input_folder: Path | None,
    store: str | None,
    **_: bool,
) -> int:
    """Show a case: its inspection, its dialogue and its corrections. The beginning of an ID is enough.

    \b
    Example:
      vlm-inspect cases show 20260314-0926 --html case.html
    """
    from vlm_inspect.report import Outputs
    from vlm_inspect.report.terminal import print_inspection
    from vlm_inspect.store.export import case_values

    if as_json and (html_path or overlay_path):
        raise click.UsageError("--json shows the case alone; leave --html and --overlay to another call")
    outputs = Outputs(None, html_path, overlay_path)
    outputs.check_writable()
    with open_store(store) as opened:
        case = opened.load(case_id)
        turns, corrections = opened.turns(case.id), opened.corrections(case.id)
        judgements = opened.judgements(case.id)
    if input_folder is not None:
        case.write_input(input_folder)
    if as_json:
        _echo_json(case_values(case, turns, corrections, judgements))
        return 0
    examination = case.examination if html_path or overlay_path else None  # its files may be gone: known first
    print_head(case)
    if examination is not None:
        outputs.write(examination)
    else:
        print_inspection(case.inspection, open_console())
    print_dialogue(turns, corrections)
    print_judgements(judgements)
    return 0


@cases.command("export")
@click.argument("case_ids", metavar="[ID]...", nargs=-1)
@filter_options
@click.option("--format", "form", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True)
@click.option(
    "--out", type=GivenPath(allow_dash=True), default="-", metavar="FILE|-", help="File to write; - is stdout."
)
@store_option
@common
def export_cases(
    case_ids: tuple[str, ...], form: str, out: str, store: str | None, quiet: bool, debug: bool, **filters: Any
) -> int:
    """Write cases as JSON lines or CSV, newest first: those named, otherwise those that pass the filters.

    \b
    Example:
      vlm-inspect cases export --outcome NG --format csv --out rejects.csv
    """
    if case_ids and any(value is not None for value in filters.values()):
        raise click.UsageError("name cases or filter them, not both")
    with open_store(store) as opened:
        named = [opened.find(one) for one in case_ids] or [line.id for line in opened.list(_filters(filters))]
        text = _exported(opened, list(dict.fromkeys(named)), form)
    if out == "-":
        click.echo(text.encode(), nl=False)
        return 0
    from vlm_inspect.file_writing import write_atomically

    write_atomically(Path(out), text.encode())
    if not quiet:
        count = len(set(named))
        write_line(f"{count} case{'' if count == 1 else 's'} written to {out}", err=True)
    return 0


@cases.command("delete")
@click.argument("case_ids", metavar="ID...", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation. Without a terminal, nothing is asked.")
@store_option
@common
def delete_cases(case_ids: tuple[str, ...], yes: bool, store: str | None, quiet: bool, debug: bool) -> int:
    """Delete cases permanently, with their pictures and dialogues. Nothing is deleted if any ID is unknown.

    \b
    Example:
      vlm-inspect cases delete 20260314-092653-5a3f --yes
    """
    import sys

    with open_store(store) as opened:
        found = list(dict.fromkeys(opened.find(one) for one in case_ids))
        if not yes and sys.stdin.isatty():
            click.confirm(f"delete {', '.join(found)}?", abort=True, err=True)
        for case_id in found:
            opened.delete(case_id)
            write_line(f"deleted {case_id}")
    return 0


def _filters(values: dict[str, Any]) -> "Filters":
    from vlm_inspect.store import Filters

    judged = {"ok": "OK", "ng": "NG"}
    return Filters(**{**values, "judged": judged.get(values["judged"], values["judged"])})


def _exported(store: "CaseStore", case_ids: list[str], form: str) -> str:
    from vlm_inspect.store.export import case_values, csv_text

    if form == "csv":
        return csv_text((store.load(one), store.judgements(one)) for one in case_ids)
    lines = (
        case_values(store.load(one), store.turns(one), store.corrections(one), store.judgements(one))
        for one in case_ids
    )
    return "".join(json.dumps(line) + "\n" for line in lines)  # in ASCII: some readers end a line at U+2028


def _echo_json(value: object) -> None:
    from vlm_inspect.safe_text import escape_invisible

    text = escape_invisible(json.dumps(value, ensure_ascii=False, indent=2))
    click.echo((text + "\n").encode(errors="replace"), nl=False)


cases.add_command(judge)
