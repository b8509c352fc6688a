"""`vlm-inspect agreement`: attribute agreement, from the judgements in the store."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vlm_inspect.command_options.general import PATH, GivenPath, common
from vlm_inspect.command_options.groups import GroupedCommand
from vlm_inspect.commands.storing import open_store, store_option
from vlm_inspect.real_path import real_path
from vlm_inspect.safe_text import write_line

if TYPE_CHECKING:
    from vlm_inspect.rater_agreement.ratings import Ratings
    from vlm_inspect.rater_agreement.study import Study


@click.command(cls=GroupedCommand)
@click.option("--class", "class_name", metavar="NAME", help="Only parts of this class.")
@click.option("--since", metavar="DATE", help="Only cases from this date or time (UTC), such as 2026-03-14.")
@click.option("--until", metavar="DATE", help="Only cases up to the end of this date, or up to this time (UTC).")
@click.option("--inspector", "only", multiple=True, metavar="NAME", help="Only judgements of this person; repeatable.")
@click.option(
    "--standard",
    "standard_path",
    type=PATH,
    metavar="FILE",
    help="What the parts truly are: a CSV with the columns outcome (OK or NG) and serial, sha256 or source.",
)
@click.option("--standard-by", metavar="NAME", help="The person whose judgements are the standard.")
@click.option(
    "--json",
    "json_path",
    type=GivenPath(allow_dash=True),
    metavar="FILE|-",
    help="Write the study as JSON; - is stdout.",
)
@click.option("--html", "html_path", type=PATH, help="Write the study as one self-contained HTML page.")
@store_option
@common
def agreement(**options: Any) -> int:
    """Show whether inspectors agree with each other, with the tool, and with a standard; and the tool with itself.

    Shares with exact 95 % intervals, Cohen's and Fleiss' kappa, misses and false alarms, from the judgements of the
    cases in the store. A part is told by its serial number, otherwise by its content.

    \b
    Example:
      vlm-inspect agreement --class screw --since 2026-03-01
      vlm-inspect agreement --standard truth.csv --html agreement.html
    """
    from vlm_inspect.errors import OutputError
    from vlm_inspect.file_writing import check_writable

    if options["standard_path"] is not None and options["standard_by"] is not None:
        raise click.UsageError("--standard and --standard-by are two standards; give one")
    to_stdout = options["json_path"] == "-"
    files = [Path(path) for path in (options["json_path"], options["html_path"]) if path and path != "-"]
    for path in files:
        check_writable(path)
        if options["standard_path"] is not None and real_path(path) == real_path(options["standard_path"]):
            raise OutputError(f"{path} is the standard; write the result elsewhere")
    study = _study(options)
    if not to_stdout:
        from vlm_inspect.rater_agreement.report import print_study

        print_study(study)
    _write(study, options, files)
    return 0


def _study(options: dict[str, Any]) -> "Study":
    from vlm_inspect.rater_agreement.ratings import collect_ratings
    from vlm_inspect.rater_agreement.standard import read_standard, standard_of
    from vlm_inspect.rater_agreement.study import study_agreement
    from vlm_inspect.store import Filters

    filters = Filters(class_name=options["class_name"], since=options["since"], until=options["until"])
    with open_store(options["store"]) as store:
        lines, judged = store.list(filters), store.judged_cases(filters)
    everybody = _named(options["only"], options["standard_by"])
    ratings: Ratings = collect_ratings(lines, judged, only=everybody)
    if options["standard_path"] is not None:
        path: Path = options["standard_path"]
        return study_agreement(ratings, read_standard(path, ratings), standard=path.name)
    if options["standard_by"] is not None:
        name, truth = standard_of(options["standard_by"], ratings)
        return study_agreement(ratings, truth, standard=name)
    return study_agreement(ratings)


def _named(only: Sequence[str], standard_by: str | None) -> list[str]:
    return [*only, standard_by] if only and standard_by else list(only)


def _write(study: "Study", options: dict[str, Any], files: list[Path]) -> None:
    from vlm_inspect.file_writing import write_together
    from vlm_inspect.safe_text import escape_invisible

    text = escape_invisible(study.model_dump_json(indent=2))
    contents: dict[Path, bytes] = {}
    if options["json_path"] == "-":
        write_line(text)
    elif options["json_path"]:
        contents[Path(options["json_path"])] = f"{text}\n".encode()
    if options["html_path"] is not None:
        from vlm_inspect.rater_agreement.report import render_agreement

        contents[options["html_path"]] = render_agreement(study).encode(errors="replace")
    write_together(contents)
    if options["json_path"] != "-":
        for path in files:
            write_line(f"written: {path}")
