"""docs/json.md: the JSON of an inspection, key by key, from its models."""

import inspect
from typing import get_args

from pydantic import BaseModel

from recipes.reference_pages.fields import field_texts, type_words
from vlm_inspect.inspection import EXIT_CODES, Inspection

_HEAD = """# The JSON of an inspection

What `vlm-inspect ask PART --json FILE` writes (`-`: to stdout), and what `Inspection.model_dump_json()` returns. Boxes
are `x0, y0, x1, y1`. The name of a key says its unit: `_xyxyn` is a fraction of the view (0 to 1), `_xyxy` pixels of
the original picture, `_hw` pixels (height, width), `_mm` the unit of the scan, `_s` seconds, `_pct` per cent. A key
without a value is `null`; only `steps` (one look), `hypotheses`, `unconfirmed`, `events` and `seen_on` (none) are left
out.

This page is generated from the models: `make docs`.
"""
_MEANINGS = {
    "Inspection": {
        "outcome": "OK, NG, or REVIEW where a person should look",
        "calibrated": "whether the thresholds come from a calibration",
        "answer": "the answer to the question that was asked",
        "reasoning": "why, in words",
        "review_reasons": "why it is REVIEW; empty otherwise",
        "rules": "one row for each rule, in the order of the rule book",
        "views": "what was shown, in order; `view` elsewhere is an index into it",
        "notes": "what a reader left out or assumed, and what else limits the result",
        "source": "path of the part, as it was given",
        "model": "who judged: `evidence`, or provider and name of a model",
        "localizer": "what made the heatmap",
        "usage": "calls, tokens, time and cost",
        "provenance": "digests and versions, for `vlm-inspect replay`",
    },
    "RuleOutcome": {
        "id": "the rule's id in the rule book",
        "status": "`not_checked`: nobody read it, as offline with a rule in words; `cannot_tell`: tried without result",
        "reason": "why, in words",
        "severity": "as in the rule book",
        "source": "what decided",
        "measured": "the value, where the rule has a check",
    },
    "DefectOutcome": {
        "type": "its kind, in the words of the rule book where it is known",
        "severity": "how bad it is",
        "view": "index of the view that it lies on",
        "box_xyxyn": "its place on that view",
        "score": "how sure, 0 to 1",
        "source": "who found it",
        "description": "what it looks like",
        "source_xyxy": "its place on the original picture or frame",
        "page": "page of a file with several, from 0",
        "point_mm": "a point of the scan on the defect",
        "size_mm": "its longest side",
        "area_mm2": "area of its surface; left out as `depth_mm`",
        "frame": "frame of a clip, from 0",
        "time_s": "time in a clip or a curve",
    },
    "EventRecord": {"description": "what is unusual, in words"},
    "CurveEventRecord": {"description": "what is unusual, in words"},
    "TrackPointRecord": {
        "frame": "number of the frame, from 0",
        "time_s": "its second; null where the clip keeps no time",
    },
    "ViewRecord": {"index": "from 0", "kind": "what it shows", "size_hw": "its size", "label": "its caption"},
    "Usage": {
        "prompt_tokens": "tokens sent, as the provider counts them",
        "completion_tokens": "tokens received",
        "latency_s": "time from the file to the result",
        "calls": "calls of the model",
    },
    "Provenance": {
        "input_sha256": "of the file",
        "rules_sha256": "of the rule book",
        "prompt_sha256": "of the last prompt",
        "version": "of vlm-inspect",
        "created_at": "ISO 8601, UTC",
        "references_sha256": "of each reference, in order",
    },
    "StepRecord": {
        "phase": "what the step was for",
        "tool": "the tool that was called, if any",
        "arguments": "what it was called with",
        "saw": "what it showed",
        "said": "what came of it, in words",
        "usage": "what the step cost",
    },
    "HypothesisRecord": {
        "claim": "what may be wrong",
        "view": "index of the view that it is about; null: of none",
        "box_xyxyn": "its place on the view",
        "status": "kept (not refuted), dropped, or open",
        "reason": "why it stands so",
    },
    "Sensitivity": {
        "pod": "probability of detection that sizes are stated for",
        "confidence": "confidence that they are stated with",
        "size_mm": "the same in the unit of the scan, or in seconds of a curve; null where the scale is not known",
        "by_kind": "the same for each kind of planted defect",
        "planted": "number of planted defects",
        "found": "how many of them were not OK",
        "references": "number of references",
        "curve": "probability of detection over size",
        "reason": "why a size is null",
    },
    "Measured": {"value": "the number", "unit": "its unit; empty for a plain number"},
    "SeenRecord": {"view": "index of the view", "box_xyxyn": "the part of it; null: all of it"},
    "Detection": {
        "found": "how many were found",
        "planted": "how many were planted",
        "reason": "why the size is null",
    },
    "CurvePoint": {
        "size_pct": "size of a defect",
        "pod": "estimated probability of detection",
        "lower": "lower bound of its confidence interval",
        "upper": "upper bound",
    },
}
"""Model -> key -> meaning, where the model itself says nothing about a key."""


def json_page() -> str:
    """Return the page.

    Raises:
        KeyError: a key has no meaning, neither in its model nor here.
    """
    codes = ", ".join(f"{code} for {outcome}" for outcome, code in EXIT_CODES.items())
    parts = [_HEAD, f"`ask` exits with {codes}, and 2 for an error.\n"]
    parts += [_section(model) for model in _models(Inspection)]
    return "\n".join(parts)


def _models(first: type[BaseModel]) -> list[type[BaseModel]]:
    """Return a model and all that it holds, each once, outer ones first."""
    found = [first]
    for model in found:
        for field in model.model_fields.values():
            found += [inner for inner in dict.fromkeys(_inside(field.annotation)) if inner not in found]
    return found


def _inside(annotation: object) -> list[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _inside(argument)]


def _section(model: type[BaseModel]) -> str:
    texts = {**_MEANINGS.get(model.__name__, {}), **field_texts(model)}
    rows = [
        f"| `{name}` | {type_words(field.annotation)} | {texts[name]} |" for name, field in model.model_fields.items()
    ]
    told = " ".join((model.__doc__ or "").split("\n\n")[0].split())
    return "\n".join([f"## {model.__name__}\n", f"{told}\n", "| key | type | meaning |", "|---|---|---|", *rows, ""])
