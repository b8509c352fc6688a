"""`Verdict`: what the model said, parsed."""

from dataclasses import dataclass
from typing import Literal

from converters.view import BoxXyxyn

VerdictSource = Literal["model", "evidence"]
"""Who judged: a model that looked at the part, or the measured evidence, put into words."""
RuleStatus = Literal["pass", "fail", "cannot_tell", "not_checked"]
"""cannot_tell: somebody looked and could not tell; not_checked: nobody looked."""
Severity = Literal["critical", "major", "minor"]


@dataclass(frozen=True)
class RuleResult:
    """The model's opinion on one rule; `view` is the view that it rests on."""

    id: str
    status: RuleStatus
    reason: str = ""
    view: int | None = None


@dataclass(frozen=True)
class Defect:
    """One defect that the model named; without a usable box it has none, never a made-up one."""

    type: str
    severity: Severity = "major"
    view: int | None = None
    box_xyxyn: BoxXyxyn | None = None
    description: str = ""
    score: float | None = None


@dataclass(frozen=True)
class Verdict:
    """The model's opinion. Rules that it left out are absent from `rules`; fusion counts them as cannot_tell."""

    anomalous: bool
    reasoning: str
    probability: float | None = None
    """P(anomalous) in [0, 1]: stated, from token probabilities, or the share among samples; None: not given."""
    answer: str = ""
    rules: tuple[RuleResult, ...] = ()
    defects: tuple[Defect, ...] = ()
    path: str = "json"
    """Which way of reading matched: "json", "fenced", "embedded", "repaired", "prose"."""
    warnings: tuple[str, ...] = ()
    """What was wrong with the reply and mended: an unknown rule id dropped, a box clipped."""
    samples: int = 1
    """Number of answers that it rests on."""
    doubts: tuple[str, ...] = ()
    """Why the opinion itself is in doubt (answers that disagree or could not be read): each is a reason to review."""
    source: VerdictSource = "model"

    @property
    def by_model(self) -> bool:
        """Whether it is an opinion of its own, beside the measured evidence."""
        return self.source == "model"
