"""A kept case of each kind of input, measured without a localizer: small files, real converters, a real store."""

from pathlib import Path

import numpy as np
from PIL import Image

from converters.view import ViewBudget
from vlm_inspect.inspector import ANY_PART, Inspector
from vlm_inspect.rules import RuleBook
from vlm_inspect.store import CaseStore
from vlm_inspect.tools.material import Material
from vlm_inspect.tools.toolbox import Toolbox

BUDGET = ViewBudget(scan_size=192)
BOX_MM = (40.0, 24.0, 10.0)
"""Sides of the scanned box."""


def keep(
    store: CaseStore, path: Path, rules: RuleBook = ANY_PART, *references: Path, keep_input: bool = False
) -> Toolbox:
    """Inspect a file into a store, and return the tools over its case."""
    inspector = Inspector(rules=rules, references=references, localizer=None, budget=BUDGET)
    case = store.load(store.save(inspector.examine(path), path, keep_input=keep_input))
    return Toolbox(Material(case, store, rules))


def photograph(path: Path, size_wh: tuple[int, int] = (1500, 900)) -> Path:
    """Write a picture whose pixel at (x, y) is (x mod 256, y mod 256, 7): every crop tells where it is from."""
    x, y = np.meshgrid(np.arange(size_wh[0]) % 256, np.arange(size_wh[1]) % 256)
    Image.fromarray(np.dstack([x, y, np.full_like(x, 7)]).astype(np.uint8)).save(path)
    return path


def scan(path: Path, *, patch: int = 0) -> Path:
    """Write the surface of a box as points, and so many more within 2 mm of the middle of its widest faces."""
    rng = np.random.default_rng(3)
    points = rng.uniform(-0.5, 0.5, (9000, 3))
    side = rng.integers(0, 3, len(points))
    points[np.arange(len(points)), side] = np.sign(rng.uniform(-1, 1, len(points))) / 2
    more = rng.uniform(-2.0, 2.0, (patch, 3))
    more[:, 2] = np.sign(more[:, 2]) * BOX_MM[2] / 2
    np.savetxt(path, np.vstack([points * BOX_MM, more]), fmt="%.4f")
    return path


def clip(folder: Path, count: int = 30) -> Path:
    """Write frames whose grey level is eight times their number."""
    folder.mkdir()
    for i in range(count):
        Image.fromarray(np.full((48, 64, 3), 8 * i, np.uint8)).save(folder / f"{i:03d}.png")
    return folder


def curve(path: Path) -> Path:
    """Write ten seconds of a sine."""
    time_s = np.arange(1000) / 100
    table = np.column_stack([time_s, np.sin(6 * time_s)])
    np.savetxt(path, table, delimiter=",", header="time (s),accel (g)", comments="", fmt="%.5f")
    return path
