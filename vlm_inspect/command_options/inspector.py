"""The options of an inspection, which a command gets as one `InspectorConfig`."""

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click
from click.core import ParameterSource

from vlm_inspect.command_options.general import PATH

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
    help="Longest time of one attempt to get an answer from the model, from first to last byte.",
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


SERVER_OPTIONS = (
    click.option(
        "--max-tokens",
        type=click.IntRange(16, 1_000_000),
        metavar="N",
        help="Longest answer in tokens, thinking included; a model that thinks much needs more than the usual 4096.",
    ),
    click.option(
        "--reasoning-effort",
        metavar="WORD",
        help="How much an openai: model shall think, in its server's words, such as low or high.",
    ),
    click.option(
        "--header",
        "headers",
        multiple=True,
        callback=_headers,
        metavar="'NAME: VALUE'",
        help="A further header of every request to the server; repeatable.",
    ),
    click.option(
        "--ca-file", type=PATH, metavar="FILE", help="Certificates of the authorities to trust for the server (PEM)."
    ),
)
PROMPT_OPTIONS = (
    click.option(
        "--max-pictures",
        type=click.IntRange(1, 1000),
        metavar="N",
        help="Most pictures of one request: zoomed marks give way first, then marks, then references.",
    ),
    click.option(
        "--max-references",
        type=click.IntRange(0, 1000),
        default=4,
        show_default=True,
        metavar="N",
        help="Most references that the model is shown; all of them serve the measurements.",
    ),
    click.option(
        "--language",
        metavar="NAME",
        help="Language of the model's reasoning and of every answer, such as German; default: that of the question. "
        "Without a model: English, German, French, Spanish, Italian, Chinese or Japanese.",
    ),
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
    click.option(
        "--allow-outside",
        is_flag=True,
        help="Let pictures of references that the rule book names outside its own folder go to a remote model.",
    ),
)
MODEL_OPTIONS = (
    click.option(
        "--config",
        "config_path",
        type=PATH,
        metavar="FILE",
        help="Settings of the inspection (YAML), those of every localizer among them; options given beside it count "
        "more.",
    ),
    click.option(
        "--model",
        envvar="VLM_INSPECT_MODEL",
        show_envvar=True,
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
    *SERVER_OPTIONS,
    *PROMPT_OPTIONS,
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
        "--eye",
        type=click.Choice(["auto", "fast", "fine"]),
        default="auto",
        show_default=True,
        help="How closely the memory sees: fast (Lite0), fine (with DINOv2), auto: fine for photos, fast for scans and "
        "clips.",
    ),
    click.option(
        "--backbone",
        metavar="NAME|FOLDER",
        help="One network for the memory instead of --eye: lite0, dinov2, or a transformers model's folder.",
    ),
    click.option(
        "--clip",
        envvar="VLM_INSPECT_CLIP",
        show_envvar=True,
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
    "template": ("template",),
    "look_again": ("look_again",),
    "agent": ("agent", "enabled"),
    "max_steps": ("agent", "max_steps"),
    "step_tokens": ("agent", "max_tokens"),
    "step_usd": ("agent", "max_usd"),
    "localizer": ("localizer", "name"),
    "eye": ("localizer", "memory", "eye"),
    "backbone": ("localizer", "memory", "backbone"),
    "clip": ("localizer", "clip"),
    "checkpoint": ("localizer", "checkpoint"),
    "device": ("device",),
    "calibration_path": ("calibration",),
}
"""Parameter of a command -> its place in the configuration. A command has any of them."""


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
        *sections, key = _PLACES[name]
        inner = changes
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[key] = value
    return base.with_changes(**changes)
