"""The eyes on real parts: how well they rank and place defects, by number of references.

    python -m benchmarks.eyes [--data DIR] [--eye fast|fine]... [--references 1 4 16] [--draws 3] [--category C]...
                              [--features DIR] [--json FILE]

References are drawn from the train split at random, once a draw; every test image is scored in every draw. The weights
of the channels are learned from defects planted on the references (`vlm_inspect/qualification`), as in an inspection;
beside them stands every channel alone. No label plays a part in any of it. Pixel metrics need masks.

    python -m benchmarks.eyes --planted

ranks normal training pictures that are no references against the same pictures with planted defects instead: what the
settings were chosen by.
"""

import argparse
import json
import os
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from statistics import mean, stdev
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from benchmarks.kept_features import features_kept_in
from benchmarks.reference_memory import CATEGORIES, average, load, read_mask, shrink
from converters.registry import read
from converters.view import View, ViewBudget
from evaluation import metrics
from vlm_inspect.datasets.item import Category, Item
from vlm_inspect.datasets.mvtec import read_category
from vlm_inspect.localization.foreground import find_foreground
from vlm_inspect.localization.memory import ReferenceMemory
from vlm_inspect.localization.memory_settings import MemorySettings
from vlm_inspect.localization.patch_memory.channels import ChannelWeights
from vlm_inspect.localization.subject import ANY_SUBJECT
from vlm_inspect.planting.design import STANDARD_SIZES, design
from vlm_inspect.planting.picture import kinds_for, plant
from vlm_inspect.planting.surface import see_surface
from vlm_inspect.qualification.qualify import qualify
from vlm_inspect.qualification.settings import QualificationSettings
from vlm_inspect.references import Part, ReferenceSet

HELD_OUT = 24
"""Training pictures beside the references that serve as normal parts, with --planted."""
PLANTED_EACH = 2
"""Defects planted on each of them, one a picture."""


@dataclass(frozen=True)
class Row:
    """One draw of one category."""

    category: str
    eye: str
    references: int
    draw: int
    image_auroc: float
    by_channel: dict[str, float]
    """Image AUROC of every channel alone."""
    weights: dict[str, float]
    pixel_auroc: float | None
    aupro: float | None
    level_error: float
    """Mean combined log score of normal parts over what the references let expect."""
    normal_spread: float
    """Standard deviation of the combined log score among normal parts."""


@dataclass(frozen=True, eq=False)
class Judged:
    """Views with their labels, and masks where there are any."""

    views: list[View]
    anomalous: NDArray[np.bool_]
    items: Sequence[Item] | None = None


def run_draw(category: Category, name: str, settings: MemorySettings, count: int, draw: int, *, planted: bool) -> Row:
    """Score one category with one draw of references."""
    order = random.Random(draw).sample(category.train, len(category.train))
    samples = [read(item.path) for item in order[:count]]
    parts = tuple(Part(sample, tuple(load(item.path))) for sample, item in zip(samples, order, strict=False))
    references = ReferenceSet(parts, tuple(item.path.name for item in order[:count]))
    fitted = ReferenceMemory(settings).fit(references)
    qualified = qualify(references, [fitted], ANY_SUBJECT, ViewBudget(), QualificationSettings())
    assert qualified is not None
    one = fitted.memories["image"]
    weights = ChannelWeights(one.usual + qualified.decision.level, qualified.decision.weights)
    judged = _plant_on(order[count : count + HELD_OUT]) if planted else _read_test(category)
    found = one.memory.score(judged.views)
    scores = np.array([seen.log_scores for seen in found])
    combined = qualified.decision.combine(scores - one.usual)
    pixel_auroc, aupro = None, None
    if judged.items is not None and category.has_masks:
        maps = [shrink(weights.map(seen.maps())) for seen in found]
        masks = [read_mask(item, drawn.shape[:2]) for item, drawn in zip(judged.items, maps, strict=True)]
        pixel_auroc, aupro = metrics.pixel_auroc(masks, maps), metrics.aupro(masks, maps)
    names = [channel.name for channel in one.memory.channels]
    normal = combined[~judged.anomalous]
    return Row(
        category=name,
        eye=settings.eye,
        references=count,
        draw=draw,
        image_auroc=_auroc(judged, combined),
        by_channel={channel: _auroc(judged, scores[:, c]) for c, channel in enumerate(names)},
        weights=dict(zip(names, weights.weights.tolist(), strict=True)),
        pixel_auroc=pixel_auroc,
        aupro=aupro,
        level_error=float(normal.mean()),
        normal_spread=float(normal.std()),
    )


def _auroc(judged: Judged, scores: NDArray[np.float64]) -> float:
    return metrics.image_auroc(judged.anomalous.tolist(), scores.tolist()) or 0.0


def _read_test(category: Category) -> Judged:
    views = [load(item.path)[0] for item in category.test]
    return Judged(views, np.array([item.anomalous for item in category.test]), category.test)


def _plant_on(items: Sequence[Item]) -> Judged:
    """Return normal pictures, and the same pictures with defects of every kind, size and contrast."""
    normal = [load(item.path)[0] for item in items]
    surfaces = [see_surface(view.image, find_foreground(view.image)) for view in normal]
    kinds = [kinds_for(surface) for surface in surfaces]
    compact = float(np.median([surface.compactness for surface in surfaces]))
    plan = design(kinds, PLANTED_EACH * len(normal), matters=(STANDARD_SIZES[0] * compact, STANDARD_SIZES[1] * compact))
    odd = []
    for one in plan:
        generator = np.random.default_rng(one.seed)
        made = plant(surfaces[one.reference], one.kind, one.size, one.contrast, generator)
        odd.append(replace(normal[one.reference], image=made.picture))
    return Judged([*normal, *odd], np.array([False] * len(normal) + [True] * len(odd)))


def show(rows: Sequence[Row]) -> None:
    """Print one line a category, eye and number of references: means over the draws."""
    print(
        "category            eye   refs  image AUROC     pixel  AUPRO  level  spread  each channel alone / its weight"
    )
    for key in dict.fromkeys((row.category, row.eye, row.references) for row in rows):
        own = [row for row in rows if (row.category, row.eye, row.references) == key]
        auroc = [row.image_auroc for row in own]
        around = f"±{stdev(auroc):.3f}" if len(auroc) > 1 else "      "
        channels = "  ".join(
            f"{mean(row.by_channel[name] for row in own):.3f}/{mean(row.weights[name] for row in own):.2f}"
            for name in own[0].by_channel
        )
        print(
            f"{key[0]:<19} {key[1]:<5} {key[2]:>4}  {mean(auroc):.3f} {around}   "
            f"{average([row.pixel_auroc for row in own])}  {average([row.aupro for row in own])}  "
            f"{mean(row.level_error for row in own):+.2f}   {mean(row.normal_spread for row in own):.2f}   {channels}"
        )
    for eye, count in dict.fromkeys((row.eye, row.references) for row in rows):
        own = [row for row in rows if (row.eye, row.references) == (eye, count)]
        print(f"mean                {eye:<5} {count:>4}  {mean(row.image_auroc for row in own):.3f}")


def main() -> None:
    """Measure and print."""
    default = os.environ.get("VLM_INSPECT_DATA", str(Path(__file__).resolve().parents[2] / "shared" / "data"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--eye", action="append", choices=["fast", "fine"])
    parser.add_argument("--references", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--category", action="append", help="a folder below --data; may be given again")
    parser.add_argument("--features", type=Path, help="where features are kept; default: a temporary folder")
    parser.add_argument("--planted", action="store_true", help="rank planted defects, without looking at a test image")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = []
    with TemporaryDirectory() as temporary, features_kept_in(arguments.features or Path(temporary)):
        for name in arguments.category or CATEGORIES:
            category = read_category(arguments.data / name)
            for eye, count, draw in product(arguments.eye or ["fine"], arguments.references, range(arguments.draws)):
                settings = MemorySettings(eye=eye)
                rows.append(run_draw(category, name, settings, count, draw, planted=arguments.planted))
                show(rows[-1:])
    show(rows)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
