"""Thinking and calls written as text never reach the person; calls of tools on offer are made."""

import json

import pytest

from vlm_inspect.chat.written_calls import LEFT_OUT, NO_TOOL, UNFINISHED, ShownWords, read_written

OFFERED = {"zoom", "measure"}
CALL = {"name": "zoom", "arguments": {"view": 0}}


@pytest.mark.parametrize(
    ("raw", "text", "note"),
    [
        ("It is a dent.", "It is a dent.", None),
        ("<think>Is it?</think>It is a dent.", "It is a dent.", LEFT_OUT),
        ("Is it? Let me see.</think>It is a dent.", "It is a dent.", LEFT_OUT),
        ("[THINK]Is it?[/THINK]It is a dent.", "It is a dent.", None),
        ("<seed:think>Is it? It may be", "", UNFINISHED),
        ("It is 3 < 4 mm deep.", "It is 3 < 4 mm deep.", None),
        ("See `view 0` and {x}.", "See `view 0` and {x}.", None),
    ],
)
def test_thinking_is_left_out(raw: str, text: str, note: str | None) -> None:
    written = read_written(raw, OFFERED)
    assert written.text == text
    assert note is None or note in written.notes
    assert not written.calls


@pytest.mark.parametrize(
    "raw",
    [
        f"<tool_call>{json.dumps(CALL)}</tool_call>",
        f"Let me look.\n<tool_call>\n{json.dumps(CALL)}",
        f"[TOOL_CALLS]{json.dumps([CALL])}",
        f"<|python_tag|>{json.dumps({'name': 'zoom', 'parameters': {'view': 0}})}<|eom_id|>",
        json.dumps(CALL),
        json.dumps({"function": CALL}),
        f"Let me look.\n```json\n{json.dumps(CALL)}\n```",
        f"<think>I zoom.</think>{json.dumps(CALL)}",
    ],
)
def test_a_call_of_a_tool_on_offer_is_made(raw: str) -> None:
    written = read_written(raw, OFFERED)
    (call,) = written.calls
    assert (call.name, json.loads(call.arguments)) == ("zoom", {"view": 0})
    assert written.text in ("", "Let me look.")


def test_a_call_of_another_tool_is_left_out_and_said() -> None:
    written = read_written('Well. <tool_call>{"name": "rm", "arguments": {}}</tool_call>', OFFERED)
    assert (written.text, written.calls, written.notes) == ("Well.", (), (NO_TOOL,))


def test_json_that_is_no_call_is_an_answer() -> None:
    for raw in ('{"depth_mm": 0.3}', '```json\n{"depth_mm": 0.3}\n```', "[1, 2]", '{"name": "Anna"}'):
        assert read_written(raw, OFFERED).text == raw


@pytest.mark.parametrize("held", [True, False])
def test_pieces_give_the_whole_and_nothing_hidden(held: bool) -> None:
    for raw in ("It is a dent of 3 mm.", "It is. <think>or not</think>Yes.", "<think>a</think>b", "a < b and {c}"):
        heard: list[str] = []
        words = ShownWords(heard.append, OFFERED, held=held)
        for letter in raw:
            words.add(letter)
            assert not held or not heard
            assert "or not" not in "".join(heard)
        written = words.finish()
        assert "".join(heard).split() == written.text.split()
