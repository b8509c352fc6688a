"""Scans that show a part from one side, or from its edge: `benchmarks.scans --partial`.

A sensor sees what faces it and lies behind nothing. A piece is seen from one direction, and from a second one where
that shows less than 40 % of the surface; flat parts are seen edge-on as well, whatever that shows. A flaw counts as
shown where most of its points are.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.scan_classes import auroc, learned
from vlm_inspect.demo.generated_scans import GeneratedScan, Scanner, scan_at
from vlm_inspect.localization.scan_deviation import scan_deviation
from vlm_inspect.localization.scan_localizer import FittedScans, is_sure_of_piece
from vlm_inspect.registration.alignment import PosedCloud, align
from vlm_inspect.registration.levels import Levels
from vlm_inspect.registration.surface import surface
from vlm_inspect.registration.thinning import averaged
from vlm_inspect.registration.variation import Variation

SCANNER: Final = Scanner(points=(10_000, 60_000), partial=0.0)
_SHARES = (0.4, 0.7)
"""Of the surface that a piece shows."""
_TRIES = 20
_FACING = 0.15
"""Least cosine between the surface and the direction to the sensor."""
_TILT = 0.18
"""Tangent of the angle between a flat part and the direction that it is seen from edge-on."""
_SHOWN = 0.6
"""Share of a flaw's points from which it counts as shown."""
FLAT: Final = ("plate",)

Points = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Row:
    """What was found on one piece."""

    flaw: str
    shown: bool
    """Whether the scan shows the flaw."""
    share: float
    """Of the part's surface that the scan shows."""
    said: float
    """The same as the comparison says."""
    partial: bool
    """Whether it is taken as one that does not show the whole part; it is never OK then."""
    score: float
    ng: bool
    """Whether it deviates beyond what is said of a piece."""
    place_mm: float | None


def print_pieces(
    names: Sequence[str], normal: int, anomalous: int, references: int, seed: int, journal: Path | None
) -> None:
    """Print one table: what is said of pieces of each class, and of flat parts seen edge-on.

    Args:
        names: of the classes.
        normal: sound pieces of a class.
        anomalous: flawed ones.
        references: how many whole scans the class is learned from.
        seed: of everything.
        journal: a file of what was measured; what it holds is not measured again. None: nothing is kept.
    """
    known = _read(journal)
    head = "share shown | taken as pieces | sound: n, NG | flaw shown: n, NG, AUROC, within 1 mm | not shown: n, NG"
    print(f"| pieces | {head} |\n|{'---|' * 6}")
    for name in names:
        for edge_on in (False, True)[: 2 if name in FLAT else 1]:
            rows, fitted = [], None
            for index in range(normal + anomalous):
                key = (name, edge_on, seed, index)
                if key not in known:
                    fitted = learned(name, references, seed) if fitted is None else fitted
                    known[key] = _measured(name, edge_on, seed, index, normal, fitted)
                    if journal is not None:
                        with journal.open("a", encoding="utf-8") as file:
                            file.write(json.dumps([*key, asdict(known[key])]) + "\n")
                rows.append(known[key])
            print(_line(f"{name}, edge-on" if edge_on else name, rows), flush=True)


def _read(journal: Path | None) -> dict[tuple[str, bool, int, int], Row]:
    if journal is None or not journal.exists():
        return {}
    rows = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    return {(name, edge_on, seed, index): Row(**row) for name, edge_on, seed, index, row in rows}


def _line(name: str, rows: Sequence[Row]) -> str:
    sound = [row for row in rows if not row.flaw]
    shown = [row for row in rows if row.flaw and row.shown]
    hidden = [row for row in rows if row.flaw and not row.shown]
    near = sum(row.place_mm is not None and row.place_mm <= 1.0 for row in shown)
    low, high = min(row.share for row in rows), max(row.share for row in rows)
    off = np.median([abs(row.said - row.share) for row in rows])
    cells = [
        name,
        f"{low:.0%} to {high:.0%}, off by {off:.0%}",
        f"{sum(row.partial for row in rows)} of {len(rows)}",
        f"{len(sound)}, {_ng(sound)}",
        f"{len(shown)}, {_ng(shown)}, {auroc([r.score for r in shown], [r.score for r in sound]):.3f}, {near}",
        f"{len(hidden)}, {_ng(hidden)}",
    ]
    return f"| {' | '.join(cells)} |"


def _ng(rows: Sequence[Row]) -> int:
    return sum(row.ng for row in rows)


def _measured(
    name: str, edge_on: bool, seed: int, index: int, normal: int, learned_of: tuple[Variation, Levels]
) -> Row:
    known, first = learned_of
    scan = scan_at(name, seed, index, normal=normal, scanner=SCANNER)
    kept = seen_of(scan.cloud.points, np.random.default_rng([seed, index, int(edge_on)]), edge_on=edge_on)
    piece = _only(scan, kept)
    posed = PosedCloud(piece.cloud, align(piece.cloud.points, first).pose)
    found = scan_deviation(posed, known, [])
    fitted = FittedScans(known, "mm")
    assert fitted.tolerance is not None
    limit = fitted.tolerance.limit / known.typical
    partial = found.coverage.partial
    place = None
    if found.findings and piece.shows.any():
        place = float(np.linalg.norm(np.array(found.findings[0].centre) - piece.cloud.points[piece.shows].mean(axis=0)))
    return Row(
        flaw=scan.flaw,
        shown=bool(scan.flaw and piece.shows.sum() >= max(4.0, _SHOWN * scan.shows.sum())),
        share=float(kept.mean()),
        said=found.coverage.share,
        partial=bool(partial),
        score=found.score,
        ng=bool(is_sure_of_piece(found.score, limit) if partial else found.score > limit),
        place_mm=place,
    )


def _only(scan: GeneratedScan, kept: Mask) -> GeneratedScan:
    return replace(
        scan, cloud=replace(scan.cloud, points=scan.cloud.points[kept]), shows=scan.shows[kept], partial=True
    )


def seen_of(points: Points, rng: np.random.Generator, *, edge_on: bool) -> Mask:
    """Return which points (N, 3) of a closed surface a sensor sees, from one or two random directions or edge-on."""
    skin = surface(averaged(points, 20_000).points)
    facing = skin.outward[skin.tree.query(points)[1]]
    if edge_on:
        axes = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)[2]
        return _seen(points, facing, axes[int(rng.integers(2))] * rng.choice([-1.0, 1.0]) + _TILT * axes[2])
    kept = np.ones(len(points), dtype=bool)
    for _ in range(_TRIES):
        kept = _seen(points, facing, rng.normal(size=3))
        if kept.mean() < _SHARES[0]:
            kept |= _seen(points, facing, rng.normal(size=3))
        if _SHARES[0] <= kept.mean() <= _SHARES[1]:
            break
    return kept


def _seen(points: Points, facing: Points, towards: Points) -> Mask:
    """Return which points (N, 3) a sensor far away in a direction sees: those that face it with nothing before them."""
    towards = towards / np.linalg.norm(towards)
    across = np.linalg.svd(towards[None])[2][1:]
    spacing = float(np.sqrt(np.prod(np.sort(np.ptp(points, axis=0))[1:]) / len(points)))
    cell = np.floor(points @ across.T / (2.5 * spacing)).astype(np.int64)
    cell -= cell.min(axis=0)
    key, near = cell[:, 0] * (cell[:, 1].max() + 1) + cell[:, 1], points @ towards
    front = np.full(int(key.max()) + 1, -np.inf)
    np.maximum.at(front, key, near)
    slope = 2.5 * spacing / np.maximum(facing @ towards, _FACING)
    return np.asarray((facing @ towards > _FACING) & (near > front[key] - 2.0 * slope))
