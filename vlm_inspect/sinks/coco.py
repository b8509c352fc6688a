"""The defects of all photos as one COCO file (object detection): boxes, categories, scores.

Format: https://cocodataset.org/#format-data. Boxes are [x, y, width, height] in pixels of the upright page. A photo
without a defect is an image without an annotation; scans, clips and curves, without pixels of their own, are left out.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlm_inspect.file_writing import write_atomically
from vlm_inspect.safe_text import path_text
from vlm_inspect.sinks.row import Row
from vlm_inspect.version import VERSION


@dataclass(frozen=True)
class CocoTable:
    """A COCO file; `file_name` is relative to its folder."""

    path: Path

    def write(self, rows: Sequence[Row]) -> None:
        """Write it, whole or not at all; raises OutputError."""
        write_atomically(self.path, json.dumps(coco_of(rows, self.path.parent), indent=1).encode())


def coco_of(rows: Sequence[Row], folder: Path) -> dict[str, Any]:
    """Return the file as JSON values; numbers of images and annotations begin with 1."""
    kinds = sorted({mark.type for row in rows if row.pictures for mark in row.marks})
    number_of = {kind: number for number, kind in enumerate(kinds, 1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for row in rows:
        for picture in row.pictures:
            images.append(
                {
                    "id": len(images) + 1,
                    "file_name": relative_place(row, folder),
                    "width": picture.width,
                    "height": picture.height,
                    "page": picture.page,
                    "outcome": row.outcome,
                    "sha256": row.sha256,
                }
            )
            for mark in row.marks:
                if mark.page == picture.page:
                    x0, y0, x1, y1 = mark.box_xyxy
                    annotations.append(
                        {
                            "id": len(annotations) + 1,
                            "image_id": len(images),
                            "category_id": number_of[mark.type],
                            "bbox": [x0, y0, x1 - x0, y1 - y0],
                            "area": (x1 - x0) * (y1 - y0),
                            "iscrowd": 0,
                            "score": mark.score,
                            "severity": mark.severity,
                        }
                    )
    return {
        "info": {"description": f"defects as vlm-inspect {VERSION} sees them"},
        "categories": [{"id": number, "name": kind} for kind, number in number_of.items()],
        "images": images,
        "annotations": annotations,
    }


def relative_place(row: Row, folder: Path) -> str:
    """Return where the part's file is in the end, from a folder, with slashes; absolute where that cannot be said."""
    place = Path(row.moved_to or row.source)
    try:
        return path_text(Path(os.path.relpath(place, folder)).as_posix())
    except ValueError:  # another drive
        return path_text(place.absolute().as_posix())
