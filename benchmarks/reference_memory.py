"""The reference memory on real parts: how well it tells and places defects, what it costs, and how it errs by default.

    python -m benchmarks.reference_memory [--data DIR] [--backbone B] [--draws 3] [--category C]... [--json FILE]

References are drawn from the train split at random, once a draw; every test image is scored in every draw. Overkill is
the share of normal images beyond the default tolerance (test images, and train images that are no reference); miss is
the share of anomalous ones within it. Pixel metrics need masks.
"""

import argparse
import json
import os
import random
import resource
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev

import numpy as np
from numpy.typing import NDArray

from converters.registry import read, render
from converters.view import View, ViewBudget
from evaluation import metrics
from vlm_inspect.datasets.item import Category, Item
from vlm_inspect.datasets.masks import read_at_size
from vlm_inspect.datasets.mvtec import read_category
from vlm_inspect.evidence import AnomalyMap
from vlm_inspect.localization.memory import FittedMemory, ReferenceMemory
from vlm_inspect.localization.memory_settings import MemorySettings
from vlm_inspect.references import Part, ReferenceSet

CATEGORIES = ("mvtec/bottle", "mvtec/screw", "mvtec/hazelnut", "mvtec/transistor", "magnetic_tile")
REFERENCES = 4
REFERENCES_OF = {"magnetic_tile": 16}
HELD_OUT = 20
"""Train images beside the references that measure overkill."""
PIXEL_SIDE = 256
"""Longest side in pixels at which pixel metrics are computed."""


@dataclass(frozen=True)
class Row:
    """One draw of one category; rates in [0, 1]; None where the data cannot tell."""

    category: str
    references: int
    draw: int
    image_auroc: float | None
    pixel_auroc: float | None
    aupro: float | None
    overkill: float
    miss: float
    normal_spread: float
    """Standard deviation of the log score among normal images."""
    ms_image: float
    """Median time of one image, decoded, after loading."""


def load(path: Path) -> list[View]:
    """Return the whole view of one image, as `ask` would see it."""
    return [view for view in render(read(path), ViewBudget()) if view.key == "image"]


def shrink(values: NDArray[np.float32], *, nearest: bool = False) -> NDArray[np.float32]:
    """Return a map or mask at the size of the pixel metrics."""
    import cv2

    scale = min(1.0, PIXEL_SIDE / max(values.shape))
    size = max(1, round(values.shape[1] * scale)), max(1, round(values.shape[0] * scale))
    how = cv2.INTER_NEAREST if nearest else cv2.INTER_AREA
    return np.asarray(cv2.resize(values, size, interpolation=how), np.float32)


def read_mask(item: Item, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the mask of an item at its map's size; empty for normal items."""
    return read_at_size(item.mask, shape)


def run_draw(category: Category, name: str, memory: ReferenceMemory, draw: int, limit: int | None) -> Row:
    """Score one category with one draw of references."""
    count = min(REFERENCES_OF.get(name, REFERENCES), len(category.train))
    order = random.Random(draw).sample(category.train, len(category.train))
    references = [load(item.path) for item in order[:count]]
    held_out = order[count : count + HELD_OUT]
    fitted = memory.fit(ReferenceSet.of_views(references))
    fitted.localize(Part(None, tuple(references[0])))  # warm
    step = 1 if limit is None else max(1, len(category.test) // limit)
    test = category.test[::step]
    times: list[float] = []
    found = [judge(fitted, item, times) for item in test]
    beside = [judge(fitted, item, times) for item in held_out]
    normal = [one for one, item in zip(found, test, strict=True) if not item.anomalous] + beside
    odd = [one for one, item in zip(found, test, strict=True) if item.anomalous]
    pixel_auroc, aupro = pixel_metrics(test, found) if category.has_masks else (None, None)
    logs = np.log([max(one.score, 1e-9) for one in normal])
    return Row(
        category=name,
        references=count,
        draw=draw,
        image_auroc=metrics.image_auroc([item.anomalous for item in test], [one.score for one in found]),
        pixel_auroc=pixel_auroc,
        aupro=aupro,
        overkill=mean(exceeds(one) for one in normal),
        miss=mean(not exceeds(one) for one in odd),
        normal_spread=float(logs.std()),
        ms_image=1e3 * float(np.median(times)),
    )


def judge(fitted: FittedMemory, item: Item, times: list[float]) -> AnomalyMap:
    """Return the map of one image and note the time that it took."""
    views = load(item.path)
    start = time.perf_counter()
    (found,) = fitted.localize(Part(None, tuple(views))).maps
    times.append(time.perf_counter() - start)
    return found


def exceeds(found: AnomalyMap) -> bool:
    """Tell whether a map is beyond its tolerance."""
    return found.probability is not None and found.probability >= 0.5


def pixel_metrics(items: Sequence[Item], found: Sequence[AnomalyMap]) -> tuple[float | None, float | None]:
    """Return pixel AUROC and AUPRO."""
    maps = [shrink(one.values) for one in found]
    masks = [read_mask(item, (one.shape[0], one.shape[1])) for item, one in zip(items, maps, strict=True)]
    return metrics.pixel_auroc(masks, maps), metrics.aupro(masks, maps)


def show(rows: Sequence[Row]) -> None:
    """Print one line a category: the mean over its draws, and the deviation of the image AUROC."""
    print("category            refs  image AUROC     pixel AUROC  AUPRO   overkill  miss   spread  ms/image")
    for name in dict.fromkeys(row.category for row in rows):
        own = [row for row in rows if row.category == name]
        auroc = [row.image_auroc for row in own if row.image_auroc is not None]
        around = f"±{stdev(auroc):.3f}" if len(auroc) > 1 else "      "
        print(
            f"{name:<19} {own[0].references:>4}  {average(auroc)} {around}   "
            f"{average([r.pixel_auroc for r in own])}        {average([r.aupro for r in own])}   "
            f"{mean(r.overkill for r in own):.3f}     {mean(r.miss for r in own):.3f}  "
            f"{mean(r.normal_spread for r in own):.3f}   {mean(r.ms_image for r in own):.0f}"
        )


def average(values: Sequence[float | None]) -> str:
    """Return the mean of the known values in three decimals, or a dash."""
    known = [value for value in values if value is not None]
    return f"{mean(known):.3f}" if known else "-    "


def main() -> None:
    """Run the benchmark."""
    default = os.environ.get("VLM_INSPECT_DATA", str(Path(__file__).resolve().parents[2] / "shared" / "data"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--backbone", default="lite0")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--category", action="append", help="a folder below --data; may be given again")
    parser.add_argument("--limit", type=int, help="about how many test images of each category")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = []
    for name in arguments.category or CATEGORIES:
        category = read_category(arguments.data / name)
        for draw in range(arguments.draws):
            memory = ReferenceMemory(MemorySettings(backbone=arguments.backbone))
            rows.append(run_draw(category, name, memory, draw, arguments.limit))
    show(rows)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"backbone {arguments.backbone}, {arguments.draws} draws, peak memory {peak_mb:.0f} MB")
    if arguments.json is not None:
        record = {"backbone": arguments.backbone, "peak_mb": peak_mb, "rows": [asdict(row) for row in rows]}
        arguments.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
