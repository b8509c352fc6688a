"""The agent's tools over every kind of part: a scan turned, a moment of a clip, a stretch of a curve."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.agent.scripted import turn, verdict
from tests.backends.openai_server import OpenAIServer
from tests.tools.kept_parts import clip, curve, scan
from vlm_inspect.agent import AgentSettings
from vlm_inspect.backends import load_backend
from vlm_inspect.inspector import Inspector
from vlm_inspect.rules import RuleBook

BOOK = RuleBook(class_name="part")


@pytest.mark.parametrize(
    ("make", "name", "tool", "arguments", "told"),
    [
        (scan, "box.xyz", "look_from", {"yaw_deg": 120, "pitch_deg": 30}, "seen from yaw 120 degrees"),
        (clip, "clip", "show_moment", {"time_s": 12, "frames": 5, "step": 2}, "frames 8 to 16"),
        (curve, "curve.csv", "show_moment", {"time_s": 5, "frames": 10, "step": 5}, "from 4.5 s to 5.5 s"),
    ],
)
def test_a_tool_of_the_kind_is_a_step(
    make: Callable[[Path], Path], name: str, tool: str, arguments: dict[str, float], told: str, tmp_path: Path
) -> None:
    part = make(tmp_path / name)
    script = [turn("observe", tool, json.dumps(arguments)), turn("judge"), verdict()]
    with OpenAIServer(script, refuses=("tools",)) as server:
        backend = load_backend("openai:tiny", base_url=server.base_url)
        agent = AgentSettings(enabled=True)
        found = Inspector(rules=BOOK, backend=backend, localizer=None, agent=agent).examine(part)
    last = [one.body["messages"] for one in server.requests if "tools" not in one.body][1][-1]
    assert told in json.dumps(last)
    assert '"image_url"' in json.dumps(last)
    steps = found.inspection.steps
    assert (steps[1].tool, steps[1].arguments) == (tool, arguments)
    assert [one.view for one in steps[0].saw] == list(range(len(found.views)))
    assert not any("failed" in note for note in found.inspection.notes)
