"""The coloured scan: every point where it was, blue below, red above, readable by another library."""

import io

import numpy as np
import pytest
import trimesh

from vlm_inspect.evidence import SurfaceDeviation
from vlm_inspect.report.ply import render_no_ply, render_ply


def test_a_coloured_scan_is_read_by_another_library() -> None:
    points = np.array([[1e5, 0, 0], [0, 2, 0], [0, 0, 3], [4, 4, 4.0]])
    signed = np.array([-0.5, 0.0, 0.5, 0.001])
    surface = SurfaceDeviation(points, signed, np.abs(signed) / 0.01, 0.01, "mm")
    content = render_ply(surface)
    loaded = trimesh.load(io.BytesIO(content), file_type="ply")
    assert np.asarray(loaded.vertices) == pytest.approx(points)
    red, _, blue, _ = np.asarray(loaded.visual.vertex_colors, dtype=int).T
    assert blue[0] > red[0] + 100
    assert red[2] > blue[2] + 100
    assert abs(red[1] - blue[1]) < 5
    assert b"blue -0.5, grey 0, red +0.5" in content


def test_what_a_model_adds_is_a_property_of_every_point() -> None:
    points = np.arange(12, dtype=float).reshape(4, 3)
    surface = SurfaceDeviation(points, np.zeros(4), np.zeros(4), 0.01, "mm")
    fused = np.array([0.0, 0.5, 7.5, 1.0], np.float32)
    plain, content = render_ply(surface), render_ply(surface, fused)
    assert b"property float fused" not in plain
    assert content.index(b"property float spreads") < content.index(b"property float fused")
    rows = content.split(b"end_header\n", 1)[1]
    assert len(rows) == 4 * (3 * 8 + 3 + 3 * 4)
    assert [np.frombuffer(rows[39 * i + 35 : 39 * (i + 1)], "<f4")[0] for i in range(4)] == fused.tolist()


def test_a_scan_that_was_compared_with_none_says_why_in_its_comments() -> None:
    lines = render_no_ply(["No reference\nis a scan."]).decode("ascii").splitlines()
    assert lines[0] == "ply"
    assert "comment No reference is a scan." in lines
    assert "element vertex 0" in lines
