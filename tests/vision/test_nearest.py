"""The search for the nearest row: by OpenVINO and by torch the same, and what plain arithmetic says."""

import numpy as np
import pytest

from vlm_inspect.vision import nearest
from vlm_inspect.vision.nearest import find_nearest


@pytest.fixture(params=["openvino", "torch"])
def runtime(request, monkeypatch):
    if request.param == "openvino":
        pytest.importorskip("openvino")
    monkeypatch.setenv("VLM_INSPECT_RUNTIME", request.param)
    monkeypatch.setattr(nearest, "_WORTH_IT", 0)
    monkeypatch.setattr(nearest, "_CHUNK", 500)  # several chunks, the last one smaller
    return request.param


@pytest.mark.parametrize("count", [1, 23])
def test_the_nearest_row_is_the_one_that_arithmetic_says(runtime, count):
    rng = np.random.default_rng(3)
    rows, queries = (rng.normal(size=(n, 7)).astype(np.float32) for n in (61, count))
    queries[0] = rows[40]
    squared, indices = find_nearest(queries, rows)
    each = np.square(queries[:, None].astype(float) - rows[None]).sum(axis=2)
    assert indices.tolist() == each.argmin(axis=1).tolist()
    assert squared == pytest.approx(each.min(axis=1), abs=1e-5)
    assert (squared.min() >= 0, indices[0]) == (True, 40)
    assert (squared.dtype, indices.dtype) == (np.float32, np.int64)


def test_nothing_asked_is_nothing_found(runtime):
    squared, indices = find_nearest(np.zeros((0, 4), np.float32), np.ones((3, 4), np.float32))
    assert (len(squared), len(indices)) == (0, 0)
