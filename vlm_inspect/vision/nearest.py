"""The nearest of many rows: the product of two matrices, which takes OpenVINO half the time that it takes torch."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.vision.runtime import choose_runtime, compile_openvino

_CHUNK = 1 << 24
"""Most products held at once (64 MB)."""
_WORTH_IT = 1 << 27
"""Multiplications from which on OpenVINO is worth its overhead: about 2 ms of them."""

Floats = NDArray[np.float32]
Found = tuple[Floats, NDArray[np.int64]]


def find_nearest(queries: Floats, rows: Floats) -> Found:
    """Return the squared Euclidean distance to the nearest row and its index, (N,) each, in single precision.

    Args:
        queries: (N, C).
        rows: (M, C), at least one.
    """
    if not len(queries):
        return np.zeros(0, np.float32), np.zeros(0, np.int64)
    large = len(queries) * rows.size >= _WORTH_IT
    search = _openvino_search(rows.shape[1]) if large and choose_runtime() == "openvino" else _search_in_torch
    # |q - r|^2 = |q|^2 - 2 (q.r - |r|^2 / 2); |q|^2 does not move the maximum
    half = (0.5 * np.einsum("mc,mc->m", rows, rows))[None]
    found = [(chunk, *search(chunk, rows, half)) for chunk in _chunks(queries, len(rows))]
    squared = [np.einsum("nc,nc->n", chunk, chunk) - 2.0 * best for chunk, best, _ in found]
    return np.maximum(np.concatenate(squared), 0.0), np.concatenate([index for _, _, index in found])


def _chunks(queries: Floats, rows: int) -> Iterator[Floats]:
    step = max(1, _CHUNK // rows)
    for start in range(0, len(queries), step):
        yield queries[start : start + step]


Search = Callable[[Floats, Floats, Floats], Found]
"""From queries (N, C), rows (M, C) and half their squares (1, M) to the greatest q.r - |r|^2 / 2 and its row."""


def _search_in_torch(queries: Floats, rows: Floats, half: Floats) -> Found:
    import torch

    with torch.inference_mode():
        products = torch.from_numpy(queries) @ torch.from_numpy(rows).T
        best = products.sub_(torch.from_numpy(half)).max(dim=1)
    return best.values.numpy(), best.indices.numpy()


@lru_cache(maxsize=8)
def _openvino_search(width: int) -> Search:
    """Return the search among rows of a width, compiled for any number of them."""
    import openvino
    from openvino import opset13 as op

    queries, rows = op.parameter([-1, width], np.float32), op.parameter([-1, width], np.float32)
    half = op.parameter([1, -1], np.float32)
    products = op.subtract(op.matmul(queries, rows, False, True), half)
    best = op.topk(products, op.constant(1), 1, "max", "none", index_element_type="i32")
    run = compile_openvino(openvino.Model([best.output(0), best.output(1)], [queries, rows, half]), "f32")

    def search(*given: Any) -> Found:
        values, indices = run(list(given))
        return values[:, 0], indices[:, 0].astype(np.int64)

    return search
