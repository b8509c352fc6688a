"""Streams of an OpenAI-compatible server: words, calls, and all that goes wrong between them."""

from typing import Any

import pytest

from tests.backends.openai_server import OpenAIServer, answer, cut, raw, status
from tests.chat.scripted_model import calls, says, slow, stream
from vlm_inspect.backends.model_turn import ModelTurn
from vlm_inspect.backends.server_conversation import ServerConversation
from vlm_inspect.backends.settings import Connection
from vlm_inspect.errors import BackendError, ToolsRefusedError

TOOL = {"type": "function", "function": {"name": "zoom", "parameters": {"type": "object", "properties": {}}}}
ASKED = [{"role": "user", "content": "hello"}]


def converse(server: OpenAIServer, tools: Any = (TOOL,), **options: Any) -> tuple[ModelTurn, list[str]]:
    conversation = ServerConversation("tiny", Connection(server.base_url, **options), first_wait_s=0.01)
    heard: list[str] = []
    return conversation.converse(ASKED, tools, heard.append), heard


def test_words_are_heard_as_they_come() -> None:
    with OpenAIServer([says("It is a dent.")]) as server:
        turn, heard = converse(server)
        sent = server.requests[0].body
    assert turn.text == "It is a dent."
    assert heard == ["It ", "is ", "a ", "dent."]
    assert sent["stream"] is True
    assert sent["tools"] == [TOOL]


def test_calls_come_together_from_their_pieces() -> None:
    with OpenAIServer(
        [calls(("zoom", {"view": 1, "box": [1, 2, 3, 4]}), ("heatmap", "{no json"), text="Look: ")]
    ) as server:
        turn, _ = converse(server)
    assert [(call.name, call.arguments) for call in turn.calls] == [
        ("zoom", '{"view": 1, "box": [1, 2, 3, 4]}'),
        ("heatmap", "{no json"),
    ]
    assert turn.text == "Look: "


@pytest.mark.parametrize("option", ["stream_options", "max_tokens", "stream"])
def test_a_refused_option_is_left_out(option: str) -> None:
    behaviour = answer("whole") if option == "stream" else says("streamed")
    with OpenAIServer([behaviour], refuses=[option]) as server:
        turn, _ = converse(server)
        assert option not in server.requests[-1].body
    assert turn.text in {"whole", "streamed"}


def test_a_server_that_answers_whole_is_heard_all_the_same() -> None:
    with OpenAIServer([answer("whole")]) as server:
        turn, heard = converse(server)
    assert (turn.text, heard) == ("whole", ["whole"])


def test_refused_tools_are_told_apart() -> None:
    with OpenAIServer([says("x")], refuses=["tools"]) as server, pytest.raises(ToolsRefusedError):
        converse(server)


def test_a_stream_that_breaks_off_keeps_its_words() -> None:
    with OpenAIServer([stream([{"content": "It is "}, {"content": "a"}], cut=True)]) as server:
        turn, _ = converse(server)
    assert turn.text == "It is a"
    assert turn.cut


def test_one_that_breaks_off_before_the_first_word_is_asked_again() -> None:
    with OpenAIServer([stream([], cut=True), cut(), status(429, retry_after="0"), says("here")]) as server:
        turn, _ = converse(server)
        assert len(server.requests) == 4
    assert turn.text == "here"


def test_a_slow_first_byte_is_waited_for_and_then_asked_again() -> None:
    with OpenAIServer([slow(0.3, says("late"))]) as server:
        assert converse(server)[0].text == "late"
    with OpenAIServer([slow(5.0, says("never")), says("second")]) as server:
        assert converse(server, timeout_s=0.3)[0].text == "second"


@pytest.mark.parametrize(
    ("behaviour", "hint"),
    [(status(401), "OPENAI_API_KEY"), (status(404), "tiny"), (raw({"nothing": 1}), "protocol"), (status(503), "503")],
)
def test_what_cannot_be_mended_is_one_line(behaviour: Any, hint: str) -> None:
    with OpenAIServer([behaviour]) as server, pytest.raises(BackendError, match=rf"^[^\n]*{hint}[^\n]*$"):
        converse(server, max_retries=1)


def test_a_wait_that_is_too_long_is_not_waited() -> None:
    with OpenAIServer([status(429, retry_after="3600")]) as server:
        with pytest.raises(BackendError, match="429"):
            converse(server)
        assert len(server.requests) == 1
