"""DeepPCB: `NAME_test.jpg` beside its defect-free template `NAME_temp.jpg`, and boxes in `NAME.txt`.

Source: Tang et al., arXiv 1902.06197, github.com/tangsanli5201/DeepPCB: boxes are lines of `x1 y1 x2 y2 type` with the
types 1 open, 2 short, 3 mousebite, 4 spur, 5 copper, 6 pin-hole; they stand in the folder `GROUP_not` beside `GROUP`,
and `test.txt` lists the test set as pairs of image (without `_test`) and box file. Every tested board has defects, so
that places can be scored and AUROC of images cannot.
"""

import re
from pathlib import Path

from vlm_inspect.datasets.item import Dataset, Item, Problem, ProblemKind
from vlm_inspect.datasets.listing import item_id
from vlm_inspect.datasets.masks import BoxMask
from vlm_inspect.errors import DatasetError

TYPES = {1: "open", 2: "short", 3: "mousebite", 4: "spur", 5: "copper", 6: "pin-hole"}
_CATEGORY = "pcb"
_TEST, _TEMPLATE = "_test.jpg", "_temp.jpg"

_Box = tuple[int, int, int, int]


class DeepPcb:
    """The data set, or any folder of such triples; each item's reference is its own template."""

    name = "deeppcb"

    def matches(self, root: Path) -> bool:
        """Return whether a tested image stands beside its template."""
        return any(_template_of(path).is_file() for path in root.rglob(f"*{_TEST}"))

    def read(self, root: Path) -> Dataset:
        """Return the test items: those that `test.txt` lists, where there is one.

        Raises:
            DatasetError: no tested image, or a box file that is wrong.
        """
        listed = _listed(root)
        items: list[Item] = []
        problems: list[Problem] = []
        for path in sorted(root.rglob(f"*{_TEST}")):
            if listed is not None and path.name.removesuffix(_TEST) not in listed:
                continue
            own, odd = _read_board(root, path)
            items += own
            problems += odd
        if not items:
            raise DatasetError(f"{root} has no image NAME{_TEST} with a template NAME{_TEMPLATE} and boxes NAME.txt")
        return Dataset(
            root.name, self.name, root, tuple(items), tuple(problems), note="Every tested board is anomalous."
        )


def _read_board(root: Path, path: Path) -> tuple[list[Item], list[Problem]]:
    name = path.name.removesuffix(_TEST)
    beside = path.parent / f"{name}.txt"
    boxes = beside if beside.is_file() else path.parent.with_name(f"{path.parent.name}_not") / f"{name}.txt"
    missing = next((one for one in (boxes, _template_of(path)) if not one.is_file()), None)
    if missing is not None:
        message = f"{item_id(root, path)} has no {missing.name}; it is left out"
        return [], [Problem(ProblemKind.MISSING_FILE, _CATEGORY, message, (path,))]
    found = _read_boxes(boxes)
    mask = BoxMask(boxes, path, tuple(box for box, _ in found), tuple(TYPES[kind] for _, kind in found))
    types = tuple(sorted(set(mask.types)))
    template = (_template_of(path),)
    return [Item(item_id(root, path), _CATEGORY, (path,), "test", True, types, mask, references=template)], []


def _read_boxes(path: Path) -> list[tuple[_Box, int]]:
    found = []
    for number, line in enumerate(_text_of(path).splitlines(), start=1):
        words = re.split(r"[,\s]+", line.strip())
        if words == [""]:
            continue
        if len(words) != 5 or not all(word.isdigit() for word in words) or int(words[4]) not in TYPES:
            raise DatasetError(f"{path} line {number}: a box is x1 y1 x2 y2 and a type from 1 to 6, not {line!r}")
        left, top, right, bottom, kind = map(int, words)
        if left >= right or top >= bottom:
            raise DatasetError(f"{path} line {number}: the box {line!r} has no area")
        found.append(((left, top, right, bottom), kind))
    if not found:
        raise DatasetError(f"{path} has no box; every tested board has a defect")
    return found


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read ({error}); unpack the data set again") from error


def _listed(root: Path) -> set[str] | None:
    """Return the names in test.txt; None where there is no such list."""
    path = next(iter(sorted(root.rglob("test.txt"))), None)
    if path is None:
        return None
    lines = _text_of(path).split()
    return {Path(word).stem for word in lines if word.lower().endswith(".jpg")}


def _template_of(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(_TEST) + _TEMPLATE)
