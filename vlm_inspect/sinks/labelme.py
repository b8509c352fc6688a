"""The defects of each photo as a LabelMe file, to be corrected there: rectangles, named by the kind of defect."""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlm_inspect.errors import OutputError
from vlm_inspect.file_writing import check_folder, write_atomically
from vlm_inspect.sinks.coco import relative_place
from vlm_inspect.sinks.sink import Result

_FORM = "5.5.0"
"""Version of LabelMe whose form this is."""


@dataclass(frozen=True)
class LabelMeFiles:
    """A folder with one file a photo; `imagePath` is relative to it. Only the first page of a file of many has one."""

    folder: Path

    def check(self) -> None:
        """Make the folder; raises OutputError."""
        check_folder(self.folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{self.folder} cannot be made: {error.strerror or error}; name another") from error

    def deliver(self, result: Result) -> None:
        """Write the file of a photo; of anything else there is none."""
        row = result.row
        if not row.pictures:
            return
        picture = row.pictures[0]
        document: dict[str, Any] = {
            "version": _FORM,
            "flags": {row.outcome: True},
            "shapes": [
                {
                    "label": mark.type,
                    "points": [list(mark.box_xyxy[:2]), list(mark.box_xyxy[2:])],
                    "group_id": None,
                    "description": f"{mark.severity}, {mark.score:.2f}",
                    "shape_type": "rectangle",
                    "flags": {},
                }
                for mark in row.marks
                if mark.page == picture.page
            ],
            "imagePath": relative_place(row, self.folder),
            "imageData": None,
            "imageHeight": picture.height,
            "imageWidth": picture.width,
        }
        write_atomically(self.folder / _name(result.source), json.dumps(document, indent=1).encode())


def _name(source: Path) -> str:
    """Return a name that two parts of one name in two folders do not share."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", source.stem)[:60].lstrip(".") or "part"
    whole = str(source.absolute()).encode(errors="surrogateescape")
    return f"{stem}-{hashlib.sha256(whole).hexdigest()[:10]}.json"
