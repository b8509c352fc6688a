"""`vlm-inspect ask`: one part in, one inspection out."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vlm_inspect.command_options.agent import agent_options, check_agent
from vlm_inspect.command_options.clips import clip_options
from vlm_inspect.command_options.general import PATH, GivenPath, common, progress, step_watch
from vlm_inspect.command_options.groups import GroupedCommand
from vlm_inspect.command_options.inspector import inspector_options
from vlm_inspect.commands.paid_steps import earlier_cases, journal_of_part, keep_steps
from vlm_inspect.commands.storing import open_store, settings_of, store_option
from vlm_inspect.safe_text import write_line

if TYPE_CHECKING:
    from vlm_inspect.backends.reply_journal import ReplyJournal
    from vlm_inspect.config import InspectorConfig
    from vlm_inspect.examination import Examination
    from vlm_inspect.inspector import Inspector


@click.command(cls=GroupedCommand)
@click.argument("source", type=PATH)
@inspector_options
@click.option("--question", help="A question about the part; the answer stands beside the verdict.")
@click.option(
    "--as",
    "as_kind",
    type=click.Choice(["image", "point_cloud", "video", "series"]),
    help="Type of SOURCE, where its content does not show it.",
)
@click.option(
    "--look-again",
    is_flag=True,
    help="Ask a second time, with the hottest places and those that the model named enlarged from SOURCE beside the "
    "nearest reference. The second answer counts.",
)
@clip_options
@agent_options
@click.option(
    "--json",
    "json_path",
    type=GivenPath(allow_dash=True),
    metavar="FILE|-",
    help="Write the inspection as JSON; - is stdout.",
)
@click.option("--html", "html_path", type=PATH, help="Write the report as one self-contained HTML page.")
@click.option("--overlay", "overlay_path", type=PATH, help="Write the views with heatmaps and marks as a PNG.")
@click.option("--ply", "ply_path", type=PATH, help="Write the scan, coloured by its deviation.")
@click.option(
    "--curve",
    "curve_path",
    type=PATH,
    metavar="OUT.csv",
    help="Write how unusual every frame of a clip, or sample of a curve, is (frame,time_s,score), and a plot beside it "
    "(OUT.png).",
)
@click.option("--save", is_flag=True, help="Keep the inspection as a case; its id goes to stderr.")
@click.option("--keep-input", is_flag=True, help="With --save: also keep a copy of SOURCE.")
@store_option
@common
def ask(source: Path, *, config: "InspectorConfig", **options: Any) -> int:
    """Inspect SOURCE: an image, a scan, a video, a folder of frames or a curve.

    Exit code: 0 OK, 1 NG, 3 REVIEW, 2 error.

    \b
    Example:
      vlm-inspect ask part.ply --rules rules/screw.yaml --overlay part.png
      vlm-inspect ask clip.mp4 --normal-until 6s --curve clip.csv
      vlm-inspect ask photo.jpg --reference 'normal/*.jpg' --model openai:gpt-4o --question "Is it scratched?"
    """
    from vlm_inspect.report import Outputs

    outputs = Outputs(
        options["json_path"],
        options["html_path"],
        options["overlay_path"],
        options["ply_path"],
        options["curve_path"],
    )
    outputs.check_writable()
    if options["keep_input"] and not options["save"]:
        raise click.UsageError("--keep-input requires --save; add it")
    if options["save"]:
        open_store(options["store"], create=True).close()  # a store that cannot be used is known before the work
    check_agent(config)
    with progress(quiet=options["quiet"]) as say:
        say("starting")
        inspector = config.build()
        outputs.check_apart_from(_inputs(source, config, inspector))
        if options["curve_path"] or options["ply_path"]:
            from converters.detection import detect_kind

            outputs.check_kind(options["as_kind"] or detect_kind(source))
        examination, journal = _examine(source, config, inspector, options, say)
    if options["debug"]:
        _show_request(examination)
    try:  # an answer that was waited for is shown first, and kept even where a file cannot be written
        outputs.write(examination)
    finally:
        if options["save"]:
            _save(examination, source, config, options)
    if journal is not None and all(look.replies for look in examination.looks):
        journal.discard()
    return examination.inspection.exit_code


def _examine(
    source: Path, config: "InspectorConfig", inspector: "Inspector", options: dict[str, Any], say: Callable[[str], None]
) -> "tuple[Examination, ReplyJournal | None]":
    """Return the examination, and where its steps are kept until its result is written; None: it has no steps."""
    if not (config.agent.enabled and config.asks_a_model):
        return inspector.examine(source, options["question"], as_kind=options["as_kind"], progress=say), None
    journal = None
    if (path := journal_of_part(source, config, options["question"], options["store"])) is not None:
        inspector, journal = keep_steps(inspector, path)
    with earlier_cases(options["store"], inspector.rules.class_name) as store:
        examination = replace(inspector, store=store).examine(
            source,
            options["question"],
            as_kind=options["as_kind"],
            progress=say,
            watch=step_watch(quiet=options["quiet"]),
        )
    return examination, journal


def _save(examination: "Examination", source: Path, config: "InspectorConfig", options: dict[str, Any]) -> None:
    settings = settings_of(config, as_kind=options["as_kind"])
    with open_store(options["store"], create=True) as store:
        case_id = store.save(examination, source, keep_input=options["keep_input"], settings=settings)
    write_line(f"saved as case {case_id}", err=True)


def _inputs(source: Path, config: "InspectorConfig", inspector: "Inspector") -> list[Path]:
    named = [source, config.rules, config.calibration, config.localizer.checkpoint, *inspector.references]
    return [path for path in named if path is not None]


def _show_request(examination: "Examination") -> None:
    from vlm_inspect.prompting import describe_messages

    for look in examination.looks:
        if look.request is not None:
            write_line(describe_messages(look.request.messages), err=True)
        for reply in look.replies:
            write_line(f"--- reply ({reply.finish_reason}) ---\n{reply.text}", err=True)
