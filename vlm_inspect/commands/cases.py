"""`vlm-inspect cases`: list, show, export and delete the inspections that were kept."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vlm_inspect.command_options.general import PATH, GivenPath, common
from vlm_inspect.commands.storing import open_store, store_option
from vlm_inspect.safe_text import write_line

if TYPE_CHECKING:
    from rich.console import Console

    from vlm_inspect.store import Case, CaseLine, CaseStore, Correction, Filters, Turn

Command = TypeVar("Command", bound=Callable[..., Any])

_PIPED_WIDTH = 200
_STYLES = {"OK": "green", "NG": "bold red", "REVIEW": "yellow"}
_FILTERS = (
    click.option("--outcome", type=click.Choice(["OK", "NG", "REVIEW"], case_sensitive=False)),
    click.option("--class", "class_name", metavar="NAME", help="Class of the parts, as the rule book names it."),
    click.option(
        "--since", metavar="DATE", help="From this date or time (UTC), such as 2026-03-14 or 2026-03-14T09:26."
    ),
    click.option("--until", metavar="DATE", help="Up to the end of this date, or up to this time (UTC)."),
    click.option("--text", help="Text in the path, class, question, answer or reasoning."),
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
    """List, show, export and delete the inspections that `ask --save` kept.

    \b
    Example:
      vlm-inspect cases --outcome NG --since 2026-03-14
      vlm-inspect cases show 20260314-0926
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
    """
    with open_store(store) as opened:
        found = opened.list(_filters(filters))
    if as_json:
        from dataclasses import asdict

        _echo_json([asdict(line) for line in found])
    elif found:
        _print_lines(found)
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
    if input_folder is not None:
        case.write_input(input_folder)
    if as_json:
        _echo_json(case_values(case, turns, corrections))
        return 0
    examination = case.examination if html_path or overlay_path else None  # its files may be gone: known first
    _print_head(case)
    if examination is not None:
        outputs.write(examination)
    else:
        print_inspection(case.inspection, _console())
    _print_dialogue(turns, corrections)
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
        write_line(f"{len(set(named))} cases written to {out}", err=True)
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

    return Filters(**values)


def _exported(store: "CaseStore", case_ids: list[str], form: str) -> str:
    from vlm_inspect.store.export import case_values, csv_text

    if form == "csv":
        return csv_text(map(store.load, case_ids))
    lines = (case_values(store.load(one), store.turns(one), store.corrections(one)) for one in case_ids)
    return "".join(json.dumps(line) + "\n" for line in lines)  # in ASCII: some readers end a line at U+2028


def _echo_json(value: object) -> None:
    from vlm_inspect.safe_text import escape_invisible

    text = escape_invisible(json.dumps(value, ensure_ascii=False, indent=2))
    click.echo((text + "\n").encode(errors="replace"), nl=False)


def _console() -> "Console":
    from rich.console import Console

    return Console(highlight=False)


def _print_lines(lines: "list[CaseLine]") -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from vlm_inspect.safe_text import plain_line

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="dim", collapse_padding=True)
    table.add_column("id", no_wrap=True)
    table.add_column("outcome", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("class", max_width=20, overflow="fold")
    table.add_column("part", overflow="fold")
    talked = any(line.turns for line in lines)
    if talked:
        table.add_column("turns", justify="right", no_wrap=True)
    for line in lines:
        table.add_row(
            line.id,
            Text(line.outcome, style=_STYLES[line.outcome]),
            f"{line.score:.2f}",
            Text(plain_line(line.class_name)),
            Text(plain_line(Path(line.source).name)),
            *([str(line.turns or "")] if talked else []),
        )
    console = _console()
    if not console.is_terminal:
        console.width = _PIPED_WIDTH  # a line a case, for grep and its like
    console.print(table)


def _print_head(case: "Case") -> None:
    from rich.text import Text

    from vlm_inspect.safe_text import plain_line

    console = _console()
    kept = "; input kept" if case.input_names else ""
    console.print(Text(f"case {case.id}  {plain_line(str(case.source))}", style="bold"), soft_wrap=True)
    console.print(Text(f"{case.created_at}; class {plain_line(case.rules.class_name)}{kept}", style="dim"))
    if case.question:
        console.print(Text(f"question: {plain_line(case.question)}"))


def _print_dialogue(turns: "tuple[Turn, ...]", corrections: "tuple[Correction, ...]") -> None:
    from rich.text import Text

    from vlm_inspect.safe_text import plain, plain_line

    console = _console()
    for turn in turns:
        console.print(Text(f"\n{turn.number} {plain_line(turn.role)}", style="bold"))
        console.print(Text(plain(turn.text), overflow="fold"))
    for correction in corrections:
        decided = {None: "open", True: "accepted", False: "turned down"}[correction.accepted]
        told = plain_line(json.dumps(correction.payload, ensure_ascii=False))
        console.print(Text(f"\ncorrection {correction.number}, {decided}: {plain_line(correction.kind)} {told}"))
