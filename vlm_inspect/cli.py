"""The command line. Results go to stdout, everything else to stderr; exit codes: OK 0, NG 1, REVIEW 3, error 2."""

import io
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

import vlm_inspect
from converters.errors import ConversionError
from vlm_inspect.errors import InspectError

if TYPE_CHECKING:
    from vlm_inspect.inspector import Examination, Inspector

ERROR = 2
"""Exit code of every failure, bugs included: never 1, which would read as NG."""
INTERRUPTED = 130
LONGEST_TIMEOUT_S = 86_400.0

Command = TypeVar("Command", bound=Callable[..., Any])


class _GivenPath(click.Path):
    """A path that is not empty: Path("") would be the current folder, which nobody named."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not str(value):
            self.fail("it is empty; give a path.", param, ctx)
        return super().convert(value, param, ctx)


_PATH = _GivenPath(path_type=Path)


def _bounded(context: click.Context, parameter: click.Parameter, value: float) -> float:
    """Refuse NaN and infinity, which pass any comparison or overflow the clock."""
    if not value <= LONGEST_TIMEOUT_S:
        raise click.BadParameter(f"{value:g} is more than {LONGEST_TIMEOUT_S:g} seconds, or no number.")
    return value


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(vlm_inspect.__version__, prog_name="vlm-inspect")
def cli() -> None:
    """Judge one part (photo, 3-D scan, video or sensor curve) and say why: OK, NG or REVIEW, rule by rule.

    Works offline from the first minute: without --model nothing leaves this machine.

    \b
    Example:
      vlm-inspect demo demo
      vlm-inspect ask demo/screw/missing_thread.ply --rules demo/rules/screw.yaml
    """


def _common(command: Command) -> Command:
    for option in (
        click.option("--debug", is_flag=True, help="Show what is sent to the model, and the traceback of an error."),
        click.option("--quiet", is_flag=True, help="No progress on stderr."),
    ):
        command = option(command)
    return command


@cli.command()
@click.argument("source", type=_PATH)
@click.option("--rules", "rules_path", type=_PATH, help="Rule book of the part's class (YAML).")
@click.option(
    "--reference",
    "references",
    multiple=True,
    metavar="PATH|GLOB",
    help="Normal samples, beside those that the rule book names; repeatable.",
)
@click.option("--question", help="A question about the part, answered beside the verdict.")
@click.option(
    "--model",
    envvar="VLM_INSPECT_MODEL",
    default="evidence",
    show_default=True,
    metavar="PROVIDER:NAME",
    help="evidence (offline, no language model), or openai:NAME on any OpenAI-compatible server, which is then sent "
    "the part's views.",
)
@click.option(
    "--base-url",
    metavar="URL",
    help="Server of an openai: model (vLLM, Ollama, LM Studio, Azure, ...); default: OPENAI_BASE_URL, else OpenAI.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=1.0),
    callback=_bounded,
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    help="Longest wait for one answer of the model.",
)
@click.option(
    "--samples",
    type=click.IntRange(1, 20),
    default=1,
    show_default=True,
    help="Ask the model this often; the share of anomalous answers is the probability.",
)
@click.option("--localizer", default="memory", show_default=True, metavar="NAME", help="memory, or none.")
@click.option(
    "--backbone",
    default="lite0",
    show_default=True,
    metavar="NAME|FOLDER",
    help="Vision model of the memory: lite0, dinov2, or a transformers model's folder.",
)
@click.option("--calibration", "calibration_path", type=_PATH, help="Thresholds made from normal parts.")
@click.option(
    "--as",
    "as_kind",
    type=click.Choice(["image", "point_cloud", "video", "series"]),
    help="What SOURCE is, where its content does not tell.",
)
@click.option(
    "--json",
    "json_path",
    type=_GivenPath(allow_dash=True),
    metavar="FILE|-",
    help="Write the inspection as JSON; - is stdout.",
)
@click.option("--html", "html_path", type=_PATH, help="Write a self-contained page.")
@click.option("--overlay", "overlay_path", type=_PATH, help="Write views, heatmaps, marks as PNG.")
@_common
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
    with _progress(quiet=options["quiet"]) as say:
        say("starting")
        inspector = _inspector(options)
        outputs.check_apart_from(_inputs(source, options, inspector))
        examination = inspector.examine(source, options["question"], as_kind=options["as_kind"], progress=say)
    if options["debug"]:
        _show_request(examination)
    outputs.write(examination)
    return examination.inspection.exit_code


@cli.command()
@click.argument("folder", type=_PATH)
@click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same files.")
@_common
def demo(folder: Path, seed: int, quiet: bool, debug: bool) -> int:
    """Write demo parts, made from code, with rule books and truth.json: scans, photos, clips and curves.

    \b
    Example:
      vlm-inspect demo demo
      vlm-inspect ask demo/vibration/burst.csv --rules demo/rules/vibration.yaml
    """
    from vlm_inspect.demo import write_demo

    with _progress(quiet=quiet) as say:
        say(f"writing demo parts to {folder}")
        truth = write_demo(folder, seed=seed)
    click.echo(f"{len(truth.root)} parts with rule books and truth.json in {folder}")
    return 0


def _inspector(options: dict[str, Any]) -> "Inspector":
    """Put the inspector together; every option that can be wrong is checked before the part is read."""
    from vlm_inspect.backends import load_backend
    from vlm_inspect.inspector import ANY_PART, Inspector
    from vlm_inspect.localization import load_localizer
    from vlm_inspect.references import expand_references
    from vlm_inspect.rules import load_rules, resolve_references

    rules = load_rules(options["rules_path"]) if options["rules_path"] else ANY_PART
    references = [*resolve_references(rules), *expand_references(options["references"])]
    inspector = Inspector(
        rules=rules,
        references=tuple(dict.fromkeys(references)),
        backend=load_backend(options["model"], base_url=options["base_url"], timeout_s=options["timeout_s"]),
        localizer=load_localizer(options["localizer"], backbone=options["backbone"]),
        samples=options["samples"],
    )
    if options["calibration_path"]:
        inspector.thresholds = _thresholds(options["calibration_path"], inspector)
    return inspector


def _inputs(source: Path, options: dict[str, Any], inspector: "Inspector") -> list[Path]:
    named = [source, options["rules_path"], options["calibration_path"], *inspector.references]
    return [path for path in named if path is not None]


def _thresholds(path: Path, inspector: "Inspector") -> Any:
    from vlm_inspect.calibration import load_calibration

    localizer = inspector.localizer.name if inspector.localizer else "none"
    return load_calibration(path, rules_sha256=inspector.rules.sha256, localizer=localizer).thresholds


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Show the step at work on stderr: a spinner on a terminal, nothing when quiet or piped."""
    if quiet or not sys.stderr.isatty():
        yield lambda step: None
        return
    from rich.console import Console

    with Console(stderr=True).status("") as status:
        yield status.update


def _show_request(examination: "Examination") -> None:
    from vlm_inspect.prompting import describe_messages

    click.echo(describe_messages(examination.request.messages), err=True)
    for reply in examination.replies:
        click.echo(f"--- reply ({reply.finish_reason}) ---\n{reply.text}", err=True)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    if not debug:
        warnings.simplefilter("ignore")  # a library's remark is not for the person at the line
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a sign still gets the result
    sys.exit(_run(arguments, debug=debug))


def _run(arguments: list[str], *, debug: bool) -> int:
    try:
        return int(cli.main(args=arguments or ["--help"], prog_name="vlm-inspect", standalone_mode=False) or 0)
    except SystemExit:  # how click and rich leave a pipe that its reader closed: with 1, which would read as NG
        return _fail("stdout was closed before the whole result was written; let its reader read on", debug=debug)
    except click.ClickException as error:
        return _fail(error.format_message(), debug=debug)
    except (click.Abort, KeyboardInterrupt):
        click.echo("vlm-inspect: interrupted", err=True)
        return INTERRUPTED
    except (InspectError, ConversionError) as error:
        return _fail(str(error), debug=debug)
    except MemoryError:
        return _fail("out of memory: give a smaller file, or fewer references", debug=debug)
    except OSError as error:
        return _fail(f"{error.filename or 'system'}: {error.strerror or error}", debug=debug)
    except Exception as error:  # noqa: BLE001 - a bug must exit with 2: Python's own 1 would read as NG
        return _fail(f"internal error, please report it with --debug: {type(error).__name__}: {error}", debug=debug)


def _fail(message: str, *, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    from vlm_inspect.report.wording import plain_line

    click.echo(f"vlm-inspect: error: {plain_line(message)}", err=True)
    return ERROR


if __name__ == "__main__":
    main()
