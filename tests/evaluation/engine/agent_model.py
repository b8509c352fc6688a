"""An agent over coloured parts that tells the odd ones only where it was made to try a hypothesis."""

import json
from typing import Any

from tests.backends.openai_server import Body, Response, answer
from tests.evaluation.coloured_parts import number_of

ZOOM = '{"view": 0, "box": [0, 0, 1000, 1000]}'


def finds_it_by_refuting(body: Body) -> Response:
    """Answer a step or a verdict; without the task to refute it calls everything normal."""
    return answer(_said(body))(body)


def part_of(body: Body) -> int:
    """Return which part it is, by the first picture of all."""
    blocks = [block for message in body["messages"] for block in _blocks(message) if block["type"] == "image_url"]
    return number_of({"messages": [{"content": blocks[:1]}]})


def last_words(body: Body) -> str:
    """Return the text of the last turn."""
    return json.dumps([block.get("text", "") for block in _blocks(body["messages"][-1])])


def is_step(body: Body) -> bool:
    """Whether a step is asked for, and no verdict."""
    return "Do not give the verdict yet" in json.dumps(body["messages"]) and "final verdict" not in last_words(body)


def _said(body: Body) -> dict[str, Any]:
    refutes, odd = "3. refute:" in json.dumps(body["messages"]), bool(part_of(body) % 2)
    if not is_step(body):
        found = refutes and odd
        return {"reasoning": "Seen.", "anomalous": found, "probability": 0.9 if found else 0.1}
    step = {"said": "", "rules": ["colour", "bright"], "tool": "none", "arguments": "{}", "phase": "judge"}
    one = {"id": "h1", "claim": "the colour is odd", "rule": "colour", "expected": "an odd red"}
    if "gave:" in last_words(body):
        settled = {**one, "status": "kept" if odd else "dropped", "reason": "seen closely"}
        return {**step, "hypotheses": [settled] if refutes else []}
    called = {**step, "phase": "propose", "tool": "zoom", "arguments": ZOOM}
    return {**called, "hypotheses": [{**one, "status": "open", "reason": ""}], "tests": ["h1"]} if refutes else called


def _blocks(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content") or ""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content
