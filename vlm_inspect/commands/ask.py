"""`vlm-inspect ask`: one part in, one inspection out."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vlm_inspect.commands.inspecting import inspector_options, make_inspector
from vlm_inspect.commands.options import PATH, GivenPath, common, progress

if TYPE_CHECKING:
    from vlm_inspect.inspector import Examination, Inspector


@click.command()
@click.argument("source", type=PATH)
@inspector_options
@click.option("--question", help="A question about the part, answered beside the verdict.")
@click.option(
    "--as",
    "as_kind",
    type=click.Choice(["image", "point_cloud", "video", "series"]),
    help="What SOURCE is, where its content does not tell.",
)
@click.option(
    "--json",
    "json_path",
    type=GivenPath(allow_dash=True),
    metavar="FILE|-",
    help="Write the inspection as JSON; - is stdout.",
)
@click.option("--html", "html_path", type=PATH, help="Write a self-contained page.")
@click.option("--overlay", "overlay_path", type=PATH, help="Write views, heatmaps, marks as PNG.")
@common
def ask(source: Path, **options: Any) -> int:
    """Inspect SOURCE: an image, a scan, a video, a folder of frames or a curve.

    Exit code: 0 OK, 1 NG, 3 REVIEW, 2 error.

    \b
    Example:
      vlm-inspect ask part.ply --rules rules/screw.yaml --overlay part.png
      vlm-inspect ask photo.jpg --reference 'normal/*.jpg' --model openai:gpt-4o --question "Is it scratched?"
    """
    from vlm_inspect.report import Outputs

    outputs = Outputs(options["json_path"], options["html_path"], options["overlay_path"])
    outputs.check_writable()
    with progress(quiet=options["quiet"]) as say:
        say("starting")
        inspector = make_inspector(options)
        outputs.check_apart_from(_inputs(source, options, inspector))
        examination = inspector.examine(source, options["question"], as_kind=options["as_kind"], progress=say)
    if options["debug"]:
        _show_request(examination)
    outputs.write(examination)
    return examination.inspection.exit_code


def _inputs(source: Path, options: dict[str, Any], inspector: "Inspector") -> list[Path]:
    named = [source, options["rules_path"], options["calibration_path"], *inspector.references]
    return [path for path in named if path is not None]


def _show_request(examination: "Examination") -> None:
    from vlm_inspect.prompting import describe_messages

    click.echo(describe_messages(examination.request.messages), err=True)
    for reply in examination.replies:
        click.echo(f"--- reply ({reply.finish_reason}) ---\n{reply.text}", err=True)
