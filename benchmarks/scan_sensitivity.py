"""The smallest dent found on scans of generated parts, at each noise of the scanner: `benchmarks.scans --sensitivity`.

A class is fitted once for each noise. Sound scans that are no references set the limit, and dents are planted on the
same scans and measured near the dent (docs/decisions/0031), so one costs a tenth of a new scan. A dent is found where
its scan scores above every sound one.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from converters.pose import ScanFrame
from vlm_inspect.demo.generated_scans import Scanner, draw
from vlm_inspect.localization.scan_localizer import FittedScans
from vlm_inspect.planting.scans import plant
from vlm_inspect.references import Part
from vlm_inspect.registration.alignment import PosedCloud, align
from vlm_inspect.registration.comparison import scan_surface
from vlm_inspect.registration.icp import Pair, refine
from vlm_inspect.registration.judged import combined
from vlm_inspect.registration.levels import Levels, levels
from vlm_inspect.registration.pose import Points, Pose, shift
from vlm_inspect.registration.variation import learn

NOISES_UM: Final = (5, 10, 20, 50)
DEPTHS_MM: Final = (0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.8)
POINTS, SOUND, DENTS = 20_000, 5, 10
_FOUND = 0.9
"""Share of dents of a depth, and of every deeper one, that are found from the smallest depth on."""

Cell = dict[str, int]
"""By depth in mm, as text: how many of the dents were found."""


def print_sensitivity(names: Sequence[str], references: int, seed: int, journal: Path | None) -> None:
    """Print one table: the smallest dent found, by class and noise.

    Args:
        names: of the classes.
        references: how many scans the class is learned from.
        seed: of everything.
        journal: a file of what was measured; what it holds is not measured again. None: nothing is kept.
    """
    known = _read(journal, references, seed)
    for name in names:
        missing = [noise for noise in NOISES_UM if (name, noise) not in known]
        for noise, cell in _measured(name, missing, references, seed):
            known[name, noise] = cell
            if journal is not None:
                row = {"part": name, "noise_um": noise, "references": references, "seed": seed, "found": cell}
                with journal.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
    print(
        f"Smallest dent found, mm deep: from there on at least {_FOUND:.0%} of {DENTS}. {POINTS:,} points, {references}"
        " references; dents are six times as wide as deep, at least 2 mm.\n"
    )
    print("| part | " + " | ".join(f"noise {noise} um" for noise in NOISES_UM) + " |")
    print("|---|" + "---|" * len(NOISES_UM))
    for name in names:
        print(f"| {name} | " + " | ".join(smallest(known[name, noise]) for noise in NOISES_UM) + " |")


def smallest(cell: Cell) -> str:
    """Return the smallest depth from which on dents are found, in mm, as text."""
    found = [depth for depth in DEPTHS_MM if all(cell[str(d)] >= _FOUND * DENTS for d in DEPTHS_MM if d >= depth)]
    return f"{found[0]:g}" if found else f"above {DEPTHS_MM[-1]:g}"


def _read(journal: Path | None, references: int, seed: int) -> dict[tuple[str, int], Cell]:
    if journal is None or not journal.exists():
        return {}
    rows = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    own = [row for row in rows if (row["references"], row["seed"]) == (references, seed)]
    return {(row["part"], row["noise_um"]): row["found"] for row in own}


def _measured(name: str, noises: Sequence[int], references: int, seed: int) -> Iterator[tuple[int, Cell]]:
    """Yield each noise, and how many dents of every depth are found."""
    poses: list[Pose] = []  # of one scan after the other: noise does not turn a part
    for noise in noises:
        fitted, first = _fitted(name, noise, references, seed, poses)
        sound = []
        for i in range(SOUND):
            cloud = draw(name, "", np.random.default_rng([seed, 5, i]), _scanner(noise)).cloud
            pose = _laid(poses, references + i, cloud.points, first)
            sound.append(Part(cloud, (), ScanFrame(pose, 1.0)))
        limit = float(combined(fitted.score(sound)).max())
        found = {str(depth): 0 for depth in DEPTHS_MM}
        for i, part in enumerate(sound):
            dented = list(_dented(part, [seed, 6, i]))
            scores = combined(fitted.score([one for _, one in dented]))
            for (depth, _), score in zip(dented, scores, strict=True):
                found[str(depth)] += int(score > limit)
        yield noise, found


def _fitted(name: str, noise: int, count: int, seed: int, poses: list[Pose]) -> tuple[FittedScans, Levels]:
    """Return what references of a class say, and the first of them."""
    clouds = [draw(name, "", np.random.default_rng([seed, 4, i]), _scanner(noise)).cloud for i in range(count)]
    first = levels(clouds[0].points)
    posed = [PosedCloud(one, _laid(poses, i, one.points, first)) for i, one in enumerate(clouds)]
    return FittedScans(learn([scan_surface(one.points) for one in posed]), "mm"), first


def _dented(part: Part, seed: Sequence[int]) -> Iterator[tuple[float, Part]]:
    """Yield a sound scan with one dent, in each depth at several places."""
    assert part.posed is not None
    for place in range(DENTS // SOUND):
        for depth in DEPTHS_MM:
            rng = np.random.default_rng([*seed, place])
            cloud, planted = plant(part.posed.cloud, "dent", max(2.0, 6.0 * depth), rng, depth_mm=depth)
            yield depth, replace(part, sample=cloud, change=planted.change)


def _scanner(noise_um: int) -> Scanner:
    return Scanner(points=(POINTS, POINTS + 1), noise_mm=(noise_um / 1000.0,), partial=0.0)


def _laid(poses: list[Pose], index: int, points: Points, first: Levels) -> Pose:
    """Return the pose of a scan, number `index` of its class: found once, and refined for another noise."""
    if index == len(poses):
        poses.append(np.eye(4) if index == 0 else align(points, first).pose)
    return poses[0] if index == 0 else _refined(points, first, poses[index])


def _refined(points: Points, first: Levels, pose: Pose) -> Pose:
    """Return the pose of a scan after the last step of an alignment, from that of the same scan with another noise."""
    own = levels(points)
    pair = Pair(own.dense, first.dense, own.pick, first.pick)
    start = shift(-first.middle) @ pose @ shift(own.middle)
    return np.asarray(shift(first.middle) @ refine(pair, start, gate=4.0 * pair.spacing, steps=25) @ shift(-own.middle))
