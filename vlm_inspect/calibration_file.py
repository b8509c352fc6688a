"""The file that `vlm-inspect calibrate` writes: thresholds and weights, and what they hold for."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from converters.view import ViewBudget
from vlm_inspect.decision.thresholds import MadeWith, Thresholds
from vlm_inspect.errors import CalibrationError
from vlm_inspect.file_writing import write_atomically
from vlm_inspect.localization.composition import OWN_NAMES
from vlm_inspect.references import reference_digests
from vlm_inspect.rules import RuleBook
from vlm_inspect.safe_text import path_text
from vlm_inspect.sensitivity.record import Sensitivity
from vlm_inspect.sensitivity.whole_surface import WholeLay

Weight = Annotated[float, Field(ge=0.0, le=1e6, allow_inf_nan=False)]
"""Bounded, so that no sum or product of weights overflows."""
_PRIOR_BOXES = 4.0
"""How many sure boxes the guess of one half counts for."""
_EARLIER = {
    "1": "without its references",
    "2": "and does not tell by which networks and defects its parts were judged",
}
"""What files of earlier versions lack."""
Probability = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]


class BoxRecord(BaseModel):
    """How often the boxes of a model meant the right place, in a benchmark with masks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(min_length=1)
    boxes: int = Field(ge=1)
    right: int = Field(ge=0)
    """Boxes that meant the place of a defect."""
    sure: float = Field(gt=0.0, allow_inf_nan=False)
    """Sum of the probabilities that the model gave with them."""

    @property
    def trust(self) -> float:
        """The share of sure boxes that are right, in (0, 1]; few boxes leave it near one half."""
        return min(1.0, (self.right + _PRIOR_BOXES / 2) / (self.sure + _PRIOR_BOXES))


class Calibration(BaseModel):
    """A calibration file: thresholds and weights, the rule book and localizer they hold for, and their overkill."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[3] = 3
    rules_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """`RuleBook.scoring_sha256`: of what moves scores, not of the description's wording."""
    references_sha256: tuple[str, ...] = ()
    """Digests of the references, sorted: other ones give other scores."""
    localizer: str = Field(min_length=1)
    judged_by: tuple[Annotated[str, Field(min_length=1)], ...]
    """Methods, networks and versions that gave the scores, see `FittedClass.judged_by`: others give other ones."""
    views: ViewBudget | None = None
    """How many pictures each part became: a picture judged in tiles scores higher than whole. None: not told."""
    n: int = Field(ge=2)
    """Number of normal samples."""
    overkill: Probability
    """Share of normal samples that the thresholds call NG or REVIEW."""
    overkill_ci95: tuple[Probability, Probability]
    """Exact 95 % interval of that share for new normal samples, as far as n allows."""
    asked_overkill: Probability | None = None
    """The rate that was asked for: at most this share of new normal samples scores above `ok_below`."""
    ok_below: Probability
    ng_above: Probability
    asked_missed: Probability | None = None
    """Share of planted defects of the size that matters that may be called OK; None: a model was asked, and none were
    planted."""
    sensitivity: Sensitivity | None = None
    """Which planted defects these bounds would have held up; None: as above, or the file is of an older version."""
    whole: tuple[WholeLay | None, ...] | None = None
    """How each score of the surface as a whole is laid over that of odd places, so that its own bounds lie on
    `ok_below` and `ng_above`; None for one that is not heard, or for all: as the references say."""
    model_weight: Weight = 0.5
    heatmap_weight: Weight = 0.5
    boxes: BoxRecord | None = None
    """What is known of a model's boxes; None: nothing."""

    @model_validator(mode="after")
    def _is_ordered(self) -> Self:
        if self.ok_below > self.ng_above:
            raise ValueError(f"ok_below {self.ok_below:g} is above ng_above {self.ng_above:g}")
        if not self.overkill_ci95[0] <= self.overkill <= self.overkill_ci95[1]:
            raise ValueError(f"overkill {self.overkill:g} lies outside its interval {self.overkill_ci95}")
        if self.model_weight + self.heatmap_weight <= 0:
            raise ValueError("model_weight and heatmap_weight are both 0")
        return self

    @property
    def thresholds(self) -> Thresholds:
        """The thresholds that fusion takes, for any model, whatever judges."""
        return self.thresholds_for("")

    def thresholds_for(self, model: str, path: Path | None = None) -> Thresholds:
        """Return the thresholds that fusion takes, with what is known of this model's boxes.

        Args:
            model: its name.
            path: the file, so that what judges can be held against what it was made with; None: that is not checked.
        """
        known = self.boxes is not None and self.boxes.model == model
        return Thresholds(
            ok_below=self.ok_below,
            ng_above=self.ng_above,
            model_weight=self.model_weight,
            heatmap_weight=self.heatmap_weight,
            calibrated=True,
            box_trust=self.boxes.trust if known and self.boxes is not None else None,
            sensitivity=self.sensitivity,
            whole=self.whole,
            made_with=None if path is None else MadeWith(path_text(path), self.judged_by),
        )


def save_calibration(calibration: Calibration, path: Path) -> None:
    """Write a calibration file, whole or not at all.

    Raises:
        OutputError: the place cannot be written.
    """
    write_atomically(path, (calibration.model_dump_json(indent=2) + "\n").encode())


def load_thresholds(
    path: Path, rules: RuleBook, localizer: str, references: Sequence[Path], views: ViewBudget, *, model: str = ""
) -> Thresholds:
    """Return the thresholds of a calibration file, checked as in `load_calibration`.

    Args:
        path: the file.
        rules: the rule book.
        localizer: its name; `none`: there is none.
        references: files of the references, and folders of them.
        views: how many pictures each part becomes.
        model: its name, for what is known of its boxes.

    Raises:
        CalibrationError: see `load_calibration`.
        ConversionError, ReferenceSampleError: a reference cannot be read.
    """
    digests = reference_digests(references)
    return load_calibration(
        path, rules_sha256=rules.scoring_sha256, localizer=localizer, references_sha256=digests, views=views
    ).thresholds_for(model, path)


def load_calibration(
    path: Path,
    *,
    rules_sha256: str,
    localizer: str,
    references_sha256: Sequence[str] | None = None,
    views: ViewBudget | None = None,
) -> Calibration:
    """Read a calibration file and check that it holds for this rule book, these references and this localizer.

    Args:
        path: the file.
        rules_sha256: `RuleBook.scoring_sha256`.
        localizer: its name.
        references_sha256: digests of the references; None: they are not checked.
        views: how many pictures each part becomes; None: that is not checked.

    Raises:
        CalibrationError: unreadable, of another version, or made for something else; the message names what differs.
    """
    if not path.exists():
        raise CalibrationError(f"--calibration {path}: no such file; name the one that vlm-inspect calibrate wrote")
    if path.exists() and not path.is_file():  # a pipe or a device: reading it could wait for ever
        raise CalibrationError(f"{path} is not a file; name the one that vlm-inspect calibrate wrote")
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(raw, dict) and (missing := _EARLIER.get(str(raw.get("version")))):
            raise CalibrationError(f"{path} was made by an earlier version, {missing}; run vlm-inspect calibrate again")
        calibration = Calibration.model_validate(raw)
    except OSError as error:
        raise CalibrationError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "top level"
        raise CalibrationError(f"{path}: {place}: {first['msg']}; run vlm-inspect calibrate again") from error
    except (ValueError, RecursionError) as error:
        raise CalibrationError(f"{path} is not JSON: {error}; run vlm-inspect calibrate again") from error
    if calibration.rules_sha256 != rules_sha256:
        raise CalibrationError(
            f"{path} was made for another rule book, in more than its description; run vlm-inspect calibrate again"
        )
    # What judges curves and clips by itself does so whichever localizer is chosen; `judged_by` is held against it.
    if calibration.localizer not in (localizer, *OWN_NAMES):
        raise CalibrationError(
            f"{path} was made with localizer {calibration.localizer}, not {localizer}; run vlm-inspect calibrate again"
        )
    _check_views(path, calibration.views, views)
    if references_sha256 is not None:
        _check_references(path, set(calibration.references_sha256), set(references_sha256))
    return calibration


def _check_views(path: Path, made_with: ViewBudget | None, given: ViewBudget | None) -> None:
    if made_with is None or given is None or made_with == given:
        return
    was, now = asdict(made_with), asdict(given)
    told = ", ".join(f"{name} {was[name]}, not {now[name]}" for name in was if was[name] != now[name])
    raise CalibrationError(f"{path} was made with other views ({told}; see --tiles); run vlm-inspect calibrate again")


def _check_references(path: Path, made_with: set[str], given: set[str]) -> None:
    if made_with == given:
        return
    gone, new = len(made_with - given), len(given - made_with)
    differences = [f"{gone} of its references are missing"] * bool(gone) + [f"{new} are new"] * bool(new)
    raise CalibrationError(
        f"{path} was made with other references: {' and '.join(differences)}; run vlm-inspect calibrate again"
    )
