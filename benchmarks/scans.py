"""Scans of generated parts: how well flawed ones rank, where flaws are placed, and how small a dent is still found.

    python -m benchmarks.scans [--normal 10] [--anomalous 30] [--references 2] [--seed 0]
                                [--points 5000 400000] [--classes screw gear plate tube] [--journal FILE]
    python -m benchmarks.scans --sensitivity [--journal FILE]
    python -m benchmarks.scans --partial [--normal 3] [--anomalous 6] [--journal FILE]

Four classes, so 40 sound and 120 flawed scans with the defaults. References are scans of their own. Figures go to
docs/results.md.
"""

import argparse
import json
import resource
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.scan_classes import auroc, learned
from benchmarks.scan_pieces import print_pieces
from benchmarks.scan_sensitivity import print_sensitivity
from vlm_inspect.demo.generated_scans import FLAWS, GeneratedScan, Scanner, scan_at
from vlm_inspect.localization.scan_deviation import scan_deviation
from vlm_inspect.registration.alignment import PosedCloud, align
from vlm_inspect.registration.levels import Levels
from vlm_inspect.registration.variation import Variation


@dataclass(frozen=True)
class Row:
    """What was found on one scan."""

    flaw: str
    score: float
    point_auroc: float | None
    place_mm: float | None
    size_off: float | None
    seconds: float
    noise_mm: float
    depth_mm: float


def main() -> None:
    """Run it and print tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("normal", 10), ("anomalous", 30), ("references", 2), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--points", type=int, nargs=2, default=Scanner().points, help="fewest and most of a scan")
    parser.add_argument("--sensitivity", action="store_true", help="the smallest dent at each noise level instead")
    parser.add_argument("--partial", action="store_true", help="parts seen from one side or edge-on instead")
    parser.add_argument("--classes", nargs="*", default=list(FLAWS))
    parser.add_argument("--journal", type=Path, help="keeps each scan or cell; what it holds is not run again")
    asked = parser.parse_args()
    if asked.sensitivity:
        print_sensitivity(asked.classes, asked.references, asked.seed, asked.journal)
    elif asked.partial:
        print_pieces(asked.classes, asked.normal, asked.anomalous, asked.references, asked.seed, asked.journal)
    else:
        for name, rows in measured(asked).items():
            print_class(name, rows)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GB")


def judged(scan: GeneratedScan, normal: Variation, first: Levels) -> Row:
    """Return what is found on a scan."""
    start = time.perf_counter()
    posed = PosedCloud(scan.cloud, align(scan.cloud.points, first).pose)
    found = scan_deviation(posed, normal, [])
    seconds = time.perf_counter() - start
    score = found.score
    if not scan.shows.any():
        return Row(scan.flaw, score, None, None, None, seconds, scan.noise_mm, scan.depth_mm)
    truths = [scan.shows] if scan.or_shows is None else [scan.shows, scan.or_shows]
    place = size = None
    if found.findings and scan.size_mm > 0.0:
        best = found.findings[0]
        centres = [scan.cloud.points[one].mean(axis=0) for one in truths]
        place = min(float(np.linalg.norm(np.array(best.centre) - one)) for one in centres)
        size = abs(best.size / scan.size_mm - 1.0)
    points = max(auroc(found.off[one], found.off[~one]) for one in truths)
    return Row(scan.flaw, score, points, place, size, seconds, scan.noise_mm, scan.depth_mm)


def measured(asked: argparse.Namespace) -> dict[str, list[Row]]:
    """Return the rows of each class; classes in turn, and of each one sound scan, then three flawed ones.

    So a run that is cut short says the same of every class, and goes on where a journal is kept.
    """
    known = read_journal(asked.journal) if asked.journal else {}
    scanner = Scanner(points=(asked.points[0], asked.points[1]))
    rows: dict[str, list[Row]] = {name: [] for name in asked.classes}
    fitted: dict[str, tuple[Variation, Levels]] = {}
    for index in in_turn(asked.normal, asked.anomalous):
        for name in asked.classes:
            row = known.get((name, asked.seed, index))
            if row is None:
                if name not in fitted:
                    fitted[name] = learned(name, asked.references, asked.seed)
                scan = scan_at(name, asked.seed, index, normal=asked.normal, scanner=scanner)
                row = judged(scan, *fitted[name])
                if asked.journal:
                    with asked.journal.open("a") as out:
                        out.write(json.dumps({"name": name, "seed": asked.seed, "index": index, **asdict(row)}) + "\n")
            rows[name].append(row)
    return rows


def in_turn(normal: int, anomalous: int) -> list[int]:
    """Return indices of sound scans (the first `normal`) and flawed ones in turn, as many of each as there are."""
    share = [(i + 0.5) / normal for i in range(normal)] + [(i + 0.5) / anomalous for i in range(anomalous)]
    return sorted(range(normal + anomalous), key=lambda i: share[i])


def read_journal(path: Path) -> dict[tuple[str, int, int], Row]:
    """Return the rows that a journal holds, by class, seed and index; none where there is no journal yet."""
    if not path.is_file():
        return {}
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return {(one.pop("name"), one.pop("seed"), one.pop("index")): Row(**one) for one in found}


def print_class(name: str, rows: Sequence[Row]) -> None:
    """Print the figures of one class."""
    sound = [row.score for row in rows if not row.flaw]
    flawed = [row for row in rows if row.flaw]
    print(f"\n{name}: image AUROC {auroc([r.score for r in flawed], sound):.3f}, "
          f"point AUROC {np.mean([r.point_auroc for r in flawed if r.point_auroc is not None]):.3f}, "
          f"{np.mean([r.seconds for r in rows]):.1f} s a scan; "
          f"sound {np.quantile(sound, [0, 0.5, 1]).round(1)}; place within 1 mm "
          f"{share(r.place_mm for r in flawed):.0%}, size within 20 % "
          f"{mean(None if r.size_off is None else float(r.size_off <= 0.2) for r in flawed):.0%} of "
          f"{sum(r.place_mm is not None for r in flawed)} placed of {len(flawed)}")  # fmt: skip
    print("| flaw | n | score: least, median | point AUROC | place mm: median, within 1 mm | size off: median |")
    print("|---|---|---|---|---|---|")
    for flaw in FLAWS[name]:
        own = [row for row in flawed if row.flaw == flaw]
        print(f"| {flaw} | {len(own)} | {told(r.score for r in own)} | {mean(r.point_auroc for r in own):.3f} | "
              f"{median(r.place_mm for r in own):.2f}, {share(r.place_mm for r in own):.0%} | "
              f"{median(r.size_off for r in own):.0%} |")  # fmt: skip


def told(values: Iterable[float]) -> str:
    """Say the least and the median."""
    known = list(values)
    return f"{min(known):.1f}, {np.median(known):.1f}" if known else "-"


def mean(values: Iterable[float | None]) -> float:
    """Return the mean of those that are known."""
    known = [v for v in values if v is not None]
    return float(np.mean(known)) if known else float("nan")


def median(values: Iterable[float | None]) -> float:
    """Return the median of those that are known."""
    known = [v for v in values if v is not None]
    return float(np.median(known)) if known else float("nan")


def share(values: Iterable[float | None]) -> float:
    """Return the share of known places within 1 mm."""
    return mean(None if v is None else float(v <= 1.0) for v in values)


if __name__ == "__main__":
    main()
