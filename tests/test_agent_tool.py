"""An inspection as a tool of an agent: its arguments, its JSON, and what is wrong with a call."""

import json
from pathlib import Path

import pytest
from langchain_core.messages import ToolMessage
from PIL import Image
from pydantic import ValidationError

from vlm_inspect.agent_tool import as_tool
from vlm_inspect.inspection import Inspection
from vlm_inspect.inspector import Inspector


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "parts"
    place.mkdir()
    Image.new("RGB", (96, 64), (90, 120, 90)).save(place / "part.png")
    (place / "plate.yaml").write_text("class_name: plate\nrules: [{id: even, text: Even.}]\n")
    return place


@pytest.fixture
def inspector() -> Inspector:
    return Inspector(localizer=None)


def test_agent_reads_what_to_give(inspector: Inspector) -> None:
    tool = as_tool(inspector)
    assert tool.name == "inspect_part"
    properties = tool.tool_call_schema.model_json_schema()["properties"]
    assert set(properties) == {"path", "question", "rules"}
    assert all("description" in part for part in properties.values())


def test_call_returns_the_inspection(inspector: Inspector, folder: Path) -> None:
    tool = as_tool(inspector, folder=folder)
    told = Inspection.model_validate_json(tool.invoke({"path": "part.png", "question": "Is it even?"}))
    assert told.outcome == "REVIEW", "nothing to compare with: never OK"
    with_rules = json.loads(tool.invoke({"path": "part.png", "rules": "plate.yaml"}))
    assert [rule["id"] for rule in with_rules["rules"]] == ["even"]
    assert told.rules == ()


def test_tool_call_of_a_chat_model(inspector: Inspector, folder: Path) -> None:
    call = {"name": "inspect_part", "args": {"path": str(folder / "part.png")}, "id": "1", "type": "tool_call"}
    message = as_tool(inspector).invoke(call)
    assert isinstance(message, ToolMessage)
    assert json.loads(str(message.content))["outcome"] == "REVIEW"


def test_rule_book_is_read_once_and_again_when_changed(
    inspector: Inspector, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import vlm_inspect.rules

    read, load = [], vlm_inspect.rules.load_rules
    monkeypatch.setattr(vlm_inspect.rules, "load_rules", lambda path: read.append(path) or load(path))
    tool = as_tool(inspector, folder=folder)
    for _ in range(2):
        tool.invoke({"path": "part.png", "rules": "plate.yaml"})
    assert len(read) == 1
    (folder / "plate.yaml").write_text("class_name: plate\nrules: [{id: flat, text: Flat.}]\n")
    again = json.loads(tool.invoke({"path": "part.png", "rules": "plate.yaml"}))
    assert [rule["id"] for rule in again["rules"]] == ["flat"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"path": "nowhere.png"}, "nowhere.png"),
        ({"path": "plate.yaml"}, "plate.yaml"),
        ({"path": "part.png", "rules": "none.yaml"}, "none.yaml"),
        ({"path": "../outside.png"}, "lies outside"),
        ({"path": "/etc/hostname"}, "lies outside"),
        ({"path": "part.png", "rules": "../../rules.yaml"}, "lies outside"),
    ],
)
def test_wrong_call_is_one_line(inspector: Inspector, folder: Path, arguments: dict[str, str], said: str) -> None:
    told = as_tool(inspector, folder=folder).invoke(arguments)
    assert told.startswith("error: ")
    assert said in told
    assert "\n" not in told


def test_link_out_of_the_folder_is_outside(inspector: Inspector, folder: Path) -> None:
    Image.new("RGB", (8, 8)).save(folder.parent / "secret.png")
    (folder / "link.png").symlink_to(folder.parent / "secret.png")
    assert "lies outside" in as_tool(inspector, folder=folder).invoke({"path": "link.png"})


@pytest.mark.parametrize("arguments", [{}, {"path": 3}, {"path": "part.png", "shell": "rm"}])
def test_wrong_arguments_are_refused(inspector: Inspector, arguments: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        as_tool(inspector).invoke(arguments)
