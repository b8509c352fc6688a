"""A scripted model for the agent: its steps one by one, over real HTTP, as JSON turns or as calls of functions."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner
from PIL import Image

from tests.backends.openai_server import Behaviour, Body, OpenAIServer, Recorded, Response, answer, completion
from vlm_inspect import cli

BOX = '{"view": 0, "box": [100, 100, 400, 400]}'
FAR_BOX = '{"view": 0, "box": [600, 600, 900, 900]}'


def verdict(*, anomalous: bool = False, **more: Any) -> Behaviour:
    """The final verdict, as text."""
    whole: dict[str, Any] = {
        "reasoning": "It is cracked." if anomalous else "It is whole.",
        "anomalous": anomalous,
        "probability": 0.97 if anomalous else 0.02,
        "answer": "",
        "rules": [{"id": "whole", "status": "fail" if anomalous else "pass", "reason": "seen"}],
        "defects": [],
    }
    return answer({**whole, **more})


def turn(phase: str, tool: str = "none", arguments: str = "{}", **more: Any) -> Behaviour:
    """One step as a JSON turn."""
    whole = {"phase": phase, "said": f"I {phase}.", "hypotheses": [], "tool": tool, "arguments": arguments}
    return answer({**whole, "rules": ["whole"], "tests": [], **more})


def call(tool: str, arguments: dict[str, Any], *, text: str | None = None, times: int = 1) -> Behaviour:
    """One step as a call of a function, or several at once."""

    def respond(body: Body) -> Response:
        made = [
            {"id": f"c{n}", "type": "function", "function": {"name": tool, "arguments": json.dumps(arguments)}}
            for n in range(times)
        ]
        message = {"role": "assistant", "content": text, "tool_calls": made}
        choices = [{"index": 0, "message": message, "finish_reason": "tool_calls"}]
        usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
        return completion({"choices": choices, "usage": usage}, body)

    return respond


def hypothesis(name: str = "h1", status: str = "open", reason: str = "", **more: Any) -> dict[str, Any]:
    """One hypothesis as a step says it."""
    told = {"id": name, "claim": f"{name} is a crack", "rule": "whole", "view": 0, "box": [100, 100, 400, 400]}
    return {**told, "expected": "a dark line", "status": status, "reason": reason, **more}


def write_plate(folder: Path, *, severity: str = "critical") -> Path:
    """Write a photograph of a plate and its rule book; returns the photograph."""
    path = folder / "part.png"
    Image.fromarray(np.full((128, 128, 3), 120, np.uint8)).save(path)
    rule = f"  - {{id: whole, text: The plate is whole., severity: {severity}}}\n"
    (folder / "plate.yaml").write_text(f"class_name: plate\nrules:\n{rule}")
    return path


def ask(
    photo: Path, *script: Behaviour, options: Sequence[str] = (), refuses: Sequence[str] = ("tools",)
) -> tuple[dict[str, Any], list[Recorded]]:
    """Run `ask --agent` against a server that plays the script; by default one that takes no functions."""
    with OpenAIServer(list(script), refuses=refuses) as server:
        done = run_ask(photo, server.base_url, options)
    assert done.exception is None, done.exception
    accepted = [one for one in server.requests if not set(refuses) & one.body.keys()]
    return json.loads(done.stdout), accepted


def run_ask(photo: Path, base_url: str, options: Sequence[str] = ()) -> Any:
    """Run the command itself."""
    rules = str(photo.with_name("plate.yaml"))
    fixed = ["--rules", rules, "--model", "openai:tiny", "--base-url", base_url, "--localizer", "none", "--agent"]
    return CliRunner().invoke(cli.cli, ["ask", str(photo), *fixed, "--json", "-", *options], standalone_mode=False)


def by_request(choose: Callable[[Body], Behaviour]) -> Behaviour:
    """Answer by what was asked."""
    return lambda body: choose(body)(body)
