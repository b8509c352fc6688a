"""`vlm-inspect train dapo|promptad`: the learned part of a method from data folders, over frozen CLIP weights."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vlm_inspect.command_options.general import PATH, common
from vlm_inspect.safe_text import write_line

if TYPE_CHECKING:
    from vlm_inspect.training.building import Kind, TrainingOptions
    from vlm_inspect.training.data import TrainingData
    from vlm_inspect.training.loop import Running
    from vlm_inspect.training.reports import Report
    from vlm_inspect.training.resume import Start

Command = TypeVar("Command", bound=Callable[..., Any])
MOST_SEED = 2**63 - 1
MOST_NOTES = 5


@click.group(no_args_is_help=False)  # its help would come as the text of an error
def train() -> None:
    """Train dapo or promptad on frozen CLIP weights. Nothing else in the program needs training.

    The result is a .safetensors file for --checkpoint, with a record (FILE.record.json) beside it. Use
    --resume to continue a run that was stopped.

    \b
    Example:
      vlm-inspect train dapo --data mvtec --clip clip-vit-large-patch14-336 --out dapo.safetensors
      vlm-inspect train promptad --data mvtec/bottle --clip clip-vit-base-patch32 --out bottle.safetensors
    """


def _shared(command: Command) -> Command:
    """Add the options that every method takes, in this order."""
    options = (
        click.option(
            "--data",
            "folders",
            type=PATH,
            multiple=True,
            required=True,
            metavar="DIR",
            help="Training pictures: a class folder or a folder of them, laid out as MVTec AD or VisA, or with normal, "
            "anomalous and masks; or DeepPCB. Repeatable.",
        ),
        click.option(
            "--out", type=PATH, required=True, metavar="FILE", help="File of the weights to write (.safetensors)."
        ),
        click.option(
            "--clip",
            envvar="VLM_INSPECT_CLIP",
            required=True,
            metavar="FOLDER|ID",
            help="CLIP weights to train over: a folder, or an id in the local cache.",
        ),
        click.option(
            "--config",
            "config_path",
            type=PATH,
            metavar="FILE|NAME",
            help="Settings in YAML, as for `ask`, such as localizer: {dapo: {prompts: 4, alpha: 0.1}}, or the name of "
            "settings that ship.",
        ),
        click.option("--word", "words", multiple=True, metavar="WORD", help="Defect word; repeatable."),
        click.option("--words", "words_path", type=PATH, metavar="FILE", help="File of defect words, one per line."),
        click.option("--epochs", type=click.IntRange(1, 10_000), help="Default: the method's."),
        click.option("--batch-size", type=click.IntRange(1, 4096), help="Default: the method's."),
        click.option(
            "--micro-batch",
            type=click.IntRange(1, 4096),
            help="Pictures processed at once, where a batch does not fit in memory; gradients are summed.",
        ),
        click.option("--lr", "learning_rate", callback=_rate, type=float, help="Learning rate. Default: the method's."),
        click.option(
            "--side", type=click.IntRange(8, 4096), help="Side of the pictures in pixels. Default: the method's."
        ),
        click.option(
            "--seed", type=click.IntRange(0, MOST_SEED), help="Same seed, same weights. Default: 0, or as in --config."
        ),
        click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True),
        click.option(
            "--precision",
            type=click.Choice(["auto", "float32", "float16"]),
            default="auto",
            show_default=True,
            help="auto: float16 with float32 weights on CUDA, float32 on the CPU.",
        ),
        click.option(
            "--checkpoint-every",
            "checkpoint_every_s",
            type=click.FloatRange(0.0, 86_400.0),
            default=60.0,
            show_default=True,
            metavar="SECONDS",
            help="How often the state is saved, in addition to the end of every epoch.",
        ),
        click.option("--resume", is_flag=True, help="Continue the run of --out, or begin it if there is none."),
        click.option("--restart", is_flag=True, help="Start over and replace what is there."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _rate(_context: click.Context, _parameter: click.Parameter, value: float | None) -> float | None:
    if value is not None and not 0 < value <= 10:
        raise click.BadParameter(f"{value:g} is not above 0 and at most 10.")
    return value


def _readable(options: dict[str, Any]) -> None:
    """Refuse what no header, which is UTF-8, can name."""
    for text in (options["clip"], options.get("class_name") or "", *options["words"]):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise click.UsageError(f"{text!r} is not UTF-8; write or name it otherwise.") from error


@train.command()
@_shared
@click.option("--save-memory", is_flag=True, help="Use a tenth of the vision tower's memory and a third more time.")
@common
def dapo(**options: Any) -> int:
    """Train DAPO on normal and anomalous pictures with masks: the test split of MVTec AD, VisA.

    \b
    Its defect words are the names of the defect folders unless --word or --words give them; at use, others may be
    given without training again.

    \b
    Example:
      vlm-inspect train dapo --data mvtec --clip clip-vit-large-patch14-336 --out dapo.safetensors --micro-batch 2
      vlm-inspect ask part.jpg --localizer dapo --clip clip-vit-large-patch14-336 --checkpoint dapo.safetensors
    """
    from vlm_inspect.training.building import DAPO

    return _train(DAPO, options)


@train.command()
@_shared
@click.option("--class-name", metavar="NAME", help="Name of the part. Default: the name of the folder.")
@click.option(
    "--supervision",
    type=click.Choice(["synthetic", "test_split", "none"]),
    help="Where anomalies come from: pasted on normal pictures; the test split's own, for diagnosing only; or nowhere. "
    "Default: synthetic, or as in --config.",
)
@common
def promptad(**options: Any) -> int:
    """Train PromptAD on normal pictures of one class; its defects are pasted.

    \b
    Example:
      vlm-inspect train promptad --data mvtec/bottle --clip clip-vit-base-patch32 --out bottle.safetensors
      vlm-inspect ask part.jpg --localizer promptad --clip clip-vit-base-patch32 --checkpoint bottle.safetensors
    """
    from vlm_inspect.training.building import PROMPTAD

    return _train(PROMPTAD, options)


def _train(kind: "Kind", options: dict[str, Any]) -> int:
    from vlm_inspect.localization.dual_encoder.loading import load_dual_encoder
    from vlm_inspect.training.building import header_of, schedule_of
    from vlm_inspect.training.loop import TrainingPlan
    from vlm_inspect.training.loop import train as run
    from vlm_inspect.training.record import record_path
    from vlm_inspect.training.reports import reporting
    from vlm_inspect.training.resume import check_out

    out, start, given = options["out"], _start(options), _given_options(kind, options)
    _readable(options)
    check_out(out, start)
    with reporting(quiet=options["quiet"]) as report:
        report.say(f"loading {options['clip']}")
        encoder = load_dual_encoder(options["clip"], options["device"])
        running = _running(kind, options, encoder.device)
        data = _read(kind, options, given, report)
        method = kind.build(encoder, data, given)
        schedule = schedule_of(method, given)
        header = header_of(method, encoder, data, schedule, given.seed)
        plan = TrainingPlan(out, data, schedule, given.seed, header)
        report.say(f"{len(data.entries)} pictures, {plan.steps} steps on {encoder.device}, {running.precision}")
        done = run(method, plan, start, running, report)
    what = f"{plan.steps} steps over {len(data.entries)} pictures" if done else "it was finished already"
    write_line(f"{out}: {kind.name}, {what}; record in {record_path(out)}")
    return 0


def _start(options: dict[str, Any]) -> "Start":
    if options["resume"] and options["restart"]:
        raise click.UsageError("--resume and --restart exclude each other.")
    return "resume" if options["resume"] else "restart" if options["restart"] else "new"


def _given_options(kind: "Kind", options: dict[str, Any]) -> "TrainingOptions":
    from vlm_inspect.config import load_config
    from vlm_inspect.localization.settings import LocalizerSettings
    from vlm_inspect.training.building import PROMPTAD, TrainingOptions, read_words

    settings = load_config(options["config_path"]).localizer if options["config_path"] else LocalizerSettings()
    own = {"seed": settings.promptad.seed, "supervision": settings.promptad.supervision} if kind is PROMPTAD else {}
    options = {**options, **{name: value for name, value in own.items() if options.get(name) is None}}
    from_file = read_words(options["words_path"]) if options["words_path"] else ()
    same = ("seed", "side", "epochs", "batch_size", "learning_rate", "micro_batch", "save_memory", "supervision")
    return TrainingOptions(
        words=(*options["words"], *from_file),
        settings=settings,
        **{name: options[name] for name in same if options.get(name) is not None},
    )


def _running(kind: "Kind", options: dict[str, Any], device: str) -> "Running":
    from vlm_inspect.errors import TrainingError
    from vlm_inspect.training.loop import Running

    cuda = device.startswith("cuda")
    if options["precision"] == "float16" and not cuda:
        raise TrainingError("--precision float16 needs --device cuda; use float32 on the CPU")
    return Running(
        device=device,
        precision="float16" if cuda and options["precision"] != "float32" else "float32",
        micro_batch=options["micro_batch"],
        method_splits=kind.splits_batches,
        checkpoint_every_s=options["checkpoint_every_s"],
    )


def _read(kind: "Kind", options: dict[str, Any], given: "TrainingOptions", report: "Report") -> "TrainingData":
    from vlm_inspect.training.building import supervision_of
    from vlm_inspect.training.data import read_data

    data = read_data(options["folders"], supervision_of(kind, given), progress=report.progress)
    for note in data.left_out[:MOST_NOTES]:
        report.say(f"left out: {note}")
    if (more := len(data.left_out) - MOST_NOTES) > 0:
        report.say(f"left out: {more} more, all in the record")
    name = options.get("class_name")
    return data if name is None else data.renamed(name)
