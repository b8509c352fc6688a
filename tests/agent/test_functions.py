"""The loop over a server's own calls of functions, and over its refusal of them."""

import json
from pathlib import Path
from typing import Any

from tests.agent.scripted import BOX, ask, call, hypothesis, turn, verdict, write_plate
from tests.backends.openai_server import Behaviour, answer

ZOOM = {"view": 0, "box": [100, 100, 400, 400]}
WORDS = {"phase": "observe", "said": "Let me look.", "rules": ["whole"]}


def native(folder: Path, *script: Behaviour, **more: Any) -> Any:
    return ask(write_plate(folder), *script, refuses=(), **more)


def test_calls_of_functions_are_steps(tmp_path: Path) -> None:
    looks = call("zoom", {**WORDS, **ZOOM, "hypotheses": [hypothesis()], "tests": ["h1"]})
    settled = turn("judge", hypotheses=[hypothesis(status="dropped", reason="a reflection")])
    found, requests = native(tmp_path, looks, settled, verdict())
    assert found["outcome"] == "OK"
    assert [step["tool"] for step in found["steps"]] == [None, "zoom", None]
    assert found["steps"][1]["arguments"] == ZOOM
    assert found["rules"][0]["reason"] == "seen [step 2]"
    assert found["hypotheses"][0]["steps"] == [2]
    first, second, last = (one.body for one in requests)
    zoom = next(one["function"] for one in first["tools"] if one["function"]["name"] == "zoom")
    assert {"phase", "said", "rules", "tests", "hypotheses", "view", "box"} <= zoom["parameters"]["properties"].keys()
    assert "response_format" not in first
    assert second["messages"][: len(first["messages"])] == first["messages"]
    made, result, pictures = second["messages"][len(first["messages"]) :]
    assert made["tool_calls"][0]["function"]["name"] == "zoom"
    assert (result["role"], result["tool_call_id"]) == ("tool", made["tool_calls"][0]["id"])
    assert pictures["content"][1]["type"] == "image_url"
    assert last["tools"] == first["tools"]
    assert last["tool_choice"] == "none"
    assert "response_format" in last


def test_of_several_calls_one_is_made(tmp_path: Path) -> None:
    found, requests = native(tmp_path, call("zoom", {**WORDS, **ZOOM}, times=3), turn("judge"), verdict())
    assert len(requests[1].body["messages"][len(requests[0].body["messages"])]["tool_calls"]) == 1
    assert found["outcome"] == "OK"


def test_a_function_that_fails_is_a_step_with_its_error(tmp_path: Path) -> None:
    wrong = call("zoom", {**WORDS, "view": 9, "box": [1, 2, 3, 4]})
    found, requests = native(tmp_path, wrong, call("zoom", {**WORDS, **ZOOM}), turn("judge"), verdict())
    tool = requests[1].body["messages"][-1]
    assert tool["role"] == "tool"
    assert tool["content"].startswith("error: there is no view 9")
    assert any("Step 2: zoom failed" in note for note in found["notes"])
    assert found["rules"][0]["reason"] == "seen [step 3]"


def test_plain_words_after_a_look_are_the_end_of_looking(tmp_path: Path) -> None:
    found, requests = native(tmp_path, call("zoom", {**WORDS, **ZOOM}), answer("All is well."), verdict())
    assert (found["outcome"], len(requests)) == ("OK", 3)


def test_an_unknown_function_and_no_arguments_are_told(tmp_path: Path) -> None:
    script = (call("erase", {}), call("zoom", {**WORDS, **ZOOM}), turn("judge"), verdict())
    found, requests = native(tmp_path, *script)
    assert "there is no tool erase" in requests[1].body["messages"][-1]["content"]
    assert found["outcome"] == "OK"


def test_a_server_that_refuses_functions_gets_json_turns(tmp_path: Path) -> None:
    found, requests = ask(write_plate(tmp_path), turn("observe", "zoom", BOX), turn("judge"), verdict())
    assert found["outcome"] == "OK"
    assert all("tools" not in one.body and one.structure == "json_schema" for one in requests)


def test_a_call_that_was_made_before_shows_no_picture_again(tmp_path: Path) -> None:
    again = call("zoom", {**WORDS, **ZOOM, "rules": []})
    found, requests = native(tmp_path, call("zoom", {**WORDS, **ZOOM}), again, turn("judge"), verdict())
    assert "this was shown in step 2" in requests[2].body["messages"][-1]["content"]
    pictures = [json.dumps(one.body["messages"]).count('"image_url": {') for one in requests]
    assert pictures[2] == pictures[1] == pictures[0] + 1
    assert found["outcome"] == "OK"


def test_pictures_of_tools_count_within_the_most(tmp_path: Path) -> None:
    boxes = [{"view": 0, "box": [0, 0, side, side]} for side in (200, 400, 600, 800)]
    calls = [call("zoom", {**WORDS, **box}) for box in boxes]
    found, requests = native(tmp_path, *calls[:3], verdict(), options=("--max-pictures", "3"))
    assert any("3 pictures" in reason for reason in found["review_reasons"])
    assert len(requests) == 4
    assert max(json.dumps(one.body["messages"]).count('"image_url": {') for one in requests) == 3


def test_a_case_of_calls_replays(tmp_path: Path) -> None:
    from vlm_inspect.replay import replay
    from vlm_inspect.store import CaseStore, Filters

    store = str(tmp_path / "cases")
    script = (call("zoom", {**WORDS, **ZOOM}), turn("judge"), verdict())
    native(tmp_path, *script, options=("--save", "--store", store))
    with CaseStore(store) as cases:
        case = cases.load(cases.list(Filters())[0].id)
        assert replay(case).differences == ()
        assert "[call: zoom" in case.looks[-1].prompt
        assert case.looks[0].replies[0].calls[0].name == "zoom"
