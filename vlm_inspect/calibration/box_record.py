"""What a benchmark says of a model's boxes: `results.json` of `vlm-inspect bench`, read for that alone."""

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vlm_inspect.calibration_file import BoxRecord
from vlm_inspect.errors import CalibrationError

RESULTS = "results.json"


class _Class(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    model_boxes: int = Field(default=0, ge=0)
    boxes_right: int = Field(default=0, ge=0)
    boxes_sure: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)


class _Settings(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    model: str = Field(min_length=1)


class _Results(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    settings: _Settings
    categories: dict[str, _Class]


def read_box_record(run: Path) -> BoxRecord:
    """Return how often the boxes of a run's model were right, over all of its classes.

    Args:
        run: output folder of `bench`, over pictures with masks.

    Raises:
        CalibrationError: it is none, or its model named no place on pictures with masks.
    """
    path = run / RESULTS
    try:
        found = _Results.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise CalibrationError(
            f"{path} cannot be read ({error.strerror}); name the --out of a finished bench"
        ) from error
    except (ValueError, ValidationError, RecursionError) as error:
        raise CalibrationError(f"{path} is no result of bench; name the --out of a finished bench") from error
    classes = found.categories.values()
    boxes, sure = sum(one.model_boxes for one in classes), sum(one.boxes_sure for one in classes)
    if not boxes or sure <= 0:
        raise CalibrationError(
            f"{path}: {found.settings.model} named no place on pictures with masks, so nothing is known of its boxes; "
            "leave out --boxes-from, or run bench with a language model over a data set with masks"
        )
    right = sum(one.boxes_right for one in classes)
    return BoxRecord(model=found.settings.model, boxes=boxes, right=right, sure=sure)
