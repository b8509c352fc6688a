"""Every tool over a real case of each kind of input; every wrong call is one line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tools.kept_parts import BOX_MM, clip, curve, keep, photograph, scan
from vlm_inspect.rules import parse_rules
from vlm_inspect.store import CaseStore
from vlm_inspect.tools.result import ToolResult
from vlm_inspect.tools.toolbox import TOOLS, Toolbox, describe_tools

RULES = parse_rules(
    "class_name: plate\n"
    "rules:\n"
    "  - {id: clean, text: It is clean., severity: critical}\n"
    "  - {id: bright, text: It is bright., check: {measure: brightness, min: 10, max: 250}}\n"
    "  - {id: long, text: It is long., check: {measure: length, min: 39.5, max: 40.5}}\n"
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CaseStore]:
    with CaseStore(tmp_path / "cases.db") as opened:
        yield opened


def call(toolbox: Toolbox, name: str, **arguments: Any) -> ToolResult:
    result = toolbox.call(name, json.dumps(arguments))
    assert not result.failed, result.text
    return result


def test_zoom_gives_the_pixels_of_the_photograph(store: CaseStore, tmp_path: Path) -> None:
    toolbox = keep(store, photograph(tmp_path / "photo.png"))
    result = call(toolbox, "zoom", view=0, box=[400, 300, 800, 900])
    (picture,) = result.pictures
    assert "pixels 510, 180 to 1290, 900 of 1500 x 900" in result.text  # the box and 15 % of its longer side around it
    assert picture.shape == (709, 768, 3)
    small = call(toolbox, "zoom", view=0, box=[0, 0, 20, 20]).pictures[0]
    assert small.shape[1] == 6 * 35  # 30 pixels and 5 around, six times as large
    assert abs(int(small[3, 3, 0])) <= 1


def test_zoom_falls_back_on_the_view_and_says_so(store: CaseStore, tmp_path: Path) -> None:
    path = photograph(tmp_path / "photo.png", (300, 200))
    gone, kept = keep(store, path), keep(store, path, keep_input=True)
    path.unlink()
    assert "is gone or has changed" in call(gone, "zoom", view=0, box=[0, 0, 500, 500]).text
    assert "pixels 0, 0 to" in call(kept, "zoom", view=0, box=[0, 0, 500, 500]).text


def test_a_place_beside_the_references(store: CaseStore, tmp_path: Path) -> None:
    references = [photograph(tmp_path / f"{i}.png", (300 + i, 200)) for i in range(3)]
    toolbox = keep(store, photograph(tmp_path / "part.png", (320, 200)), RULES, *references)
    result = call(toolbox, "compare_with_references", view=0, box=[100, 100, 300, 300], references=3)
    assert "reference 1, 2, 3" in result.text
    assert result.pictures[0].shape[1] > 3 * 384
    alone = keep(store, photograph(tmp_path / "alone.png", (320, 200)))
    assert (
        "no reference picture compares"
        in alone.call("compare_with_references", '{"view": 0, "box": [0, 0, 9, 9]}').text
    )


def test_a_scan_from_elsewhere_nearer_and_measured(store: CaseStore, tmp_path: Path) -> None:
    path = scan(tmp_path / "box.xyz")
    toolbox = keep(store, path, RULES)
    front, side = (call(toolbox, "look_from", yaw_deg=yaw).pictures[0] for yaw in (0, 90))
    assert _wide(front) / _wide(side) == pytest.approx(BOX_MM[0] / BOX_MM[2], rel=0.1)
    assert _wide(call(toolbox, "look_from", yaw_deg=0, pitch_deg=90).pictures[0]) == pytest.approx(
        _wide(front), rel=0.05
    )
    assert "lie no closer" in call(toolbox, "zoom", view=0, box=[400, 400, 600, 600]).text
    across = call(toolbox, "measure_distance", view=0, from_point=[60, 500], to_point=[940, 500])
    assert float(across.text.split("]: ")[1].split(" ")[0]) == pytest.approx(BOX_MM[0], rel=0.1)
    assert "length" in call(toolbox, "measure_rule", rule="long").text
    assert (
        "40 mm" in call(toolbox, "rule_text", rule="long").text
        or "pass" in call(toolbox, "rule_text", rule="long").text
    )
    path.unlink()
    assert "The file is gone" in call(toolbox_again(toolbox), "look_from", yaw_deg=30).text


def test_a_dense_scan_is_drawn_anew_in_a_box(store: CaseStore, tmp_path: Path) -> None:
    toolbox = keep(store, scan(tmp_path / "box.xyz", patch=20_000), RULES)
    near = call(toolbox, "zoom", view=0, box=[480, 480, 520, 520])
    assert "drawn anew from" in near.text
    assert (near.pictures[0] < 250).any(axis=2).mean() > 0.7


def toolbox_again(toolbox: Toolbox) -> Toolbox:
    """The same tools, which have read nothing yet."""
    from vlm_inspect.tools.material import Material

    known = toolbox._material
    return Toolbox(Material(known.store.load(known.case.id), known.store, known.rules))


def _wide(picture: np.ndarray) -> int:  # type: ignore[type-arg]  # of whatever type a picture has
    columns = np.flatnonzero((picture < 250).any(axis=(0, 2)))
    return int(columns[-1] - columns[0])


def test_a_moment_of_a_clip(store: CaseStore, tmp_path: Path) -> None:
    toolbox = keep(store, clip(tmp_path / "clip"))
    result = call(toolbox, "show_moment", time_s=12, frames=5, step=2)
    assert "frames 8 to 16" in result.text
    whole = call(toolbox, "show_moment", time_s=29, frames=1)
    assert "frame 29 of 30" in whole.text
    assert int(np.bincount(whole.pictures[0][30:, :, 0].ravel()).argmax()) == 8 * 29
    zoomed = call(toolbox, "zoom", view=0, box=[20, 100, 60, 200])
    assert "frame 0, pixels" in zoomed.text


def test_a_stretch_of_a_curve(store: CaseStore, tmp_path: Path) -> None:
    toolbox = keep(store, curve(tmp_path / "curve.csv"))
    assert "from 4.5 s to 5.5 s" in call(toolbox, "show_moment", time_s=5, frames=10, step=5).text
    assert "the curve from" in call(toolbox, "zoom", view=0, box=[300, 0, 500, 1000]).text
    apart = call(toolbox, "measure_distance", view=0, from_point=[300, 500], to_point=[500, 500]).text
    assert "s apart" in apart


def test_cases_that_look_alike(store: CaseStore, tmp_path: Path) -> None:
    import torch

    torch.set_num_threads(1)
    toolbox = keep(store, photograph(tmp_path / "a.png", (200, 200)))
    assert "no other case" in toolbox.call("similar_cases", "{}").text
    twin = keep(store, photograph(tmp_path / "b.png", (201, 200)))
    from PIL import Image

    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "c.png")
    keep(store, tmp_path / "c.png")
    result = call(toolbox, "similar_cases", count=1)
    assert "Most alike of 2 cases" in result.text
    assert twin._material.case.id in result.text


@pytest.mark.parametrize(
    ("name", "arguments", "hint"),
    [
        ("zoom", '{"view": 0, "box": [0, 0, 1200, 10]}', "does not lie on view 0"),
        ("zoom", '{"view": 0, "box": [500, 0, 100, 10]}', "x0 < x1"),
        ("zoom", '{"view": 0, "box": [1, 2, 3]}', "box"),
        ("zoom", '{"view": 5, "box": [0, 0, 10, 10]}', "the views are 0 to 0"),
        ("zoom", '{"view": "first", "box": [0, 0, 10, 10]}', "view"),
        ("zoom", "zoom in", "no JSON"),
        ("zoom", "3", "no JSON object"),
        ("zoom", "", "view"),
        ("fly", "{}", "there is no tool 'fly'"),
        ("heatmap", '{"view": 0}', "no heatmap in the record"),
        ("heatmap", '{"view": 0, "localizer": "magic"}', "unknown localizer"),
        ("heatmap", '{"view": 0, "localizer": "winclip"}', "CLIP"),
        ("heatmap", '{"view": 0, "localizer": "none"}', "none makes no heatmap"),
        ("look_from", '{"yaw_deg": 0}', "there is no tool 'look_from'"),
        ("measure_distance", '{"view": 0, "from_point": [0, 0], "to_point": [2000, 0]}', "does not lie"),
        ("measure_rule", '{"rule": "clean"}', "is in words and has no check"),
        ("measure_rule", '{"rule": "x"}', "the rules are: clean, bright, long"),
        ("rule_text", '{"rule": "clean", "why": 1}', "why"),
    ],
)
def test_a_wrong_call_is_one_line(store: CaseStore, tmp_path: Path, name: str, arguments: str, hint: str) -> None:
    toolbox = keep(store, photograph(tmp_path / "p.png", (64, 48)), RULES)
    result = toolbox.call(name, arguments)
    assert result.failed
    assert result.text.startswith("error: ")
    assert hint in result.text
    assert "\n" not in result.text


def test_a_moment_outside_is_one_line(store: CaseStore, tmp_path: Path) -> None:
    toolbox = keep(store, clip(tmp_path / "clip", 4))
    assert (
        toolbox.call("show_moment", '{"time_s": 99}').text
        == "error: 99 s lies outside the recording, which runs from 0 to 3 s"
    )


def test_rules_of_a_photograph(store: CaseStore, tmp_path: Path) -> None:
    toolbox = keep(store, photograph(tmp_path / "p.png", (64, 48)), RULES)
    assert "brightness" in call(toolbox, "measure_rule", rule="bright").text
    assert call(toolbox, "rule_text", rule="clean").text.startswith("Rule clean (critical): It is clean.")
    assert "px" in call(toolbox, "measure_distance", view=0, from_point=[0, 0], to_point=[1000, 0]).text


def test_models_are_told_of_every_tool_and_argument(store: CaseStore, tmp_path: Path) -> None:
    toolbox = keep(store, photograph(tmp_path / "p.png", (64, 48)), RULES)
    for schema in toolbox.schemas():
        function = schema["function"]
        assert function["description"] == describe_tools()[function["name"]].about
        assert all(field["description"] for field in function["parameters"]["properties"].values())
    assert {tool.name for tool in TOOLS} | {"propose_change"} == set(describe_tools())
    zoom = next(tool for tool in toolbox.as_langchain() if tool.name == "zoom")
    asked = {"name": "zoom", "args": {"view": 0, "box": [0, 0, 500, 500]}, "id": "1", "type": "tool_call"}
    message = zoom.invoke(asked)
    assert message.content.startswith("[view 0: 0, 0, 500, 500]")
    assert message.artifact[0].ndim == 3
