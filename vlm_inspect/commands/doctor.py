"""`vlm-inspect doctor`: what is installed here, or what a model can do."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from vlm_inspect.command_options.general import common, progress
from vlm_inspect.command_options.inspector import server_options, timeout_option
from vlm_inspect.safe_text import write_line

if TYPE_CHECKING:
    from vlm_inspect.backends.backend import Backend
    from vlm_inspect.installation import Installation
    from vlm_inspect.model_probe import ModelReport, PairAnswer

UNFIT = 1
"""Exit code of a model that answers, but is blind or does not tell the known pair apart."""


@click.command()
@click.option(
    "--model", metavar="PROVIDER:NAME", help="Model to probe, as for `ask`. Without it, the installation is checked."
)
@click.option("--base-url", metavar="URL", help="Server of an openai: model.")
@timeout_option
@server_options
@click.option("--clip", envvar="VLM_INSPECT_CLIP", metavar="FOLDER|ID", help="CLIP weights to look for.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON to stdout.")
@common
def doctor(
    model: str | None, base_url: str | None, timeout_s: float, clip: str | None, as_json: bool, **options: Any
) -> int:
    """Show what is installed; with --model, what that model can do.

    A model is asked some ten tiny questions about pictures that are drawn at random, and about a plate with and without
    a defect. Nothing of yours is sent.

    Exit code: 0 all right, 1 the model answers but sees no pictures or does not tell the plates apart, 2 it cannot be
    reached, or any other error.

    \b
    Example:
      vlm-inspect doctor
      vlm-inspect doctor --model openai:gpt-4o
      vlm-inspect doctor --model openai:qwen2.5vl --base-url http://127.0.0.1:11434/v1 --json
    """
    if model is None:
        if base_url:
            raise click.UsageError("--base-url requires --model; name the model")
        return _tell_installation(clip, as_json=as_json, quiet=options["quiet"])
    from vlm_inspect.backends import Connection, is_offline, load_backend

    asked = {name: options[name] for name in ("max_tokens", "reasoning_effort", "headers", "ca_file")}
    backend = load_backend(model, connection=Connection(base_url, timeout_s, **asked))
    if is_offline(model):
        return _tell_evidence(backend, as_json=as_json)
    from vlm_inspect.model_probe import probe_model

    with progress(quiet=options["quiet"]) as say:
        say(f"asking {backend.name}")
        report = probe_model(backend)
    _print_json({**asdict(report), "usable": report.usable}) if as_json else _print_lines(_model_lines(report))
    return 0 if report.usable else UNFIT


def _tell_installation(clip: str | None, *, as_json: bool, quiet: bool) -> int:
    from vlm_inspect.installation import examine_installation

    with progress(quiet=quiet) as say:
        say("looking around")
        found = examine_installation(clip)
    _print_json(asdict(found)) if as_json else _print_lines(_installation_lines(found))
    return 0


def _tell_evidence(backend: "Backend", *, as_json: bool) -> int:
    told = (
        "no language model: it words what was measured on this machine, and looks at no picture itself; heatmaps, "
        "measurements and thresholds decide"
    )
    if as_json:
        _print_json({"model": backend.name, "sees_pictures": False, "about": told, "usable": True})
    else:
        _print_lines([("model", backend.name), ("what it is", told)])
    return 0


def _installation_lines(found: "Installation") -> Iterator[tuple[str, str]]:
    yield "vlm-inspect", f"{found.version}, Python {found.python}, {found.platform}, {found.cores} cores"
    yield "device", found.device
    for name, version in found.packages.items():
        yield f"package {name}", version or "not installed"
    for extra in found.extras:
        lacks = f"missing {', '.join(extra.missing)}: {extra.get}"
        there = "installed" if extra.for_this_system else "not for this system"
        yield f"extra {extra.name}", lacks if extra.missing else there
    for one in found.weights:
        yield f"weights {one.name}", f"{one.path or f'not here: {one.get}'} ({one.use})"
    for folder in found.folders:
        size = f"{folder.bytes / 2**20:.1f} MiB in {folder.files} files" if folder.exists else "not there yet"
        yield folder.name, f"{folder.path} ({size})"


def _model_lines(report: "ModelReport") -> Iterator[tuple[str, str]]:
    yield "model", report.model
    yield "reachable", "yes"
    yield "sees pictures", f"{_word(report.sees_pictures)} ({report.discs_read} test pictures read)"
    yield "pictures a request", f"{report.pictures} told apart" if report.sees_pictures else "not asked"
    yield "JSON", _word(report.json) + (f", held to it by {report.form}" if report.form and report.json else "")
    yield "token probabilities", _word(report.token_probabilities) if report.sees_pictures else "not asked"
    yield "several answers a call", _word(report.several_answers)
    yield "tools", _word(report.tools)
    yield "boxes", _box_words(report) if report.sees_pictures else "not asked"
    yield "the normal plate", _pair_words(report.normal)
    yield "the anomalous plate", _pair_words(report.anomalous)
    cost = "" if report.usage.cost_usd is None else f", {report.usage.cost_usd:.4f} USD"
    tokens = f"{report.usage.prompt_tokens} + {report.usage.completion_tokens} tokens"
    yield "latency", f"{report.latency_s:.2f} s (median of {report.usage.calls} calls; {tokens}{cost})"
    yield "verdict", "usable" if report.usable else _unfit(report)


def _unfit(report: "ModelReport") -> str:
    if not report.sees_pictures:
        return "not usable: it does not see the pictures; take a vision model, and a server that hands pictures on"
    return "not usable: it does not tell a normal plate from one with a missing hole and a scratch"


def _box_words(report: "ModelReport") -> str:
    if report.boxes is None:
        return "not found out: asked for in per mille, or as its family writes them"
    unit = {"per_mille": "per mille", "pixels": "pixels", "fraction": "fractions"}[report.boxes.unit]
    return f"{unit}, {'y before x' if report.boxes.rows_first else 'x before y'}; kept for this model"


def _pair_words(answer: "PairAnswer | None") -> str:
    if answer is None:
        return "not asked"
    probability = "" if answer.probability is None else f", P(anomalous) {answer.probability:.2f}"
    why = answer.why if len(answer.why) <= 160 else answer.why[:157] + "..."
    return f"{answer.said}{probability}: {why}"


def _word(known: bool | None) -> str:
    return "not found out" if known is None else "yes" if known else "no"


def _print_json(data: dict[str, Any]) -> None:
    def plain(value: object) -> Any:
        return value.model_dump() if hasattr(value, "model_dump") else str(value)

    write_line(json.dumps(data, indent=2, default=plain))


def _print_lines(lines: "Iterator[tuple[str, str]] | list[tuple[str, str]]") -> None:
    """Print names and what there is to say of them, in two columns; text of models is shown as it is."""
    from vlm_inspect.safe_text import plain_line

    told = list(lines)
    width = max(len(name) for name, _ in told)
    for name, text in told:
        write_line(f"{name:<{width}}  {plain_line(text)}")
