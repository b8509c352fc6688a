"""Which library runs the networks."""

import os
import threading
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.errors import LocalizerError

Runtime = Literal["openvino", "torch"]
ENVIRONMENT: Final = "VLM_INSPECT_RUNTIME"
"""Names the runtime, "openvino" or "torch", where the choice shall not be left to what is installed."""
THREADS: Final = "OMP_NUM_THREADS"
"""Bounds the threads of a network as it does those of other libraries, where several processes share the cores."""
MOST_THREADS: Final = 4
"""A picture of 448 px gains little from more, and a benchmark or a server judges several at once."""


def choose_runtime() -> Runtime:
    """Return the runtime that the environment names, else OpenVINO where it is installed, else torch.

    Raises:
        LocalizerError: the environment names another runtime, or OpenVINO where it is not installed.
    """
    named = os.environ.get(ENVIRONMENT)
    installed = find_spec("openvino") is not None
    if named not in (None, "", "openvino", "torch"):
        raise LocalizerError(f"{ENVIRONMENT}={named}: the networks run in openvino or torch; name one of them")
    if named == "openvino" and not installed:
        raise LocalizerError(f"{ENVIRONMENT}=openvino, but it is not installed: pip install openvino")
    return "openvino" if installed and named != "torch" else "torch"


def thread_count() -> int:
    """Return how many threads a network runs with: the cores that this process may use, at most four or `THREADS`."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    named = os.environ.get(THREADS, "").partition(",")[0].strip()  # one number a level of nesting
    most = int(named) if named.isdecimal() else MOST_THREADS
    return max(1, min(MOST_THREADS, allowed, most))


@lru_cache(maxsize=1)
def openvino_core() -> Any:
    """Return the one OpenVINO core of this process."""
    import openvino

    return openvino.Core()


def fast_precision() -> str:
    """Return "bf16" where this processor computes in it, which takes half the time, else "f32"."""
    return "bf16" if "BF16" in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"


def compile_openvino(model: Any, precision: str) -> "Callable[[list[Any]], list[NDArray[np.float32]]]":
    """Return the model as a function of its inputs, compiled for one picture, or a few, at a time; safe for threads.

    Args:
        model: of OpenVINO.
        precision: "f32" or "bf16".
    """
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": thread_count(),
        "NUM_STREAMS": 1,
    }
    compiled = openvino_core().compile_model(model, "CPU", settings)
    lock = threading.Lock()  # a request serves one caller at a time, and one already keeps the cores busy

    def run(inputs: list[Any]) -> list[NDArray[np.float32]]:
        with lock:
            return [np.array(one, np.float32) for one in compiled(inputs).values()]

    return run
