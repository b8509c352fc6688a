"""The first answer of a dialogue: shown as it comes where the model is known to think apart, held back where not."""

from pathlib import Path

import pytest

from tests.backends.openai_server import Behaviour, OpenAIServer
from tests.chat.conftest import Desk, Heard
from tests.chat.scripted_model import calls, says, stream
from vlm_inspect.backends import load_backend
from vlm_inspect.chat.dialogue import Dialogue

ANSWER = "It is a dark spot."
THINKS = "First I look. </think> It is a dark spot."
"""Of a model whose mark of beginning is part of the prompt, so that nothing tells at first that it thinks."""
APART: Behaviour = stream([{"reasoning_content": "First I "}, {"reasoning_content": "look."}]
                          + [{"content": word} for word in ("It ", "is ", "a ", "dark ", "spot.")])  # fmt: skip


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VLM_INSPECT_CACHE", str(tmp_path / "cache"))


def first_answer(desk: Desk, server: OpenAIServer) -> list[str]:
    """Return the pieces in which the first answer of a new dialogue is shown: of what was held back, all but a word."""
    heard = Heard()
    backend = load_backend("openai:tiny", base_url=server.base_url, timeout_s=20, max_retries=0)
    answer = Dialogue(desk.case(), desk.store, backend=backend, timeout_s=20).ask("what is it?", heard)
    assert answer.text == ANSWER
    assert "".join(heard.texts) == ANSWER, "no word of its thinking is shown"
    return heard.texts


def test_the_first_answer_streams_where_the_server_hands_thinking_over_apart(desk: Desk) -> None:
    with OpenAIServer([APART]) as server:
        assert len(first_answer(desk, server)) > 3


def test_it_is_held_back_once_and_streams_in_every_dialogue_after(desk: Desk) -> None:
    with OpenAIServer([says(ANSWER)]) as server:
        assert len(first_answer(desk, server)) <= 2, "nothing is known of this model"
        assert len(first_answer(desk, server)) > 3, "now it is"


def test_a_model_that_thinks_without_a_beginning_is_held_back_every_time(desk: Desk) -> None:
    with OpenAIServer([says(THINKS)]) as server:
        for _ in range(2):
            assert len(first_answer(desk, server)) <= 2


def test_the_answer_after_a_call_streams_too(desk: Desk) -> None:
    with OpenAIServer([calls(("rule_text", {"rule": "no-spot"})), APART]) as server:
        assert len(first_answer(desk, server)) > 3
