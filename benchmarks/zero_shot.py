"""Zero-shot localizers on classes that they never saw: how well they tell and place defects without references.

    python -m benchmarks.zero_shot [dapo-mini] [rarity] [dapo] ... [--data DIR] [--category C]... [--json FILE]

"rarity" is what the reference memory falls back to without references, "dapo-mini" the weights that come with the
package; every other name is a text-driven localizer of `--localizer` (with `--clip` and `--checkpoint`). Scores are
compared within one class; averages over classes are unweighted. Pixel metrics at 256 px, longest side; a class without
masks has none. Nothing here is trained or tuned, and no image of these classes was trained on.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean

import numpy as np

from benchmarks.reference_memory import CATEGORIES, average, load, pixel_metrics
from evaluation import metrics
from vlm_inspect.datasets.mvtec import Category, read_category
from vlm_inspect.evidence import AnomalyMap
from vlm_inspect.localization.localizer import Localizer
from vlm_inspect.localization.settings import LocalizerSettings
from vlm_inspect.localization.subject import Subject
from vlm_inspect.references import Part, ReferenceSet

METHODS = ("dapo-mini", "rarity")


@dataclass(frozen=True)
class Row:
    """One method on one category; None where the data cannot tell."""

    method: str
    category: str
    normal: int
    anomalous: int
    image_auroc: float | None
    image_ap: float | None
    pixel_auroc: float | None
    aupro: float | None
    ms_image: float
    """Median time of one image, decoded, after loading."""


def make(name: str, settings: LocalizerSettings) -> Localizer:
    """Return a localizer that uses no references."""
    from vlm_inspect.localization.making import Maker
    from vlm_inspect.localization.memory import ReferenceMemory
    from vlm_inspect.localization.text_localizer import TextLocalizer

    if name == "rarity":
        return ReferenceMemory(settings.memory)
    if name == "dapo-mini":
        from vlm_inspect.localization.dapo_mini.judge import load_dapo_mini

        return TextLocalizer(load_dapo_mini())
    return Maker(settings).make(name)


def measure(method: str, localizer: Localizer, category: Category, name: str, limit: int | None) -> Row:
    """Score the test images of one category, without references."""
    step = 1 if limit is None else max(1, len(category.test) // limit)
    test = category.test[::step]
    subject = Subject(category.name.replace("_", " "))
    fitted = localizer.fit(ReferenceSet(), subject)
    found: list[AnomalyMap] = []
    times: list[float] = []
    for item in (test[0], *test):  # the first one loads the weights
        views = load(item.path)
        start = time.perf_counter()
        (one,) = fitted.localize(Part(None, tuple(views))).maps
        times.append(time.perf_counter() - start)
        found.append(one)
    found, times = found[1:], times[1:]
    labels, scores = [item.anomalous for item in test], [one.score for one in found]
    pixel_auroc, aupro = pixel_metrics(test, found) if category.has_masks else (None, None)
    return Row(
        method=method,
        category=name,
        normal=labels.count(False),
        anomalous=labels.count(True),
        image_auroc=metrics.image_auroc(labels, scores),
        image_ap=metrics.image_ap(labels, scores),
        pixel_auroc=pixel_auroc,
        aupro=aupro,
        ms_image=1e3 * float(np.median(times)),
    )


def show(rows: Sequence[Row]) -> None:
    """Print one line a method and category, and the average of each method."""
    print("method       category            normal  anomalous  image AUROC  image AP  pixel AUROC  AUPRO  ms/image")
    for method in dict.fromkeys(row.method for row in rows):
        own = [row for row in rows if row.method == method]
        for row in own:
            print(_line(method, row.category, str(row.normal), str(row.anomalous), [row]))
        print(_line(method, "average", "", "", own))


def _line(method: str, name: str, normal: str, anomalous: str, rows: Sequence[Row]) -> str:
    columns: tuple[Callable[[Row], float | None], ...] = (
        lambda row: row.image_auroc,
        lambda row: row.image_ap,
        lambda row: row.pixel_auroc,
        lambda row: row.aupro,
    )
    numbers = [average([column(row) for row in rows]) for column in columns]
    took = mean(row.ms_image for row in rows)
    return (
        f"{method:<12} {name:<19} {normal:>6}  {anomalous:>9}  {numbers[0]:>11}  {numbers[1]:>8}  {numbers[2]:>11}  "
        f"{numbers[3]:>5}  {took:>8.0f}"
    )


def main() -> None:
    """Run the benchmark."""
    default = os.environ.get("VLM_INSPECT_DATA", str(Path(__file__).resolve().parents[2] / "shared" / "data"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", default=list(METHODS), help=f"by default {' '.join(METHODS)}")
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--category", action="append", help="a folder below --data; may be given again")
    parser.add_argument("--limit", type=int, help="about how many test images of each category")
    parser.add_argument("--clip", help="weights of other methods, see vlm-inspect ask --help")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    settings = LocalizerSettings(clip=arguments.clip, checkpoint=arguments.checkpoint)
    rows = []
    for method in arguments.methods:
        localizer = make(method, settings)
        for name in arguments.category or CATEGORIES:
            rows.append(measure(method, localizer, read_category(arguments.data / name), name, arguments.limit))
    show(rows)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
