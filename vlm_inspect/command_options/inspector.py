"""The options of an inspection, which a command gets as one `InspectorConfig`."""

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click
from click.core import ParameterSource

from vlm_inspect.command_options.general import PATH
from vlm_inspect.safe_text import plain_line

if TYPE_CHECKING:
    from vlm_inspect.config import InspectorConfig

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
    help="Time limit of one request to the model, from first to last byte.",
)


def _headers(context: click.Context, parameter: click.Parameter, value: Sequence[str]) -> dict[str, str]:
    """Read NAME: VALUE, which is how headers are written everywhere."""
    headers: dict[str, str] = {}
    for one in value:
        name, colon, told = one.partition(":")
        if not colon or not name.strip() or not told.strip():
            raise click.BadParameter("write a header as NAME: VALUE, in quotes.")
        headers[name.strip()] = told.strip()
    return headers


def _tiles(context: click.Context, parameter: click.Parameter, value: str) -> int:
    """Return the most tiles of one picture."""
    from converters.view import ViewBudget

    return 0 if value == "off" else ViewBudget().max_tiles


SERVER_OPTIONS = (
    click.option(
        "--max-tokens",
        type=click.IntRange(16, 1_000_000),
        metavar="N",
        help="Limit of tokens in one answer, including thinking. Raise it for models that think at "
        "length. Default: 4096.",
    ),
    click.option(
        "--reasoning-effort",
        metavar="WORD",
        help="How much an openai: model should think, in the server's own terms, such as low or high.",
    ),
    click.option(
        "--header",
        "headers",
        multiple=True,
        callback=_headers,
        metavar="'NAME: VALUE'",
        help="Extra header for every request to the server; repeatable.",
    ),
    click.option("--ca-file", type=PATH, metavar="FILE", help="Certificate authorities to trust for the server (PEM)."),
)
PROMPT_OPTIONS = (
    click.option(
        "--max-pictures",
        type=click.IntRange(1, 1000),
        metavar="N",
        help="Limit of pictures in one request. Enlarged marks are dropped first, then marks, then references.",
    ),
    click.option(
        "--max-references",
        type=click.IntRange(0, 1000),
        default=4,
        show_default=True,
        metavar="N",
        help="Limit of references shown to the model. Measurements always use all of them.",
    ),
    click.option(
        "--language",
        metavar="NAME",
        help="Language of the model's reasoning and of every answer, such as German. Default: that of the question. "
        "Without a model it sets the language of answers to questions, and is one of English, German, French, "
        "Spanish, Italian, Chinese and Japanese. Pages (--html) are in English or German; the terminal, --overlay, "
        "tables and the page of `bench` are in English; the page of `serve` is in English or German as chosen on it.",
    ),
)
_PART_OPTIONS = (
    click.option("--rules", "rules_path", type=PATH, help="Rule book of the class (YAML)."),
    click.option(
        "--reference",
        "references",
        multiple=True,
        metavar="PATH|GLOB",
        help="Normal samples in addition to those in the rule book; repeatable.",
    ),
    click.option(
        "--allow-outside",
        is_flag=True,
        help="Allow pictures of references from outside the rule book's folder to be sent to a remote model.",
    ),
)
MODEL_OPTIONS = (
    click.option(
        "--config",
        "config_path",
        type=PATH,
        metavar="FILE|NAME",
        help="Settings of the inspection (YAML), including those of every localizer, or the name of settings that "
        "ship, such as winclip. Options on the command line take precedence.",
    ),
    click.option(
        "--model",
        envvar="VLM_INSPECT_MODEL",
        show_envvar=True,
        default="evidence",
        show_default=True,
        metavar="PROVIDER:NAME",
        help="evidence: offline, without a language model. openai:NAME: a model on any "
        "OpenAI-compatible server, which is "
        "sent the views. hf:FOLDER: an open vision-language model on this machine. langchain:MODULE:FACTORY: a chat "
        "model of LangChain.",
    ),
    click.option(
        "--base-url",
        metavar="URL",
        help="Server of an openai: model, such as vLLM, Ollama or Azure. Default: OPENAI_BASE_URL, otherwise OpenAI.",
    ),
    timeout_option,
    *SERVER_OPTIONS,
    *PROMPT_OPTIONS,
    click.option(
        "--samples",
        type=click.IntRange(1, 20),
        default=1,
        show_default=True,
        help="Number of times to ask the model. The share of anomalous answers becomes the probability.",
    ),
    click.option(
        "--detail",
        type=click.Choice(["auto", "low", "high"]),
        default="high",
        show_default=True,
        help="Detail in which an openai: model sees each picture. low sends one small tile and costs "
        "least; auto leaves "
        "the choice to the server.",
    ),
    click.option(
        "--tiles",
        "max_tiles",
        type=click.Choice(["auto", "off"]),
        callback=_tiles,
        default="auto",
        show_default=True,
        help="How a picture over 1024 pixels is judged. auto: whole, and again in overlapping tiles at full "
        "resolution; off: whole alone, as published protocols do.",
    ),
    click.option(
        "--localizer",
        default="auto",
        show_default=True,
        metavar="NAME",
        help="Method that makes the heatmaps: memory, winclip, alfa, dapo, promptad, none, or a sum "
        "such as memory+dapo. "
        "auto: memory with references, dapo without. "
        "Of a scan, the deviation from its references is learned and measured with any of them, none included.",
    ),
    click.option(
        "--eye",
        type=click.Choice(["auto", "fast", "fine"]),
        default="auto",
        show_default=True,
        help="Networks of the memory. fast: Lite0. fine: Lite0 and DINOv2. auto: fine for photos, fast for scans and "
        "clips.",
    ),
    click.option(
        "--backbone",
        metavar="NAME|FOLDER",
        help="A single network for the memory, in place of --eye: lite0, dinov2, or the folder of a "
        "transformers model.",
    ),
    click.option(
        "--clip",
        envvar="VLM_INSPECT_CLIP",
        show_envvar=True,
        metavar="FOLDER|ID",
        help="CLIP weights for winclip, alfa, dapo and promptad: a folder, or an id in the local cache. Without them "
        "dapo uses dapo-mini.",
    ),
    click.option("--half", is_flag=True, help="Load --clip with float16 weights; requires CUDA. Default: float32."),
    click.option(
        "--localizer-batch",
        "localizer_batch",
        type=click.IntRange(1, 1024),
        default=1,
        show_default=True,
        metavar="N",
        help="Pictures that winclip, alfa, dapo or promptad judges together, across parts that are judged at the same "
        "time. Pays on a GPU.",
    ),
    click.option(
        "--checkpoint",
        type=PATH,
        metavar="FILE",
        help="Weights for dapo or promptad, as written by `vlm-inspect train`.",
    ),
    click.option(
        "--device",
        type=click.Choice(["auto", "cpu", "cuda"]),
        default="auto",
        show_default=True,
        help="Device for hf: models, winclip, alfa, dapo and promptad.",
    ),
    click.option(
        "--dtype",
        type=click.Choice(["auto", "float32", "float16", "bfloat16"]),
        help="Number type of an hf: model's weights. auto: as stored.",
    ),
    click.option(
        "--quantize", type=click.Choice(["8bit", "4bit"]), help="Load an hf: model with 8-bit or 4-bit weights."
    ),
    click.option(
        "--trust-remote-code",
        is_flag=True,
        help="Allow Python code that comes with an hf: model to run on this machine.",
    ),
    click.option(
        "--calibration",
        "calibration_path",
        type=PATH,
        help="Thresholds set from normal parts, as written by `vlm-inspect calibrate`.",
    ),
)


_PLACES: Mapping[str, tuple[str, ...]] = {
    "rules_path": ("rules",),
    "references": ("references",),
    "allow_outside": ("allow_outside",),
    "model": ("model", "name"),
    "base_url": ("model", "base_url"),
    "timeout_s": ("model", "timeout_s"),
    "samples": ("model", "samples"),
    "max_tokens": ("model", "max_tokens"),
    "reasoning_effort": ("model", "reasoning_effort"),
    "headers": ("model", "headers"),
    "ca_file": ("model", "ca_file"),
    "max_pictures": ("prompt", "pictures"),
    "max_references": ("prompt", "references"),
    "language": ("prompt", "language"),
    "dtype": ("model", "dtype"),
    "quantize": ("model", "quantize"),
    "trust_remote_code": ("model", "trust_remote_code"),
    "detail": ("prompt", "detail"),
    "max_tiles": ("views", "max_tiles"),
    "template": ("template",),
    "look_again": ("look_again",),
    "agent": ("agent", "enabled"),
    "max_steps": ("agent", "max_steps"),
    "step_tokens": ("agent", "max_tokens"),
    "step_usd": ("agent", "max_usd"),
    "refuter": ("refuter", "name"),
    "normal_until": ("normal_until",),
    "most_windows": ("windows", "most"),
    "localizer": ("localizer", "name"),
    "eye": ("localizer", "memory", "eye"),
    "backbone": ("localizer", "memory", "backbone"),
    "clip": ("localizer", "clip"),
    "half": ("localizer", "half"),
    "localizer_batch": ("localizer", "batch"),
    "checkpoint": ("localizer", "checkpoint"),
    "device": ("device",),
    "calibration_path": ("calibration",),
}
"""Parameter of a command -> its place in the configuration. A command has any of them."""
_ABSENT = frozenset({"refuter"})
"""Sections that are there only where something of them is named."""


def server_options(command: Command) -> Command:
    """Add the options that say how a server is asked."""
    for option in reversed(SERVER_OPTIONS):
        command = option(command)
    return command


def inspector_options(command: Command) -> Command:
    """Add the options that say how a part is inspected; the command gets them as `config`, an `InspectorConfig`."""
    return _with(command, (*_PART_OPTIONS, *MODEL_OPTIONS))


def model_options(command: Command) -> Command:
    """Add those that do not depend on the class of the part: model, localizer, calibration; see `inspector_options`."""
    return _with(command, MODEL_OPTIONS)


def with_config(command: Command) -> Command:
    """Let a command take the options of an inspection that it has as one `config`."""

    @functools.wraps(command)
    def run(*arguments: Any, **given: Any) -> Any:
        own = {name: given.pop(name) for name in _PLACES if name in given}
        return command(*arguments, config=_read(own, given.pop("config_path", None)), **given)

    return cast("Command", run)


def _with(command: Command, options: Sequence[Callable[[Any], Any]]) -> Command:
    command = with_config(command)
    for option in reversed(options):
        command = option(command)
    return command


def _read(given: Mapping[str, Any], path: Path | None) -> "InspectorConfig":
    """Return the configuration: the command line before the file, the file before environment and defaults."""
    from vlm_inspect.config import InspectorConfig, load_config

    base = InspectorConfig() if path is None else load_config(path)
    source = click.get_current_context().get_parameter_source
    changes: dict[str, Any] = {}
    for name, value in given.items():
        if path is not None and source(name) is not ParameterSource.COMMANDLINE:
            continue
        if value is None and _PLACES[name][0] in _ABSENT:
            continue
        *sections, key = _PLACES[name]
        inner = changes
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[key] = value
    config = base.with_changes(**changes)
    if "language" in given and config.prompt.language and not config.asks_a_model:
        _check_language(config.prompt.language)
    return config


def _check_language(name: str) -> None:
    """Make sure that there are words for a language that no model answers in."""
    from vlm_inspect.answers.language import load_languages, named_language

    if named_language(name) is None:
        known = ", ".join(load_languages())
        raise click.UsageError(f"--language {plain_line(name)}: without a model it is one of {known}")
