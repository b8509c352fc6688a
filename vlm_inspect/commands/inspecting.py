"""What every command that inspects shares: the options of an inspector, and the inspector that they make."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vlm_inspect.commands.options import PATH

if TYPE_CHECKING:
    from vlm_inspect.backends import Placement
    from vlm_inspect.backends.backend import Backend
    from vlm_inspect.inspector import Inspector

Command = TypeVar("Command", bound=Callable[..., Any])
LONGEST_TIMEOUT_S = 86_400.0


def _bounded(context: click.Context, parameter: click.Parameter, value: float) -> float:
    """Refuse NaN and infinity, which pass any comparison or overflow the clock."""
    if not value <= LONGEST_TIMEOUT_S:
        raise click.BadParameter(f"{value:g} is more than {LONGEST_TIMEOUT_S:g} seconds, or no number.")
    return value


timeout_option = click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=1.0),
    callback=_bounded,
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    help="Longest time of one attempt to get an answer from the model, from first to last byte.",
)
_PART_OPTIONS = (
    click.option("--rules", "rules_path", type=PATH, help="Rule book of the part's class (YAML)."),
    click.option(
        "--reference",
        "references",
        multiple=True,
        metavar="PATH|GLOB",
        help="Normal samples, beside those that the rule book names; repeatable.",
    ),
)
_MODEL_OPTIONS = (
    click.option(
        "--model",
        envvar="VLM_INSPECT_MODEL",
        default="evidence",
        show_default=True,
        metavar="PROVIDER:NAME",
        help="evidence (offline, no language model); hf:FOLDER, an open vision-language model on this machine; "
        "langchain:MODULE:FACTORY; or openai:NAME on any OpenAI-compatible server, which is then sent the views.",
    ),
    click.option(
        "--base-url",
        metavar="URL",
        help="Server of an openai: model (vLLM, Ollama, LM Studio, Azure, ...); default: OPENAI_BASE_URL, else OpenAI.",
    ),
    timeout_option,
    click.option(
        "--samples",
        type=click.IntRange(1, 20),
        default=1,
        show_default=True,
        help="Ask the model this often; the share of anomalous answers is the probability.",
    ),
    click.option(
        "--detail",
        type=click.Choice(["auto", "low", "high"]),
        default="high",
        show_default=True,
        help="How closely an openai: model looks at a picture: low sends one small tile each, which costs least; auto "
        "leaves it to the server.",
    ),
    click.option(
        "--localizer",
        default="auto",
        show_default=True,
        metavar="NAME",
        help="What makes the heatmaps: memory, winclip, alfa, dapo, promptad, none, or a sum such as memory+dapo; "
        "auto: memory with references, dapo without.",
    ),
    click.option(
        "--backbone",
        default="lite0",
        show_default=True,
        metavar="NAME|FOLDER",
        help="Vision model of the memory: lite0, dinov2, or a transformers model's folder.",
    ),
    click.option(
        "--clip",
        envvar="VLM_INSPECT_CLIP",
        metavar="FOLDER|ID",
        help="CLIP weights of winclip, alfa, dapo and promptad: a folder, or an id in the local cache. Without them "
        "dapo runs on dapo-mini.",
    ),
    click.option(
        "--checkpoint", type=PATH, metavar="FILE", help="What `vlm-inspect train` wrote, for dapo and promptad."
    ),
    click.option(
        "--device",
        type=click.Choice(["auto", "cpu", "cuda"]),
        default="auto",
        show_default=True,
        help="Where hf: models and winclip, alfa, dapo and promptad run.",
    ),
    click.option(
        "--dtype",
        type=click.Choice(["auto", "float32", "float16", "bfloat16"]),
        help="Number type of an hf: model's weights; auto: as stored.",
    ),
    click.option("--quantize", type=click.Choice(["8bit", "4bit"]), help="Load an hf: model with fewer bits a weight."),
    click.option(
        "--trust-remote-code", is_flag=True, help="Let Python code that comes with an hf: model run on this machine."
    ),
    click.option("--calibration", "calibration_path", type=PATH, help="Thresholds made from normal parts."),
)


def inspector_options(command: Command) -> Command:
    """Add the options that say how a part is inspected."""
    return _with(command, (*_PART_OPTIONS, *_MODEL_OPTIONS))


def model_options(command: Command) -> Command:
    """Add those that do not depend on the class of the part: model, localizer, calibration."""
    return _with(command, _MODEL_OPTIONS)


def _with(command: Command, options: Sequence[Callable[[Any], Any]]) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


def make_inspector(options: dict[str, Any], *, backend: "Backend | None" = None) -> "Inspector":
    """Put the inspector together; every option that can be wrong is checked before the part is read.

    Args:
        options: those of the command.
        backend: in place of the model that the options name.
    """
    from vlm_inspect.backends import is_offline
    from vlm_inspect.inspector import ANY_PART, Inspector
    from vlm_inspect.localization import AUTO, default_localizer, load_localizer
    from vlm_inspect.localization.memory_settings import MemorySettings
    from vlm_inspect.localization.settings import LocalizerSettings
    from vlm_inspect.prompting import PromptLimits
    from vlm_inspect.references import expand_references
    from vlm_inspect.rules import load_rules, resolve_references

    rules = load_rules(options["rules_path"]) if options["rules_path"] else ANY_PART
    references = [*resolve_references(rules), *expand_references(options["references"])]
    backend = backend or make_backend(options)
    name = options["localizer"]
    if name == AUTO:
        name = default_localizer(has_references=bool(references))
    settings = LocalizerSettings(
        memory=MemorySettings(backbone=options["backbone"]), clip=options["clip"], checkpoint=options["checkpoint"]
    )
    language = None if is_offline(options["model"]) else backend
    inspector = Inspector(
        rules=rules,
        references=tuple(dict.fromkeys(references)),
        backend=backend,
        localizer=load_localizer(name, settings, device=options["device"], language=language),
        samples=options["samples"],
        limits=PromptLimits(detail=options.get("detail") or PromptLimits.detail),
        look_again=bool(options.get("look_again")),
    )
    if options["calibration_path"]:
        inspector.thresholds = _thresholds(options["calibration_path"], inspector)
    return inspector


def make_backend(options: dict[str, Any]) -> "Backend":
    """Return the model that is asked for, loaded as the options say."""
    from vlm_inspect.backends import load_backend

    return load_backend(
        options["model"],
        base_url=options["base_url"],
        timeout_s=options["timeout_s"],
        placement=_placement(options),
    )


def _placement(options: dict[str, Any]) -> "Placement | None":
    """Return how a model that runs here is loaded; None for the others, unless what they cannot have is asked for."""
    from vlm_inspect.backends import Placement, is_loaded_here

    chosen = options["dtype"] or options["quantize"] or options["trust_remote_code"]
    if not (chosen or is_loaded_here(options["model"])):
        return None
    return Placement(
        device=options["device"],
        dtype=options["dtype"] or "auto",
        quantize=options["quantize"],
        trust_remote_code=options["trust_remote_code"],
    )


def _thresholds(path: Path, inspector: "Inspector") -> Any:
    from vlm_inspect.calibration.file import load_calibration

    localizer = inspector.eyes.name if inspector.eyes else "none"
    return load_calibration(path, rules_sha256=inspector.rules.sha256, localizer=localizer).thresholds
