"""Scans that do not show the part of their references, or not it alone: is it said, and how soon?

    python -m benchmarks.wrong_scans [--class screw gear plate tube]

Generated parts beside two references, as an inspection meets them: laid on, compared, told what they show. In another
unit, mirrored, pieces, two alike or two kinds apart, touching and on top of each other, three, another part. A gear, a
plate and a tube are their own mirror images: what is asked of those is that nothing is said. Seconds are of the
processor, the references known.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from converters.sample import PointCloud
from converters.view import ViewBudget
from vlm_inspect.demo.generated_scans import Scanner, draw
from vlm_inspect.demo.scan_files import random_pose, write_scan
from vlm_inspect.demo.solids import SOLIDS
from vlm_inspect.localization.scan_localizer import ScanLocalizer
from vlm_inspect.references import load_references, present
from vlm_inspect.registration.surface import nearest

_SEED: Final = 77
_POINTS: Final = {"screw": 6_000, "gear": 6_000, "plate": 3_000, "tube": 3_000}
_OTHER: Final = {"screw": "tube", "gear": "screw", "plate": "screw", "tube": "plate"}
_FINER: Final = 12_000
"""Points of a screw that tell its handedness."""
_OWN_IMAGE: Final = ("gear", "plate", "tube")
_SAID: Final = {
    "unit": ("seems to be in",),
    "mirror": ("mirror image",),
    "piece": ("a piece of the",),
    "several": ("separate parts", "twice"),
    "beside": ("separate parts", "something beside it", "twice"),
    "another": ("does not seem to be the part",),
    "part": ("",),
}
"""Words of which one must be said, by what is expected; "part": nothing."""

Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Case:
    """A scan and what is to be said of it."""

    shown: str
    points: Points
    expected: str


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--class", dest="classes", nargs="+", default=list(_POINTS), choices=list(_POINTS))
    parser.add_argument("--shown", nargs="*", help="only cases with one of these words")
    asked = parser.parse_args()
    right = total = 0
    print("| class | shown | said | right | s |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["VLM_INSPECT_CACHE"] = folder
        for name in asked.classes:
            for case, said, seconds in _tried(name, Path(folder), asked.shown):
                good = any(words in said for words in _SAID[case.expected]) and bool(said) == (case.expected != "part")
                right, total = right + good, total + 1
                told = said or "nothing"
                print(f"| {name} | {case.shown} | {told} | {'yes' if good else '**no**'} | {seconds:.1f} |", flush=True)
    print(f"\n{right} of {total} right")


def _tried(name: str, folder: Path, shown: list[str] | None) -> Iterator[tuple[Case, str, float]]:
    """Yield the cases of a class, what is said of each, and processor seconds."""
    budget = ViewBudget(scan_size=128)
    paths = [folder / f"{name}{i}.ply" for i in range(2)]
    for i, path in enumerate(paths):
        write_scan(path, _scan(name, i, 40_000 if name in {"screw", "gear"} else 20_000))
    references = load_references(paths, "point_cloud", budget)
    fitted = ScanLocalizer().fit(references)
    references.stage.levels.repeats  # noqa: B018 (learned once for all parts)
    for case in _cases(name):
        if shown and not any(word in case.shown for word in shown):
            continue
        cloud = PointCloud(Path("part.ply"), random_pose(np.random.default_rng(5)).move(case.points))
        began = time.process_time()
        said = fitted.localize(present(cloud, references.stage, budget)).mismatch
        yield case, said, time.process_time() - began


def _scan(name: str, index: int, count: int) -> Points:
    scanner = Scanner(points=(count, count + 1), noise_mm=(0.01,), partial=0.0)
    return draw(name, "", np.random.default_rng([_SEED, list(SOLIDS).index(name), index]), scanner).cloud.points


def _cases(name: str) -> Iterator[Case]:
    count, own = _POINTS[name], name in _OWN_IMAGE
    one, two, three = (_upright(_scan(name, 10 + i, count)) for i in range(3))
    other = _upright(_scan(_OTHER[name], 20, count))
    yield Case("sound part", one, "part")
    yield Case("in inches", one / 25.4, "unit")
    yield Case("in metres", one / 1000.0, "unit")
    yield Case("mirrored", one * [1.0, 1.0, -1.0], "part" if own else "mirror")
    if not own:
        yield Case(f"mirrored, {_FINER:,} points", _scan(name, 10, _FINER) * [1.0, 1.0, -1.0], "mirror")
    low, high = one.min(axis=0), one.max(axis=0)
    middle = (low + high) / 2.0
    yield Case("half", one[one[:, 0] > middle[0]], "piece")
    yield Case("quarter", one[(one[:, 0] > middle[0]) & (one[:, 1] > middle[1])], "piece")
    yield Case("quarter at an end", one[one[:, 0] > high[0] - 0.25 * (high[0] - low[0])], "piece")
    for what, second, expected in (("two alike", two, "several"), ("two kinds", other, "beside")):
        yield Case(f"{what}, apart", _beside(one, second, gap=8.0), expected)
        yield Case(f"{what}, touching", _beside(one, second, gap=0.0), expected)
    yield Case("two alike, on top", np.concatenate([one, two + np.array([0.0, 0.0, np.ptp(one[:, 2])])]), "beside")
    yield Case("another part", other, "another")
    yield Case("three apart", _beside(_beside(one, two, gap=8.0), three, gap=8.0), "several")


def _upright(points: Points) -> Points:
    """Return points along their principal axes, the longest first."""
    centred = points - points.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2]
    return np.asarray(centred @ axes.T * [1.0, 1.0, np.sign(np.linalg.det(axes))])


def _beside(points: Points, second: Points, *, gap: float) -> Points:
    """Return a part and a second one turned at random, so far apart at their nearest points, along the middle axis."""
    from scipy.spatial import cKDTree

    turned = random_pose(np.random.default_rng(9)).move(second)
    turned = turned - turned.mean(axis=0)
    turned[:, 1] += points[:, 1].max() - turned[:, 1].min() + gap + 1.0
    tree = cKDTree(points)
    for _ in range(100):
        left = float(nearest(tree, turned)[0].min()) - gap
        if left < 0.05:
            break
        turned[:, 1] -= left
    return np.concatenate([points, turned])


if __name__ == "__main__":
    main()
