"""A LangChain chat model as a backend: pictures, usage, probabilities, errors, and the factory that makes it."""

import json
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import Field

from converters.view import BoxXyxyn, Place, View
from vlm_inspect.asking import limits_for
from vlm_inspect.backends import load_backend
from vlm_inspect.backends.backend import Request
from vlm_inspect.backends.box_conventions import usual_convention
from vlm_inspect.backends.langchain_chat import LangChainModel
from vlm_inspect.backends.learned import BoxHabit
from vlm_inspect.backends.settings import Connection
from vlm_inspect.errors import BackendError, ToolsRefusedError
from vlm_inspect.evidence import Evidence
from vlm_inspect.inspector import Inspector
from vlm_inspect.parsing import parse_verdict
from vlm_inspect.prompting import PromptLimits, build_request, load_template
from vlm_inspect.rules import RuleBook

NUT = RuleBook(class_name="nut")
ANOMALOUS = json.dumps({"reasoning": "a dent", "anomalous": True})
MODULE = "langchain_models_of_the_test"


class Scripted(BaseChatModel):
    """Gives its answers in turn; an exception among them is raised. The last one stays."""

    answers: list[Any]
    asked: list[list[BaseMessage]] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **more: Any
    ) -> ChatResult:
        self.asked.append(messages)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        message = answer if isinstance(answer, AIMessage) else AIMessage(answer)
        return ChatResult(generations=[ChatGeneration(message=message)])


class StatusError(Exception):
    def __init__(self, message: str, status_code: int) -> None:
        super().__init__(message)
        self.status_code = status_code


class ReadTimeout(Exception):
    pass


class Nowhere:
    def locate(self, box_xyxyn: BoxXyxyn) -> Place:
        return Place()


@pytest.fixture(scope="module")
def request_() -> Request:
    view = View(np.full((40, 40, 3), 128, dtype=np.uint8), "image", "part", Nowhere())
    return build_request(load_template("inspect"), [view], NUT, [], Evidence(), "All right?")


@pytest.fixture
def module() -> Iterator[types.ModuleType]:
    sys.modules[MODULE] = types.ModuleType(MODULE)
    yield sys.modules[MODULE]
    del sys.modules[MODULE]


def backend(module: types.ModuleType, *answers: Any, **settings: Any) -> LangChainModel:
    module.make = lambda: Scripted(answers=list(answers), asked=[])  # type: ignore[attr-defined]  # as a user's file would
    return LangChainModel(f"{MODULE}:make", first_wait_s=0.001, **settings)


def test_pictures_arrive_as_standard_blocks(module: types.ModuleType, request_: Request) -> None:
    made = backend(module, ANOMALOUS)
    (reply,) = made.generate(request_)
    assert parse_verdict(reply, NUT, request_.views).anomalous
    ((system, human),) = made._model.asked  # type: ignore[attr-defined]  # the scripted model
    assert (system.type, human.type) == ("system", "human")
    pictures = [block for block in human.content if block["type"] == "image"]
    assert len(pictures) == 1
    assert pictures[0]["mime_type"] == "image/jpeg"
    assert pictures[0]["base64"].startswith("/9j/")
    assert [block["type"] for block in human.content_blocks if block["type"] == "image"] == ["image"]
    assert "picture_labels" not in human.additional_kwargs
    assert any(block["type"] == "image_url" for block in request_.messages[1].content), "the request is left alone"


def test_usage_reason_and_probabilities(module: types.ModuleType, request_: Request) -> None:
    top = [{"token": "true", "logprob": -0.2}, {"token": "false", "logprob": -1.7}]
    told = [{"token": '{"anomalous": ', "logprob": 0.0}, {"token": "true", "logprob": -0.2, "top_logprobs": top}]
    message = AIMessage(
        ANOMALOUS,
        usage_metadata={"input_tokens": 900, "output_tokens": 7, "total_tokens": 907},
        response_metadata={"finish_reason": "stop", "model_name": "m-1", "logprobs": {"content": told}},
    )
    (reply,) = backend(module, message).generate(request_)
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens, reply.usage.calls) == (900, 7, 1)
    assert (reply.finish_reason, reply.model) == ("stop", "m-1")
    verdict = parse_verdict(reply, NUT, request_.views)
    assert verdict.probability == pytest.approx(np.exp(-0.2) / (np.exp(-0.2) + np.exp(-1.7)), abs=1e-6)


@pytest.mark.parametrize(
    ("message", "reason", "text"),
    [
        (AIMessage("{", response_metadata={"stop_reason": "max_tokens"}), "length", "{"),
        (AIMessage("{", response_metadata={"done_reason": "length"}), "length", "{"),
        (AIMessage("", response_metadata={"finish_reason": "SAFETY"}), "content_filter", ""),
        (AIMessage("", additional_kwargs={"refusal": "I cannot."}), "refusal", "I cannot."),
        (AIMessage([{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "a"}]), "stop", "a"),
        (AIMessage("a", response_metadata={"logprobs": {"content": [{"token": "a"}]}}), "stop", "a"),
        (AIMessage("a", response_metadata={"logprobs": [1, 2]}), "stop", "a"),
    ],
)
def test_odd_answers_arrive_as_they_are(
    module: types.ModuleType, request_: Request, message: AIMessage, reason: str, text: str
) -> None:
    (reply,) = backend(module, message).generate(request_)
    assert (reply.finish_reason, reply.text, reply.tokens) == (reason, text, ())


@pytest.mark.parametrize("error", [StatusError("slow down", 429), StatusError("boom", 503), ReadTimeout("late")])
def test_passing_failures_are_tried_again(module: types.ModuleType, request_: Request, error: Exception) -> None:
    made = backend(module, error, error, ANOMALOUS)
    assert made.generate(request_)[0].text == ANOMALOUS
    assert len(made._model.asked) == 3  # type: ignore[attr-defined]  # the scripted model


@pytest.mark.parametrize(
    ("error", "calls", "said"),
    [
        (StatusError("bad\nkey", 401), 1, "StatusError: bad key; check the key"),
        (StatusError("none", 404), 1, "check the model's name"),
        (StatusError("slow", 429), 3, "after 3 attempts: slow; wait"),
        (ReadTimeout("late"), 3, "ReadTimeout after 3 attempts"),
        (ValueError("no pictures"), 1, "ValueError: no pictures"),
    ],
)
def test_failures_are_one_line(
    module: types.ModuleType, request_: Request, error: Exception, calls: int, said: str
) -> None:
    made = backend(module, error, max_retries=2)
    with pytest.raises(BackendError, match=said) as caught:
        made.generate(request_)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"langchain:{MODULE}:make: ")
    assert len(made._model.asked) == calls  # type: ignore[attr-defined]  # the scripted model


def test_samples_are_calls(module: types.ModuleType, request_: Request) -> None:
    normal = json.dumps({"reasoning": "even", "anomalous": False})
    replies = backend(module, ANOMALOUS, normal, ANOMALOUS, normal).generate(request_, samples=4)
    assert parse_verdict(replies, NUT, request_.views).probability == pytest.approx(0.5)


def test_model_itself_and_nested_names_serve(module: types.ModuleType) -> None:
    module.ready = types.SimpleNamespace(model=Scripted(answers=["a"]))  # type: ignore[attr-defined]  # a user's file
    assert load_backend(f"langchain:{MODULE}:ready.model").name == f"langchain:{MODULE}:ready.model"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("langchain:", "write langchain:MODULE:FACTORY"),
        (f"langchain:{MODULE}", "write langchain:MODULE:FACTORY"),
        ("langchain:nowhere_at_all:make", "no module 'nowhere_at_all'"),
        (f"langchain:{MODULE}:missing", "has no attribute 'missing'"),
        (f"langchain:{MODULE}:text", "makes a str, not a LangChain BaseChatModel"),
        (f"langchain:{MODULE}:broken", "the factory failed: RuntimeError: no key"),
    ],
)
def test_wrong_factory_is_one_line(module: types.ModuleType, name: str, said: str) -> None:
    def broken() -> None:
        raise RuntimeError("no key")

    module.text, module.broken = str, broken  # type: ignore[attr-defined]  # as a user's file would
    with pytest.raises(BackendError, match=said) as caught:
        load_backend(name)
    assert "\n" not in str(caught.value)


def test_a_limit_that_it_cannot_pass_on_is_refused(module: types.ModuleType) -> None:
    with pytest.raises(BackendError, match="takes no --max-tokens; set the limit in the factory"):
        load_backend(f"langchain:{MODULE}:make", connection=Connection(max_tokens=200))


def test_inspector_takes_it(module: types.ModuleType, tmp_path: Any) -> None:
    from PIL import Image

    Image.new("RGB", (64, 64), (90, 90, 90)).save(tmp_path / "part.png")
    inspector = Inspector(rules=NUT, backend=backend(module, ANOMALOUS), localizer=None)
    inspection = inspector.inspect(tmp_path / "part.png")
    assert inspection.model == f"langchain:{MODULE}:make"
    assert inspection.outcome in {"NG", "REVIEW"}
    assert inspection.reasoning.startswith("a dent")


class Structured(Scripted):
    """Takes tools, and keeps which were on offer."""

    offered: list[Any] = Field(default_factory=list)

    def bind_tools(self, tools: Any, **more: Any) -> Any:
        self.offered.append((list(tools), more))
        return self


def calling(name: str, **arguments: Any) -> AIMessage:
    call = {"name": name, "args": arguments, "id": "1", "type": "tool_call"}
    return AIMessage("", tool_calls=[call], response_metadata={"finish_reason": "tool_calls"})


def structured(module: types.ModuleType, *answers: Any) -> LangChainModel:
    module.make = lambda: Structured(answers=list(answers), asked=[], offered=[])  # type: ignore[attr-defined]
    return LangChainModel(f"{MODULE}:make", first_wait_s=0.001, max_retries=0)


def test_the_form_of_the_answer_is_asked_for_and_its_call_is_the_answer(
    module: types.ModuleType, request_: Request
) -> None:
    made = structured(module, calling("inspection", reasoning="a dent", anomalous=True))
    (reply,) = made.generate(request_)
    assert (json.loads(reply.text), reply.finish_reason) == ({"reasoning": "a dent", "anomalous": True}, "stop")
    ((tools, _),) = made._model.offered  # type: ignore[attr-defined]
    assert "anomalous" in json.dumps(tools[0])
    assert parse_verdict(reply, NUT, request_.views).anomalous


def test_a_form_that_is_refused_is_left_out(module: types.ModuleType, request_: Request) -> None:
    made = structured(module, StatusError("no structured output", 400), ANOMALOUS)
    assert made.generate(request_)[0].text == ANOMALOUS
    made.generate(request_)
    assert len(made._model.offered) == 1  # type: ignore[attr-defined]


def test_detail_goes_along(module: types.ModuleType, request_: Request) -> None:
    made = backend(module, ANOMALOUS)
    made.generate(request_)
    ((_, human),) = made._model.asked  # type: ignore[attr-defined]
    assert [b["extras"] for b in human.content if b["type"] == "image"] == [{"detail": "high"}]


def test_a_finish_reason_that_is_not_known_is_no_end(module: types.ModuleType, request_: Request) -> None:
    message = AIMessage(ANOMALOUS, response_metadata={"finish_reason": "insufficient_system_resource"})
    assert backend(module, message).generate(request_)[0].finish_reason == "insufficient_system_resource"
    ended = AIMessage(ANOMALOUS, response_metadata={"stop_reason": "end_turn"})
    assert backend(module, ended).generate(request_)[0].finish_reason == "stop"


def test_it_talks_with_tools(module: types.ModuleType) -> None:
    made = structured(module, calling("zoom", view=0))
    tool = {"type": "function", "function": {"name": "zoom", "description": "", "parameters": {"type": "object"}}}
    turn = made.converse([{"role": "user", "content": "Look."}], [tool], lambda text: None)
    assert [(call.name, json.loads(call.arguments)) for call in turn.calls] == [("zoom", {"view": 0})]
    assert made.offer_tool("Look.", tool["function"]) == {"view": 0}  # type: ignore[arg-type]
    plain = backend(module, "It is a dent.")
    with pytest.raises(ToolsRefusedError):
        plain.converse([{"role": "user", "content": "Look."}], [tool], lambda text: None)
    heard: list[str] = []
    assert plain.converse([{"role": "user", "content": "Look."}], (), heard.append).text == "".join(heard)
    assert not plain.takes_tools


def test_boxes_are_asked_for_as_the_model_that_the_factory_makes_writes_them(
    module: types.ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VLM_INSPECT_CACHE", str(tmp_path))

    class Named(Scripted):
        model_name: str = "Qwen2.5-VL-7B-Instruct"

    module.make = lambda: Named(answers=[], asked=[])  # type: ignore[attr-defined]
    made = LangChainModel(f"{MODULE}:make")
    assert made.boxes.unit == "pixels", "by its family"
    made.keep_boxes(BoxHabit(unit="per_mille", rows_first=True))
    assert (made.boxes.unit, made.boxes.rows_first) == ("per_mille", True), "as it was found to"
    assert LangChainModel(f"{MODULE}:make").boxes == made.boxes, "it is kept"
    assert limits_for(made, PromptLimits(), load_template("inspect")).boxes == made.boxes
    module.make = lambda: Scripted(answers=[], asked=[])  # type: ignore[attr-defined]
    assert LangChainModel(f"{MODULE}:make").boxes == usual_convention(), "another model, other habits"
