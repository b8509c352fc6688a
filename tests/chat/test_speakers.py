"""A model that calls tools, over a real loopback server; its mistakes end in one line and the dialogue goes on."""

import json
from typing import Any, ClassVar

import pytest

from tests.backends.openai_server import Behaviour, OpenAIServer, status
from tests.chat.conftest import Desk, Heard
from tests.chat.scripted_model import calls, says, stream
from vlm_inspect.backends import load_backend
from vlm_inspect.chat.answer import Answer
from vlm_inspect.chat.dialogue import Dialogue
from vlm_inspect.errors import BackendError, StoreError

BOX = [520, 300, 600, 380]
ZOOM = ("zoom", {"view": 0, "box": BOX})
CITED = "A dark spot. [view 0: 520, 300, 600, 380]"


def ask(
    desk: Desk, heard: Heard, *script: Behaviour, refuses: Any = (), question: str = "what is it?"
) -> tuple[Answer, list[Any]]:
    with OpenAIServer(script, refuses=refuses) as server:
        backend = load_backend("openai:tiny", base_url=server.base_url, timeout_s=20, max_retries=0)
        dialogue = Dialogue(desk.case(), desk.store, backend=backend, rules_path=desk.rules_path, timeout_s=20)
        return dialogue.ask(question, heard), [request.body for request in server.requests]


def test_a_model_looks_and_answers_and_all_is_recorded(desk: Desk, heard: Heard) -> None:
    answered, bodies = ask(desk, heard, calls(ZOOM, ("rule_text", {"rule": "no-spot"})), says(CITED))
    assert answered.text == CITED
    assert answered.notes == []
    assert "".join(heard.texts) == CITED
    first, second = bodies
    assert [m["role"] for m in first["messages"]] == ["system", "user", "assistant", "user"]
    assert {tool["function"]["name"] for tool in first["tools"]} >= {"zoom", "measure_rule", "propose_change"}
    assert [m["role"] for m in second["messages"][-4:]] == ["assistant", "tool", "tool", "user"]
    assert second["messages"][-1]["content"][1]["image_url"]["url"].startswith("data:image/png;base64,")
    user, assistant = desk.store.turns(desk.case().id)
    assert (user.role, user.text) == ("user", "what is it?")
    assert assistant.text == CITED
    assert [call["name"] for call in assistant.tool_calls] == ["zoom", "rule_text"]
    assert "The plate carries no spot." in assistant.tool_calls[1]["result"]
    assert desk.store.picture(assistant.pictures[0]).ndim == 3


@pytest.mark.parametrize(
    ("call", "hint"),
    [
        (("zoom", {"view": 0, "box": [0, 0, 2000, 10]}), "does not lie on view 0"),
        (("zoom", {"view": 7, "box": BOX}), "no view 7"),
        (("paint", {}), "no tool 'paint'"),
        (("zoom", "view zero"), "no JSON"),
        (("zoom", "[1, 2]"), "no JSON object"),
        (("zoom", {"view": 0}), "box"),
        (("zoom", {"view": 0, "box": BOX, "colour": 1}), "colour"),
        (("measure_rule", {"rule": "no-spot"}), "has no check"),
        (("propose_change", {"kind": "rule", "reason": "x", "rule_id": "a b", "text": "t"}), "cannot be made"),
        (("propose_change", {"kind": "ignore", "reason": "x"}), "view and box"),
    ],
)
def test_a_wrong_call_gets_one_line_and_the_model_goes_on(
    desk: Desk, heard: Heard, call: tuple[str, Any], hint: str
) -> None:
    answered, bodies = ask(desk, heard, calls(call), says("I see."))
    assert answered.text == "I see."
    told = answered.calls[0]["result"]
    assert told.startswith("error: ")
    assert hint in told
    assert "\n" not in told
    assert json.loads(bodies[1]["messages"][-2]["tool_calls"][0]["function"]["arguments"]) is not None


def test_a_loop_of_calls_ends(desk: Desk, heard: Heard) -> None:
    answered, bodies = ask(desk, heard, calls(ZOOM))
    assert len(bodies) == 9
    assert answered.calls[0]["failed"] is False
    assert all("already made" in call["result"] for call in answered.calls[1:8])
    assert bodies[-1]["tool_choice"] == "none"
    assert "no answer" in answered.notes[-1]


def test_no_more_than_eight_calls_run(desk: Desk, heard: Heard) -> None:
    many = [("zoom", {"view": 0, "box": [i, 0, 50 + i, 50]}) for i in range(12)]
    answered, _ = ask(desk, heard, calls(*many), says("done"))
    assert [call["failed"] for call in answered.calls] == [False] * 8 + [True] * 4
    assert answered.text == "done"


def test_a_citation_that_does_not_exist_is_noted_in_one_line(desk: Desk, heard: Heard) -> None:
    answered, _ = ask(desk, heard, says("See [view 9: 1, 2, 3, 4]."))
    assert len(answered.notes) == 1
    assert answered.notes[0].startswith("[view 9: 1, 2, 3, 4] names a view that does not exist")


def test_a_picture_of_its_own_is_left_out(desk: Desk, heard: Heard) -> None:
    answered, _ = ask(desk, heard, says("Here: ![x](data:image/png;base64,iVBORw0KGgo=) you see\x1b[2J."))
    assert answered.text == "Here: (a picture of the model's own) you see[2J."
    assert "picture of its own" in answered.notes[0]
    assert "base64" not in "".join(heard.texts)


@pytest.mark.parametrize(
    ("behaviour", "hint"),
    [
        (stream([{"content": "It "}, {"content": "is"}], cut=True), "broke off"),
        (says("It is", finish_reason="length"), "cut short"),
        (says(""), "no answer"),
        (stream([{"refusal": "I can't help."}]), ""),
    ],
)
def test_half_an_answer_says_so(desk: Desk, heard: Heard, behaviour: Behaviour, hint: str) -> None:
    answered, _ = ask(desk, heard, behaviour)
    assert (answered.notes[-1] if answered.notes else "").find(hint) >= 0
    assert desk.store.turns(desk.case().id)[-1].text == answered.text


def test_a_server_that_is_gone_is_an_error_and_the_question_is_kept(desk: Desk, heard: Heard) -> None:
    with pytest.raises(BackendError):
        ask(desk, heard, status(401))
    assert [turn.role for turn in desk.store.turns(desk.case().id)] == ["user"]
    answered, bodies = ask(desk, heard, says("now"), question="again?")
    assert answered.text == "now"
    assert [m["content"] for m in bodies[0]["messages"] if m["role"] == "user"][1:] == ["again?"]


def test_earlier_turns_are_told_again_with_their_calls(desk: Desk, heard: Heard) -> None:
    ask(desk, heard, calls(ZOOM), says("A spot."), question="what?")
    _, bodies = ask(desk, heard, says("Yes."), question="sure?")
    told = bodies[0]["messages"][3:]
    assert [m["role"] for m in told] == ["user", "assistant", "tool", "assistant", "user"]
    assert told[1]["tool_calls"][0]["function"]["name"] == "zoom"
    assert told[3]["content"] == "A spot."


def test_without_tools_the_fixed_plan_looks_closer(desk: Desk, heard: Heard) -> None:
    answered, bodies = ask(desk, heard, says("first look"), says(CITED), refuses=["tools"])
    assert answered.text == CITED
    assert "fixed plan" in answered.notes[0]
    assert [call["name"] for call in answered.calls] == ["zoom", "compare_with_references"]
    assert "first look" not in "".join(heard.texts)
    pictures = [block for block in bodies[-1]["messages"][-1]["content"] if block["type"] == "image_url"]
    assert len(pictures) == 2
    assert "tools" not in bodies[-1]


def test_any_backend_talks_on_the_fixed_plan(desk: Desk, heard: Heard) -> None:
    from vlm_inspect.backends.backend import Reply, Request

    class Whole:
        name = "langchain:mine:make"
        asked: ClassVar[list[Request]] = []

        def generate(self, request: Request, *, samples: int = 1) -> list[Reply]:
            self.asked.append(request)
            return [Reply(json.dumps({"answer": f"answer {len(self.asked)}"}))]

    dialogue = Dialogue(desk.case(), desk.store, backend=Whole())
    assert dialogue.ask("what?", heard).text == "answer 2"
    assert Whole.asked[1].messages[0].type == "system"


def test_a_model_that_proposes_changes_nothing(desk: Desk, heard: Heard) -> None:
    before = desk.rules_path.read_bytes()
    proposed = ("propose_change", {"kind": "ignore", "reason": "a reflection", "view": 0, "box": [360, 150, 740, 530]})
    with OpenAIServer([calls(proposed), says("I proposed it.")]) as server:
        backend = load_backend("openai:tiny", base_url=server.base_url)
        dialogue = Dialogue(desk.case(), desk.store, backend=backend, rules_path=desk.rules_path)
        dialogue.ask("that reflection is fine", heard)
    (proposal,) = dialogue.take_proposals()
    assert desk.rules_path.read_bytes() == before
    assert proposal.reason == "a reflection"
    assert [(flip.before, flip.now) for flip in dialogue.flips(proposal).flips] == [("NG", "OK")]


def test_a_case_whose_files_are_gone_is_one_line_and_the_record_still_talks(desk: Desk, heard: Heard) -> None:
    case = desk.case()
    for kept in desk.store.files.folder.rglob("*.*"):
        if kept.is_file():
            kept.unlink()
    with OpenAIServer([says("x")]) as server:
        backend = load_backend("openai:tiny", base_url=server.base_url)
        with pytest.raises(StoreError, match=r"^[^\n]+ is gone[^\n]+$"):
            Dialogue(case, desk.store, backend=backend).ask("what?", heard)
        assert server.requests == []
    with pytest.raises(StoreError, match=r"^[^\n]+ is gone[^\n]+$"):
        Dialogue(case, desk.store).ask("where is it?", heard)
    assert len(desk.store.turns(case.id)) == 2
