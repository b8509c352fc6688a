"""Painted plates, their rule book, and a store with a case of a spotted and of a clean one."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import uniform_filter

from vlm_inspect.evidence import AnomalyMap
from vlm_inspect.inspector import Inspector
from vlm_inspect.localization.localizer import PICTURES, Localization
from vlm_inspect.localization.subject import ANY_SUBJECT, Subject
from vlm_inspect.references import Part, ReferenceSet
from vlm_inspect.rules import load_rules, resolve_references
from vlm_inspect.store import CaseStore
from vlm_inspect.tolerance import tolerance_from_normals

RULES = """\
class_name: plate
rules:
  # what a plate looks like
  - id: no-spot
    text: The plate carries no spot.
  - id: bright
    text: It is not too dark.
    severity: minor
    check: {measure: brightness, min: 40, max: 200}   # grey level
defects: [spot]
references: [normal/*.png]
"""
SPOT = (170, 100, 186, 116)
"""Pixels x0, y0, x1, y1 of the spot on the plate of 320 x 320."""


def paint_plate(path: Path, *, seed: int, spot: bool = False, side: int = 320) -> Path:
    """Write a grey plate with faint noise, and a dark spot where asked."""
    rng = np.random.default_rng(seed)
    pixels = np.full((side, side, 3), 150, np.uint8) + rng.integers(0, 8, (side, side, 3), dtype=np.uint8)
    if spot:
        pixels[SPOT[1] : SPOT[3], SPOT[0] : SPOT[2]] = 20
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


class PlainDifference:
    """How far each place is from the mean of the references, in grey levels, smoothed: the same on every machine."""

    name = "memory"
    kinds = PICTURES

    def fit(self, references: ReferenceSet, subject: Subject = ANY_SUBJECT) -> "FittedDifference":
        return FittedDifference([_grey(one[0].image) for one in references.views])


class FittedDifference:
    name = "memory"
    judged_by = "memory 1"

    def __init__(self, greys: Sequence[NDArray[np.float64]]) -> None:
        others = [np.mean([one for one in greys if one is not grey], axis=0) for grey in greys]
        normal = [_smooth(np.abs(grey - other)) for grey, other in zip(greys, others, strict=True)]
        self._mean = np.mean(greys, axis=0)
        self._scores = tuple(float(values.max()) for values in normal)

    def localize(self, part: Part) -> Localization:
        tolerance = tolerance_from_normals(self._scores, overkill=0.05, prior_spread=0.1)
        maps = []
        for index, view in enumerate(part.views):
            values = _smooth(np.abs(_grey(view.image) - self._mean))
            matches = np.zeros((8, 8, 4), np.float32)
            matches[..., 0] = 1.0  # every place is most like its own place on the second reference
            matches[..., 3], matches[..., 2] = np.meshgrid(
                (np.arange(8) + 0.5) / 8, (np.arange(8) + 0.5) / 8, indexing="ij"
            )
            maps.append(
                AnomalyMap(
                    index,
                    values,
                    float(values.max()),
                    self.name,
                    tolerance=tolerance,
                    nearest_reference=1,
                    matches=matches,
                    normal_scores=self._scores,
                )
            )
        return Localization(tuple(maps))


def _grey(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    return image.astype(np.float64).mean(axis=2)


def _smooth(values: NDArray[np.float64], reach: int = 4) -> NDArray[np.float32]:
    """Return the mean over a square around each pixel."""
    return np.asarray(uniform_filter(values, 2 * reach + 1, mode="nearest"), dtype=np.float32)


def make_plates(folder: Path) -> Path:
    """Paint normal plates, a spotted one and a clean one, write their rules, and inspect both into a store."""
    for seed in range(4):
        paint_plate(folder / "normal" / f"{seed}.png", seed=seed)
    spotted = paint_plate(folder / "spot.png", seed=9, spot=True)
    clean = paint_plate(folder / "clean.png", seed=10)
    (folder / "plate.yaml").write_text(RULES)
    rules = load_rules(folder / "plate.yaml")
    inspector = Inspector(rules=rules, references=resolve_references(rules), localizer=PlainDifference())
    with CaseStore(folder / "cases.db") as store:
        for part in (clean, spotted):
            store.save(inspector.examine(part), part, settings={"localizer": "memory"})
    return folder
