"""Boxes in the habit of a model's family: stated in the prompt, asked for in the schema, and read back."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.view import BoxXyxyn, Place, View
from vlm_inspect.backends.backend import Reply, Request
from vlm_inspect.backends.box_conventions import convention_of_habit, find_convention
from vlm_inspect.evidence import Evidence
from vlm_inspect.parsing import parse_verdict
from vlm_inspect.prompting import PromptLimits, build_request, load_template
from vlm_inspect.rules import RuleBook
from vlm_inspect.verdict import Verdict

BOOK = RuleBook(class_name="plate")
MODELS = ("gpt-4o", "Qwen/Qwen2.5-VL-7B-Instruct", "qwen3-vl:8b", "InternVL3-8B", "gemini-2.5-pro")


class Nowhere:
    def locate(self, box_xyxyn: BoxXyxyn) -> Place:
        return Place()


def request_for(model: str, size_hw: tuple[int, int] = (420, 700)) -> Request:
    view = View(np.zeros((*size_hw, 3), np.uint8), "image", "part", Nowhere())
    limits = PromptLimits(boxes=find_convention(model))
    return build_request(load_template("inspect"), [view], BOOK, [], Evidence(), None, limits=limits)


def read(request: Request, **defect: Any) -> Verdict:
    text = json.dumps({"reasoning": "x", "anomalous": True, "defects": [{"type": "dent", "view": 0, **defect}]})
    return parse_verdict(Reply(text), BOOK, request.views, boxes=request.boxes)


@pytest.mark.parametrize(
    ("model", "key", "box"),
    [
        ("gpt-4o", "box", [200, 100, 600, 500]),
        ("Qwen/Qwen2.5-VL-7B-Instruct", "bbox_2d", [140, 42, 420, 210]),
        ("qwen2.5vl:7b", "bbox_2d", [140, 42, 420, 210]),
        ("Qwen3-VL-8B", "bbox_2d", [200, 100, 600, 500]),
        ("OpenGVLab/InternVL3-8B", "bbox_2d", [200, 100, 600, 500]),
        ("gemini-2.5-pro", "box_2d", [100, 200, 500, 600]),
    ],
)
def test_a_family_is_asked_in_its_habit_and_read_in_it(model: str, key: str, box: list[int]) -> None:
    request = request_for(model)
    told = str(request.messages[0].content)
    assert f'"{key}": [' in told
    assert key in request.answer_schema["properties"]["defects"]["items"]["properties"]
    verdict = read(request, **{key: box})
    assert verdict.defects[0].box_xyxyn == pytest.approx((0.2, 0.1, 0.6, 0.5))
    assert not verdict.warnings


@given(st.tuples(*[st.integers(0, 440)] * 2), st.integers(60, 500), st.sampled_from(MODELS))
def test_what_is_written_is_read(corner: tuple[int, int], side: int, model: str) -> None:
    x, y = corner[0] / 1000, corner[1] / 1000
    box = (x, y, x + side / 1000, y + side / 1000)
    request = request_for(model)
    convention = request.boxes.convention
    found = read(request, **{convention.key: convention.write(box, (420, 700))}).defects[0].box_xyxyn
    assert found == pytest.approx(box, abs=2e-3)


def test_pixels_of_a_picture_that_the_model_resizes_count_in_its_own_size() -> None:
    request = request_for("qwen2.5-vl-72b", (100, 290))  # 28 x 4 = 112, 28 x 10 = 280
    assert read(request, bbox_2d=[0, 0, 140, 56]).defects[0].box_xyxyn == pytest.approx((0, 0, 0.5, 0.5))


def test_a_box_under_a_name_that_was_not_asked_for_is_noted_as_ambiguous() -> None:
    verdict = read(request_for("gpt-4o"), bbox_2d=[200, 160, 440, 320])
    assert verdict.defects[0].box_xyxyn == pytest.approx((0.2, 0.16, 0.44, 0.32))
    assert any("ambiguous" in warning for warning in verdict.warnings)


def test_fractions_and_outlines() -> None:
    request = request_for("gpt-4o")
    assert read(request, box_xyxyn=[0.1, 0.2, 0.3, 0.4]).defects[0].box_xyxyn == pytest.approx((0.1, 0.2, 0.3, 0.4))
    for outline in ([[100, 200], [300, 250], [200, 400]], [100, 200, 300, 250, 200, 400], [[[100, 200], [300, 400]]]):
        assert read(request, polygon=outline).defects[0].box_xyxyn == pytest.approx((0.1, 0.2, 0.3, 0.4))
    for broken in ([], [1], [[1]], [["a", "b"], [1, 2]], "x", {"a": 1}, [[[[[]]]]]):
        assert read(request, polygon=broken).defects[0].box_xyxyn is None


def test_a_box_that_cannot_be_pixels_is_read_as_per_mille_and_said() -> None:
    verdict = read(request_for("qwen2.5-vl"), bbox_2d=[200, 100, 900, 980])
    assert verdict.defects[0].box_xyxyn == pytest.approx((0.2, 0.1, 0.9, 0.98))
    assert any("per mille" in warning for warning in verdict.warnings)


def test_a_habit_that_was_found_out_beats_the_family() -> None:
    known = convention_of_habit("gpt-4o", "per_mille", rows_first=False)
    assert known == find_convention("gpt-4o")
    found = convention_of_habit("gpt-4o", "pixels", rows_first=True)
    assert (found.key, found.form) == ("box", "[y0, x0, y1, x1]")
    assert "y from the top edge before x" in found.words
