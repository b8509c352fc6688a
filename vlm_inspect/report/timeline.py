"""The steps of an examination: as a timeline of a page, with the pictures of each, and as lines of a terminal.

Text of models is foreign: escaped on the page, without control characters on the terminal.
"""

import json
from collections.abc import Sequence
from importlib import resources

from vlm_inspect.backends.messages import PICTURE_ROLES
from vlm_inspect.inspection import HypothesisRecord, Inspection, StepRecord
from vlm_inspect.looks.look import Look
from vlm_inspect.safe_text import plain, plain_line

_LONGEST_LINE = 200
_PERMILLE = 1000
_CLOSER = "closer"


def render_timeline(inspection: Inspection, looks: Sequence[Look] = ()) -> str:
    """Return the section of a page, escaped; "" of an inspection without steps.

    Args:
        inspection: with its steps and hypotheses.
        looks: in the order of the steps, for the pictures that each showed; none: words alone.
    """
    import jinja2

    if not inspection.steps:
        return ""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["plain"] = plain
    folder = resources.files("vlm_inspect.report") / "templates"
    template = environment.from_string((folder / "timeline.html.j2").read_text(encoding="utf-8"))
    shown = _pictures_by_step(looks) if len(looks) == len(inspection.steps) else [()] * len(inspection.steps)
    return template.render(
        steps=[(step, call_words(step), pictures) for step, pictures in zip(inspection.steps, shown, strict=True)],
        hypotheses=inspection.hypotheses,
        hypothesis_place=_place_words,
        window_words=window_words,
    )


def call_words(step: StepRecord) -> str:
    """Return what a step called, on one line; "" where it called nothing."""
    if step.tool is None:
        return ""
    arguments = ", ".join(f"{key} {json.dumps(value)}" for key, value in (step.arguments or {}).items())
    return plain_line(f"{step.tool} {arguments}".strip())


def window_words(step: StepRecord) -> str:
    """Return which window of a clip a step was about and what the model says of it; "" of another step."""
    one = step.window
    if one is None:
        return ""
    timed = one.first_s is not None and one.last_s is not None
    span = f"{one.first_s:.2f} s to {one.last_s:.2f} s" if timed else f"frames {one.first} to {one.last}"
    said = {True: "anomalous", False: "normal", None: "could not be read"}[one.anomalous]
    return f"window {one.number}, {span}, {said}"


def step_line(step: StepRecord) -> str:
    """Return a step as one line of a terminal: number, phase and call, or the window, then words, tokens and cost."""
    call = call_words(step)
    head = window_words(step) or f"step {step.n} {step.phase.replace('_', ' ')}{f', {call}' if call else ''}"
    said = plain_line(step.said)
    cut = said if len(said) <= _LONGEST_LINE else f"{said[: _LONGEST_LINE - 1]}…"
    tokens = step.usage.prompt_tokens + step.usage.completion_tokens
    cost = "" if step.usage.cost_usd is None else f", ${step.usage.cost_usd:.4f}"
    return f"{head}: {cut} ({tokens} tokens{cost})"


def hypothesis_line(one: HypothesisRecord) -> str:
    """Return a hypothesis, and what became of it, as one line of a terminal."""
    steps = f", step{'s' if len(one.steps) > 1 else ''} {', '.join(map(str, one.steps))}" if one.steps else ""
    return plain_line(f"{one.id} {one.status}: {one.claim} ({one.reason}{steps})")


def _pictures_by_step(looks: Sequence[Look]) -> list[tuple[str, ...]]:
    """Return the closer pictures that each look showed beyond the look before, as data URLs."""
    found: list[tuple[str, ...]] = []
    before = 0
    for look in looks:
        messages = () if look.request is None else look.request.messages
        closer = [url for message in messages for url in _urls(message)]
        found.append(tuple(closer[before:]))
        before = len(closer)
    return found


def _urls(message: object) -> list[str]:
    content = getattr(message, "content", None)
    roles = getattr(message, "additional_kwargs", {}).get(PICTURE_ROLES, ())
    blocks = [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
    urls = [str(block["image_url"]["url"]) for block in blocks if block.get("type") == "image_url"]
    return [url for url, role in zip(urls, roles, strict=False) if role == _CLOSER and url.startswith("data:image/")]


def _place_words(one: HypothesisRecord) -> str:
    if one.view is None:
        return ""
    box = "" if one.box_xyxyn is None else f": {', '.join(str(round(side * _PERMILLE)) for side in one.box_xyxyn)}"
    return f"view {one.view}{box}"
