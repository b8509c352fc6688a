"""What the benchmarks of scans share: a class learned from references of its own, and how well scores rank."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.demo.generated_scans import Scanner, generate
from vlm_inspect.registration.alignment import PosedCloud, align
from vlm_inspect.registration.comparison import scan_surface
from vlm_inspect.registration.levels import Levels, levels
from vlm_inspect.registration.variation import Variation, learn

_REFERENCE_SCANNER = Scanner(points=(40_000, 60_000), noise_mm=(0.01,), partial=0.0)


def learned(name: str, count: int, seed: int, scanner: Scanner = _REFERENCE_SCANNER) -> tuple[Variation, Levels]:
    """Return what references of a class say, in the frame of the first."""
    scans = [s.cloud for s in generate(name, seed + 1000, normal=count, anomalous=0, scanner=scanner)]
    first = levels(scans[0].points)
    posed = [PosedCloud(one, np.eye(4) if i == 0 else align(one.points, first).pose) for i, one in enumerate(scans)]
    return learn([scan_surface(one.points) for one in posed]), first


def auroc(high: Sequence[float] | NDArray[np.float64], low: Sequence[float] | NDArray[np.float64]) -> float:
    """Return the share of pairs in which the first is the larger, ties as half (Mann and Whitney)."""
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([high, low]))
    n, m = len(high), len(low)
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m)) if n and m else float("nan")
