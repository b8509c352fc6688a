"""Steps as models write them: in thinking, in fences, nearly JSON, as calls."""

import json

import pytest

from vlm_inspect.agent.turns import read_turn
from vlm_inspect.backends.backend import Reply
from vlm_inspect.backends.model_turn import ToolCall
from vlm_inspect.errors import ParseError

STEP = {"phase": "refute", "said": "Let me look.", "tool": "zoom", "arguments": {"view": 0}, "rules": ["whole"],
        "tests": "h1", "hypotheses": [{"id": "h1", "claim": "a crack"}]}  # fmt: skip
WRITTEN = json.dumps(STEP)


@pytest.mark.parametrize(
    "text",
    [
        WRITTEN,
        f"```json\n{WRITTEN}\n```",
        f'<think>{{"phase": "judge"}} or not?</think>{WRITTEN}',
        f"Well: {WRITTEN} That is my step.",
        WRITTEN.replace('["whole"]', '["whole"],').replace("}]}", "}],}"),
        str(STEP),
        json.dumps(WRITTEN),
        json.dumps([STEP]),
        f'{{"note": "first"}} {WRITTEN}',
    ],
)
def test_a_step_is_read_as_it_is_meant(text: str) -> None:
    turn = read_turn([Reply(text)])
    assert (turn.phase, turn.tool, turn.rules, turn.tests) == ("refute", "zoom", ("whole",), ("h1",))
    assert json.loads(turn.arguments) == {"view": 0}
    assert turn.hypotheses[0].key == "h1"
    assert turn.words == "Let me look. h1 open: a crack"


def test_a_call_says_the_same() -> None:
    own = {key: value for key, value in STEP.items() if key not in ("tool", "arguments")}
    turn = read_turn([Reply("", calls=(ToolCall("c", "zoom", json.dumps({**own, "view": 0})),))])
    assert turn == read_turn([Reply(WRITTEN)])


@pytest.mark.parametrize(
    "form", ["<tool_call>\n{}\n</tool_call>", "Well. <tool_call>{}</tool_call>", "[TOOL_CALLS][{}]", "<|python_tag|>{}"]
)
def test_a_call_that_stands_in_the_text_is_one(form: str) -> None:
    own = {key: value for key, value in STEP.items() if key not in ("tool", "arguments")}
    written = json.dumps({"name": "zoom", "arguments": {**own, "view": 0}})
    assert read_turn([Reply(form.replace("{}", written))]) == read_turn([Reply(WRITTEN)])


def test_a_call_without_words_observes() -> None:
    turn = read_turn([Reply("I look closer.", calls=(ToolCall("c", "zoom", '{"view": 0, "phase": "judge"}'),))])
    assert (turn.phase, turn.said, turn.calls) == ("observe", "I look closer.", True)


def test_a_verdict_in_place_of_a_step_is_readiness() -> None:
    turn = read_turn([Reply('{"reasoning": "whole", "anomalous": false}')])
    assert (turn.phase, turn.said, turn.calls) == ("judge", "whole", False)


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (Reply("I would zoom in."), "no JSON object of a step"),
        (Reply('{"phase": "dance"}'), "phase:"),
        (Reply('{"phase": "observe", "rules": 3}'), "rules:"),
        (Reply('{"phase": "obs', finish_reason="length"), "truncated"),
        (Reply(""), "empty"),
        (Reply("<think>hm"), "truncated"),
        (Reply("no", finish_reason="content_filter"), "refus"),
        (Reply("", calls=(ToolCall("c", "zoom", "{view"),)), "arguments of zoom are no JSON"),
    ],
)
def test_what_is_no_step_is_told(reply: Reply, told: str) -> None:
    with pytest.raises(ParseError, match=told):
        read_turn([reply])
