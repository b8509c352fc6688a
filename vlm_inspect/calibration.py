"""Thresholds from normal samples alone.

`tolerance_from_normals` turns the scores of normal samples into an upper prediction bound for the next normal one.
Scores of normal samples are positive and skewed, so the bound is taken on their logarithm: with mean m and standard
deviation s of n log scores, a new normal score exceeds

    exp(m + t_{n-1, 1-a} * s * sqrt(1 + 1/n))

with probability a, the overkill rate (the prediction interval of a normal sample with unknown variance; Student t).
Few samples say little about s, so it is shrunk towards a prior spread that counts as `PRIOR_DOF` more samples, as a
scaled inverse chi-square prior does (Gelman et al., Bayesian Data Analysis, 3rd ed., eq. 2.12 and 3.3).

How to read the rate: over many classes of parts, each calibrated on its own n normal samples, the share a of new
normal parts exceeds the limit of its class; this holds exactly where the spreads of the classes follow the prior. A
class that spreads less is called anomalous more rarely. One that spreads more is called anomalous too often while the
samples are few: at three times the prior spread and a = 5 %, in about 19 % of parts with 2 samples, 12 % with 4, 7 %
with 16, 6 % with 64. What one class really does, `overkill_interval` says from parts that were set aside.

`Calibration` is the file that `vlm-inspect calibrate` writes: thresholds and weights, and what they hold for.
"""

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vlm_inspect.errors import CalibrationError

PRIOR_SPREAD = 0.12
"""Standard deviation of the log score among normal samples of one class, before any is seen."""
PRIOR_DOF = 4.0
"""How many samples the prior counts for."""
OVERKILL = 0.01
"""Share of normal samples that may be called anomalous."""
_P_AT_CENTRE = 0.02
"""P(anomalous) given to a score in the middle of the normal ones."""


@dataclass(frozen=True)
class Tolerance:
    """How far normal samples go: `limit` is the raw score at which P(anomalous) is 0.5."""

    limit: float
    centre: float
    """Geometric mean of the normal scores; 0 < centre < limit."""
    n: int
    """Number of normal scores that it rests on."""
    overkill: float

    def __post_init__(self) -> None:
        if not 0.0 < self.centre < self.limit < math.inf:
            raise ValueError(f"a tolerance needs 0 < centre < limit, got {self.centre!r} and {self.limit!r}")

    def probability(self, score: float) -> float:
        """Map a raw score (>= 0) to P(anomalous): logistic in the log score, 0.02 at the centre, 0.5 at the limit.

        Raises:
            ValueError: the score is NaN; it must not pass as normal.
        """
        if math.isnan(score):
            raise ValueError("a map's score is NaN")
        if score <= 0.0:
            return 0.0
        slope = -math.log(_P_AT_CENTRE / (1 - _P_AT_CENTRE)) / math.log(self.limit / self.centre)
        z = slope * (math.log(score) - math.log(self.limit))  # the quotient of a denormal score would be 0
        return 1.0 / (1.0 + math.exp(-z)) if z > -700 else 0.0


def tolerance_from_normals(
    scores: Sequence[float],
    *,
    overkill: float = OVERKILL,
    prior_spread: float = PRIOR_SPREAD,
    prior_dof: float = PRIOR_DOF,
) -> Tolerance:
    """Return the tolerance that normal samples with these raw scores (>= 0) set.

    Args:
        scores: one raw score per normal sample, each scored without itself among the references.
        overkill: share of new normal samples that may exceed the limit, in (0, 0.5).
        prior_spread: standard deviation of the log score that is expected before any sample is seen.
        prior_dof: how many samples that expectation counts for.

    Raises:
        ValueError: no score, one that is negative or not finite, or an overkill rate outside (0, 0.5).
    """
    from scipy.stats import t as student_t

    if not scores or any(not math.isfinite(s) or s < 0 for s in scores):
        raise ValueError(f"a tolerance needs finite scores >= 0 of normal samples, got {list(scores)!r}")
    if not 0.0 < overkill < 0.5:
        raise ValueError(f"the overkill rate lies between 0 and 0.5, not {overkill!r}")
    floor = max(*scores, 1e-12) * 1e-3  # a score of exactly 0 must not send the logarithm to -inf
    logs = [math.log(max(s, floor)) for s in scores]
    n = len(logs)
    mean = sum(logs) / n
    own = sum((x - mean) ** 2 for x in logs)
    dof = n - 1 + prior_dof
    spread = math.sqrt((own + prior_dof * prior_spread**2) / dof)
    bound = float(student_t.ppf(1 - overkill, dof)) * spread * math.sqrt(1 + 1 / n)
    return Tolerance(limit=math.exp(mean + bound), centre=math.exp(mean), n=n, overkill=overkill)


@dataclass(frozen=True)
class Thresholds:
    """How a fused score becomes an outcome, and how model and heatmap are weighed."""

    ok_below: float = 0.3
    ng_above: float = 0.6
    """Between the two lies doubt: REVIEW. OK needs more than staying inside the tolerance: docs/results.md shows what
    a lower or higher bound would let through."""
    model_weight: float = 0.5
    heatmap_weight: float = 0.5
    """Weights of the two log-odds in the fused score."""
    calibrated: bool = False
    """True when they come from a calibration file."""


Probability = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]


class Calibration(BaseModel):
    """A calibration file: thresholds and weights, the rule book and localizer they hold for, and their overkill."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    rules_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    localizer: str = Field(min_length=1)
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
    model_weight: float = Field(default=0.5, ge=0.0, allow_inf_nan=False)
    heatmap_weight: float = Field(default=0.5, ge=0.0, allow_inf_nan=False)

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
        """The thresholds that fusion takes."""
        return Thresholds(
            ok_below=self.ok_below,
            ng_above=self.ng_above,
            model_weight=self.model_weight,
            heatmap_weight=self.heatmap_weight,
            calibrated=True,
        )


def overkill_interval(exceeded: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact confidence interval of a rate of which `exceeded` cases in `n` were seen.

    Clopper & Pearson, Biometrika 26 (1934), by the beta quantiles.

    Raises:
        ValueError: not 0 <= exceeded <= n, or n is 0.
    """
    from scipy.stats import beta

    if not 0 <= exceeded <= n or n == 0:
        raise ValueError(f"{exceeded} of {n} is no rate")
    tail = (1 - confidence) / 2
    low = 0.0 if exceeded == 0 else float(beta.ppf(tail, exceeded, n - exceeded + 1))
    high = 1.0 if exceeded == n else float(beta.ppf(1 - tail, exceeded + 1, n - exceeded))
    return low, high


def save_calibration(calibration: Calibration, path: Path) -> None:
    """Write a calibration file, whole or not at all.

    Raises:
        CalibrationError: the place cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        draft.write_text(calibration.model_dump_json(indent=2) + "\n", encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise CalibrationError(f"{path} cannot be written: {error.strerror or error}; choose another place") from error


def load_calibration(path: Path, *, rules_sha256: str, localizer: str) -> Calibration:
    """Read a calibration file and check that it holds for this rule book and localizer.

    Raises:
        CalibrationError: unreadable, of another version, or made for another rule book or localizer.
    """
    if path.exists() and not path.is_file():  # a pipe or a device: reading it could wait for ever
        raise CalibrationError(f"{path} is no file; name the one that vlm-inspect calibrate wrote")
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        calibration = Calibration.model_validate(raw)
    except OSError as error:
        raise CalibrationError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "top level"
        raise CalibrationError(f"{path}: {place}: {first['msg']}; run vlm-inspect calibrate again") from error
    except ValueError as error:
        raise CalibrationError(f"{path} is not JSON: {error}; run vlm-inspect calibrate again") from error
    if calibration.rules_sha256 != rules_sha256:
        raise CalibrationError(f"{path} was made for another rule book; run vlm-inspect calibrate again")
    if calibration.localizer != localizer:
        raise CalibrationError(
            f"{path} was made with localizer {calibration.localizer}, not {localizer}; run vlm-inspect calibrate again"
        )
    return calibration
