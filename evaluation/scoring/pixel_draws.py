"""`pixel_draws.npz` beside the results: pixel metrics over resamples, by which two runs are compared."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.errors import RunError
from evaluation.metrics.bootstrap import LEVEL
from vlm_inspect.file_writing import write_atomically

DRAWS = "pixel_draws.npz"
Draws = Mapping[str, Mapping[str, NDArray[np.floating]]]
"""Class, metric, values over the same resamples."""


def write_draws(folder: Path, draws: Draws) -> None:
    """Write the draws of a run; no file where there are none.

    Raises:
        OutputError: it cannot be written.
    """
    if not any(draws.values()):
        (folder / DRAWS).unlink(missing_ok=True)
        return
    stream = io.BytesIO()
    arrays: dict[str, Any] = {f"{metric}:{name}": one for name, told in draws.items() for metric, one in told.items()}
    np.savez_compressed(stream, **arrays)
    write_atomically(folder / DRAWS, stream.getvalue())


def read_draws(folder: Path) -> dict[str, dict[str, NDArray[np.floating]]]:
    """Return the draws of a run; empty where it has none.

    Raises:
        RunError: the file is damaged.
    """
    import zipfile

    path = folder / DRAWS
    if not path.is_file():
        return {}
    found: dict[str, dict[str, NDArray[np.floating]]] = {}
    try:
        with np.load(path, allow_pickle=False) as entry:
            for key in entry.files:
                metric, _, name = key.partition(":")
                found.setdefault(name, {})[metric] = entry[key]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise RunError(f"{path} cannot be read ({error}); run bench --resume to write it again") from error
    return found


def pixel_intervals(draws: Draws) -> dict[str, dict[str, list[float]]]:
    """Return 95 % intervals by class and metric, and under "mean" those of the mean of the classes that have one."""
    found: dict[str, dict[str, list[float]]] = {name: {} for name in ("mean", *draws)}
    for metric in dict.fromkeys(metric for told in draws.values() for metric in told):
        own = {name: np.asarray(told[metric], np.float64) for name, told in draws.items() if metric in told}
        for name, drawn in {**own, "mean": np.mean(list(own.values()), axis=0)}.items():
            low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
            found[name][metric] = [float(low), float(high)]
    return found
