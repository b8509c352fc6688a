"""What the outcomes are worth: OK, REVIEW and NG by label, by number of references, and found against planted by size.

    python -m benchmarks.earned_ok [--data DIR] [--eye fast|fine] [--references 1 4 16] [--draws 0 1 2]
                                   [--category C]... [--features DIR] [--json FILE]
    python -m benchmarks.earned_ok --planted

References are drawn from the train split at random, once a draw, and every test image is judged in every draw by the
bounds that these references and the defects planted on them set: the offline default without a calibration file. With
4 references the bounds are also set anew from 60 more training pictures, as `calibrate` does. No label plays a part.

With --planted, normal training pictures that are no references take the place of the test images, and the same with
defects planted by another seed: what the settings were chosen by.

A part that is OK by its bounds while a single place exceeds its own comes out REVIEW in an inspection; that is left
out here, so that the OKs are as many as can be.
"""

import argparse
import json
import os
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise, product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from benchmarks.eyes import Judged, _auroc, _plant_on, _read_test
from benchmarks.kept_features import features_kept_in
from benchmarks.reference_memory import CATEGORIES, load, read_mask, shrink
from converters.registry import read
from converters.view import ViewBudget
from evaluation import metrics
from vlm_inspect.calibration.intervals import overkill_interval
from vlm_inspect.datasets.item import Category
from vlm_inspect.datasets.mvtec import read_category
from vlm_inspect.localization.foreground import find_foreground
from vlm_inspect.localization.memory import FittedMemory, ReferenceMemory
from vlm_inspect.localization.memory_settings import MemorySettings
from vlm_inspect.localization.patch_memory.channels import ChannelWeights
from vlm_inspect.localization.subject import ANY_SUBJECT
from vlm_inspect.planting.surface import see_surface
from vlm_inspect.qualification.more_normals import plant_on_normals, with_more_normals
from vlm_inspect.qualification.qualify import Qualification, qualify
from vlm_inspect.qualification.settings import QualificationSettings
from vlm_inspect.references import Part, ReferenceSet

CALIBRATING = 60
HELD_OUT = 24
SIZE_CLASSES = (0.0, 0.03, 0.06, 0.12, 0.25, 1.0)
"""Edges of the sizes that real and planted defects are compared by, shares of the part's longer side."""


@dataclass(frozen=True)
class Outcomes:
    """One draw of one category."""

    category: str
    references: int
    calibrating: int
    draw: int
    image_auroc: float
    by_channel: dict[str, float]
    """Image AUROC of every channel alone."""
    weights: dict[str, float]
    """Of the score of odd places; 0 of the channels that look at the whole surface."""
    whole: dict[str, bool]
    """Which of the channels that look at the whole surface are heard."""
    pixel_auroc: float | None
    aupro: float | None
    """Where there are masks, at 256 px on the long side; AUPRO exact, limit 0.3."""
    anomalous: dict[str, int]
    """How many anomalous parts came out OK, REVIEW and NG."""
    normal: dict[str, int]
    earns_ok: bool
    a90_95_pct: float | None
    missed: float
    """Share of the planted defects of the sizes that matter under the bound of OK."""
    real_by_size: dict[str, tuple[int, int]]
    """Found and all real defects by size class, where there are masks."""
    planted_by_size: dict[str, tuple[int, int]]
    """Likewise of planted ones that have a size."""
    planted_uneven: tuple[int, int]
    """Likewise of planted changes of the whole surface."""
    real_by_type: dict[str, tuple[int, int]]
    ok_below: float
    ng_above: float
    usual_below: float
    defects_above: float
    normal_mean: float
    normal_spread: float
    expected_spread: float


def run_draw(category: Category, settings: MemorySettings, count: int, draw: int, *, planted: bool) -> list[Outcomes]:
    """Judge one category with one draw of references, and with 4 also calibrated."""
    order = random.Random(draw).sample(category.train, len(category.train))
    samples = [read(item.path) for item in order[:count]]
    parts = tuple(Part(sample, tuple(load(item.path))) for sample, item in zip(samples, order, strict=False))
    references = ReferenceSet(parts, tuple(f"{category.name}/{item.path.name}" for item in order[:count]))
    member = ReferenceMemory(settings).fit(references)
    qualified = qualify(references, [member], ANY_SUBJECT, ViewBudget(), QualificationSettings())
    assert qualified is not None
    judged = _plant_on(order[count : count + HELD_OUT]) if planted else _read_test(category)
    seen = _see(category, member, qualified, judged)
    found = [_outcomes(category, qualified, judged, seen, count, 0, draw)]
    if count == 4 and len(order) >= count + HELD_OUT * planted + CALIBRATING // 2:
        more = [item.path for item in order[count + HELD_OUT * planted :][:CALIBRATING]]
        normals = qualified.decision.judged(member.score([Part(None, tuple(load(path))) for path in more]))
        settings_of = QualificationSettings()
        tried = plant_on_normals(more, references, [member], ANY_SUBJECT, ViewBudget(), settings_of, qualified.trial)
        again = with_more_normals(qualified, normals, tried, settings=settings_of)
        found.append(_outcomes(category, again, judged, seen, count, len(more), draw))
    return found


@dataclass(frozen=True, eq=False)
class Seen:
    """What a memory says of judged views."""

    scores: NDArray[np.float64]
    """(N, C): log scores by channel."""
    by_channel: dict[str, float]
    pixel: tuple[float | None, float | None]


def _see(category: Category, member: FittedMemory, qualified: Qualification, judged: Judged) -> Seen:
    one, decision = member.memories["image"], qualified.decision
    weights = ChannelWeights(one.usual + decision.level, decision.weights)
    masked = judged.items is not None and category.has_masks
    found, maps = [], []
    for view in judged.views:  # maps of all views at full size would fill the memory
        (scored,) = one.memory.score([view])
        found.append(scored.log_scores)
        if masked:
            maps.append(shrink(weights.map(scored.maps())))
    scores = np.array(found)
    pixel: tuple[float | None, float | None] = (None, None)
    if masked and judged.items is not None:
        masks = [read_mask(item, drawn.shape[:2]) for item, drawn in zip(judged.items, maps, strict=True)]
        pixel = metrics.pixel_auroc(masks, maps), metrics.aupro(masks, maps)
    names = [channel.name for channel in one.memory.channels]
    alone = {name: _auroc(judged, scores[:, number]) for number, name in enumerate(names)}
    return Seen(scores - one.usual, alone, pixel)


def _outcomes(
    category: Category,
    qualified: Qualification,
    judged: Judged,
    seen: Seen,
    count: int,
    calibrating: int,
    draw: int,
) -> Outcomes:
    scores, bounds = qualified.decision.combine(seen.scores), qualified.decision.bounds
    names = np.where(scores > bounds.ng_above, "NG", np.where(scores <= bounds.ok_below, "OK", "REVIEW"))
    passing = bounds.ok_below if bounds.earns_ok else bounds.usual_below
    trial, normal = qualified.trial, scores[~judged.anomalous]
    sizes, types = _real(category, judged)
    held_up, whole = scores > passing, trial.planted.whole
    return Outcomes(
        category=category.name,
        references=count,
        calibrating=calibrating,
        draw=draw,
        image_auroc=_auroc(judged, scores),
        by_channel=seen.by_channel,
        weights=dict(zip(seen.by_channel, qualified.decision.weights.tolist(), strict=True)),
        whole=_whole_heard(qualified, list(seen.by_channel)),
        pixel_auroc=seen.pixel[0],
        aupro=seen.pixel[1],
        anomalous=_count(names[judged.anomalous]),
        normal=_count(names[~judged.anomalous]),
        earns_ok=bounds.earns_ok,
        a90_95_pct=qualified.sensitivity.size_pct,
        missed=qualified.sensitivity.missed,
        real_by_size=_by_size(sizes, held_up[judged.anomalous]) if sizes is not None else {},
        planted_by_size=_by_size(trial.planted.sizes[~whole], (qualified.responses > passing)[~whole]),
        planted_uneven=(int((qualified.responses[whole] > passing).sum()), int(whole.sum())),
        real_by_type=_by_type(types, held_up[judged.anomalous]),
        ok_below=bounds.ok_below if bounds.earns_ok else -99.0,
        ng_above=bounds.ng_above,
        usual_below=bounds.usual_below,
        defects_above=max(bounds.defects_above, -99.0),
        normal_mean=float(normal.mean()),
        normal_spread=float(normal.std()),
        expected_spread=qualified.decision.normal.spread,
    )


def _whole_heard(qualified: Qualification, names: list[str]) -> dict[str, bool]:
    vote = qualified.decision.whole
    return {names[column]: lay is not None for column, lay in zip(vote.columns, vote.lays, strict=True)}


def _real(category: Category, judged: Judged) -> tuple[NDArray[np.float64] | None, list[str]]:
    """Return the size of every real defect as a share of the part's longer side, where masks are, and its type."""
    if judged.items is None:
        return None, []
    odd = [(item, view) for item, view in zip(judged.items, judged.views, strict=True) if item.anomalous]
    types = [item.path.parent.name for item, _ in odd]
    if not category.has_masks:
        return None, types
    sizes = []
    for item, view in odd:
        area = float(read_mask(item, view.size_hw).sum())
        side = see_surface(view.image, find_foreground(view.image)).longer_side_px
        sizes.append(2 * np.sqrt(area / np.pi) / side)
    return np.array(sizes), types


def _count(names: NDArray[np.str_]) -> dict[str, int]:
    return {name: int((names == name).sum()) for name in ("OK", "REVIEW", "NG")}


def _by_size(sizes: NDArray[np.float64], found: NDArray[np.bool_]) -> dict[str, tuple[int, int]]:
    inside = {
        f"{100 * low:g}-{100 * high:g} %": (sizes >= low) & (sizes < high) for low, high in pairwise(SIZE_CLASSES)
    }
    return {name: (int(found[own].sum()), int(own.sum())) for name, own in inside.items()}


def _by_type(types: Sequence[str], found: NDArray[np.bool_]) -> dict[str, tuple[int, int]]:
    named = np.array(types)
    return {name: (int(found[named == name].sum()), int((named == name).sum())) for name in sorted(set(types))}


def show(rows: Sequence[Outcomes]) -> None:
    """Print one line a category and number of references: all draws together, with exact 95 % intervals."""
    print(
        "category             refs  image AUROC  anomalous: OK / NG, %          normal: OK / NG, %             a90/95"
    )
    for key in dict.fromkeys((row.category, row.references, row.calibrating) for row in rows):
        own = [row for row in rows if (row.category, row.references, row.calibrating) == key]
        name = f"{key[1]}+{key[2]}" if key[2] else str(key[1])
        a90 = " ".join("-" if row.a90_95_pct is None else f"{row.a90_95_pct:.1f}" for row in own)
        print(
            f"{key[0]:<19} {name:>5}  {np.mean([row.image_auroc for row in own]):.3f}        "
            f"{_share([row.anomalous for row in own], 'OK')} / {_share([row.anomalous for row in own], 'NG')}   "
            f"{_share([row.normal for row in own], 'OK')} / {_share([row.normal for row in own], 'NG')}   {a90}"
        )
    several = len({row.category for row in rows}) > 1
    for count, calibrating in dict.fromkeys((row.references, row.calibrating) for row in rows if several):
        own = [row for row in rows if (row.references, row.calibrating) == (count, calibrating)]
        means = [
            100 * np.mean([_rate(kind(row), outcome) for row in own])
            for kind in (lambda row: row.anomalous, lambda row: row.normal)
            for outcome in ("OK", "NG")
        ]
        name = f"{count}+{calibrating}" if calibrating else str(count)
        print(
            f"mean of classes     {name:>5}  {np.mean([row.image_auroc for row in own]):.3f}        "
            f"{means[0]:5.1f} / {means[1]:5.1f}                      {means[2]:5.1f} / {means[3]:5.1f}"
        )


def _rate(counts: dict[str, int], outcome: str) -> float:
    return counts[outcome] / max(1, sum(counts.values()))


def _share(counts: Sequence[dict[str, int]], outcome: str) -> str:
    found, of = sum(one[outcome] for one in counts), sum(sum(one.values()) for one in counts)
    low, high = overkill_interval(found, of) if of else (0.0, 1.0)
    return f"{100 * found / max(1, of):4.1f} [{100 * low:.0f}, {100 * high:.0f}]"


def main() -> None:
    """Measure and print."""
    default = os.environ.get("VLM_INSPECT_DATA", str(Path(__file__).resolve().parents[2] / "shared" / "data"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--eye", default=MemorySettings().eye, choices=["auto", "fast", "fine"])
    parser.add_argument("--references", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument(
        "--draws", type=int, nargs="+", default=[0, 1, 2], help="seeds of the references that are drawn"
    )
    parser.add_argument("--category", action="append", help="a folder below --data; may be given again")
    parser.add_argument("--features", type=Path, help="where features are kept; default: a temporary folder")
    parser.add_argument("--planted", action="store_true", help="judge planted defects, without looking at a test image")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows: list[Outcomes] = []
    with TemporaryDirectory() as temporary, features_kept_in(arguments.features or Path(temporary)):
        for name in arguments.category or CATEGORIES:
            category = read_category(arguments.data / name)
            for count, draw in product(arguments.references, arguments.draws):
                settings = MemorySettings(eye=arguments.eye)
                own = run_draw(category, settings, count, draw, planted=arguments.planted)
                rows += own
                show(own)
                if arguments.json is not None:
                    arguments.json.write_text(
                        json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8"
                    )
    show(rows)


if __name__ == "__main__":
    main()
