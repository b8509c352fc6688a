"""The loop over a LangChain model: its functions where it takes them, turns of JSON where it does not."""

import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from tests.agent.scripted import write_plate
from tests.backends.test_langchain_chat import Scripted, StatusError, Structured, calling
from vlm_inspect.agent import AgentSettings
from vlm_inspect.backends import load_backend
from vlm_inspect.examination import Examination
from vlm_inspect.inspector import Inspector
from vlm_inspect.rules import load_rules

MODULE = "langchain_agents_of_the_test"
ZOOM = {"view": 0, "box": [100, 100, 400, 400]}
WORDS = {"phase": "observe", "said": "Look.", "rules": ["whole"]}
NORMAL = {"reasoning": "whole", "anomalous": False, "probability": 0.02,
          "rules": [{"id": "whole", "status": "pass", "reason": "seen"}]}  # fmt: skip
AS_JSON = [json.dumps({**WORDS, "tool": "zoom", "arguments": json.dumps(ZOOM)}),
           json.dumps({**WORDS, "phase": "judge"}), json.dumps(NORMAL)]  # fmt: skip


def examine(folder: Path, monkeypatch: pytest.MonkeyPatch, model: Any) -> Examination:
    module = types.ModuleType(MODULE)
    module.make = lambda: model  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, MODULE, module)
    photo = write_plate(folder)
    return Inspector(
        rules=load_rules(folder / "plate.yaml"),
        backend=load_backend(f"langchain:{MODULE}:make", max_retries=0),
        localizer=None,
        agent=AgentSettings(enabled=True),
    ).examine(photo)


class Bound(Structured):
    """What it gives with functions is another runnable, as integrations do."""

    def bind_tools(self, tools: Any, **more: Any) -> Any:
        return self.bind()


def kinds(messages: list[BaseMessage]) -> list[str]:
    return [message.type for message in messages]


def test_its_functions_are_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [calling("zoom", **WORDS, **ZOOM), AIMessage("All is well."), calling("inspection", **NORMAL)]
    model = Structured(answers=answers, asked=[], offered=[])
    found = examine(tmp_path, monkeypatch, model)
    assert found.inspection.outcome == "OK"
    assert found.inspection.rules[0].reason == "seen [step 2]"
    assert "zoom" in json.dumps(model.offered[0][0])
    assert isinstance(model.asked[1][-2], ToolMessage)
    assert model.asked[1][-1].content[1]["type"] == "image"  # type: ignore[index]


@pytest.mark.parametrize("refuses", [True, False])
def test_a_model_without_functions_works_in_json(
    refuses: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Scripted = Scripted(answers=[*AS_JSON], asked=[])
    if refuses:  # it can be given functions, and its server refuses them, then the form
        answers = [StatusError("no tools here", 400), StatusError("no form", 400), *AS_JSON]
        model = Bound(answers=answers, asked=[], offered=[])
    found = examine(tmp_path, monkeypatch, model)
    assert found.inspection.outcome == "OK"
    assert kinds(model.asked[-1])[-4:] == ["ai", "human", "ai", "human"]
