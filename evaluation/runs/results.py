"""`results.json`: what a run amounts to, as it is written and read; `items.jsonl` beside it holds `ItemRecord`s."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

RESULTS, ITEMS = "results.json", "items.jsonl"
VERSION = 2
"""Of `results.json`. 1, which the file did not say, counted misses and overkills by the score, not by the outcome."""
UNCALIBRATED = 0.5
"""Threshold of accuracy without a calibration file."""

Number = Annotated[float, Field(allow_inf_nan=False)]
Interval = tuple[Number, Number]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OutcomeRate(_Part):
    """How many items of one label came out in one way."""

    count: int
    share: Share | None
    """None where the label has no item."""
    interval: Interval | None
    """Exact, 95 %."""


class DefectTypeCounts(_Part):
    """One defect type, as the data set names it."""

    n: int
    missed: int
    image_auroc: Number | None


class TypeRow(_Part):
    """One defect type against all others."""

    name: str
    auroc: Number
    ap: Number
    f1: Number
    items: int


class ClipRow(_Part):
    """One clip, scored frame by frame."""

    id: str
    frames: int
    """That are scored: those taken as its normal beginning are not."""
    anomalous_frames: int
    frame_auroc: Number | None
    """None where all of its frames have one label."""


class ClassResults(BaseModel):
    """One class. Metrics of scorers (`evaluation.scoring.registry`) stand among these keys; null is n/a."""

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, int | Number | None]

    n: int
    n_anomalous: int = 0
    failed: int = 0
    threshold: Number = UNCALIBRATED
    outcomes: dict[str, dict[str, int]] = {}
    """Counts by label."""
    outcome_rates: dict[str, dict[str, OutcomeRate]] = {}
    """The same with exact intervals, failed items apart; absent before version 2."""
    risk_coverage: list[tuple[Share, Share]] = []
    """(share decided, errors among it), from the surest items to all."""
    sensitivity: dict[str, Any] | None = None
    """Size of planted defects that would have been found, by kind; None where nothing was planted."""
    defect_types: dict[str, DefectTypeCounts] = {}
    types: list[TypeRow] = []
    pixel_types: list[TypeRow] = []
    pixel_types_skipped: list[str] = []
    clips: list[ClipRow] = []
    pixel_note: str = ""
    """Why places could not be scored."""

    def metric(self, name: str) -> float | None:
        """Return a metric; None where it is n/a or the run has none of that name."""
        extra = self.__pydantic_extra__ or {}
        return extra.get(name)

    def has(self, name: str) -> bool:
        """Return whether the run has a metric of that name, n/a or not."""
        return name in (self.__pydantic_extra__ or {})


class Usage(_Part):
    """What all items cost."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    calls: int = 0
    from_cache: int = 0
    cost_usd: Number | None = None
    """None where the price is not known."""
    latency_s: dict[str, Number]
    """Mean and percentiles of the time of an item."""


class FailedItem(_Part):
    """An item without a verdict of the model."""

    id: str
    kind: str
    message: str


class ShownItem(_Part):
    """One of the worst mistakes, whose preview is kept."""

    id: str
    preview: str


class SubtaskRow(_Part):
    """Questions of one subtask, of one data set or all together."""

    subtask: str
    value: Number | None
    questions: int
    answered: int
    miss: Number | None = None
    overkill: Number | None = None


class QuestionResults(_Part):
    """The share of right answers to multiple-choice questions."""

    average: Number | None
    subtasks: dict[str, Number | None]
    pooled: list[SubtaskRow]
    datasets: dict[str, list[SubtaskRow]]


class RuleTestRow(_Part):
    """How often one change of the prompt moved the answer."""

    change: str
    rule: str | None = None
    words: str
    text: str = ""
    silent: bool
    interval: Interval | None
    parts: int
    answer_moved: int
    scored: int
    score_moved: int
    mean_change: Number | None
    judged: int
    status_moved: int
    unread: int


class RuleTestDocument(_Part):
    """`rule_test.json`, and the rule test of one class of a run."""

    model: str
    parts: list[str]
    left_out: list[dict[str, str]] = []
    requests: int
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: Number | None = None
    warnings: list[str] = []
    rows: list[RuleTestRow]


class OptionRow(_Part):
    """How often one order of the options moved the choice."""

    order: str
    questions: int
    moved: int
    right: int
    right_as_is: int
    unread: int
    interval: Interval | None


class OptionOrderDocument(_Part):
    """What came of asking questions with their options in other orders."""

    model: str
    questions: int
    moves: list[OptionRow]
    chosen_letters: dict[str, int]
    right_letters: dict[str, int]
    requests: int
    spent: dict[str, int | Number | None] = {}
    warnings: list[str] = []


class PromptTests(_Part):
    """`--rule-test`: whether the model's answer follows its prompt."""

    classes: dict[str, RuleTestDocument] = {}
    untested: dict[str, str] = {}
    option_order: OptionOrderDocument | None = None

    def warnings(self) -> list[str]:
        """Return what a reader must know, each with its class where there are several."""
        found = [
            f"{name}: {words}" if len(self.classes) > 1 else words
            for name, one in self.classes.items()
            for words in one.warnings
        ]
        found += [] if self.option_order is None else self.option_order.warnings
        return found + [
            f"Not tested whether it follows its rules on {name}: {why}" for name, why in self.untested.items()
        ]


class Checks(BaseModel):
    """What was made sure of beforehand."""

    model_config = ConfigDict(frozen=True, extra="allow")

    references_compared_with_scored_files: int | None = None
    leaks: int = 0
    scored_pictures_trained_on: int | None = None
    problems: list[str] = []


class RecordedSettings(BaseModel):
    """What the results rest on, as any version recorded it; see `Settings`."""

    model_config = ConfigDict(frozen=True, extra="allow")

    model: str = "unknown model"
    localizer: str = "none"
    template: str = ""
    shots: int = 0
    limit: int | None = None
    calibration_sha256: dict[str, str] = {}
    limits: dict[str, Any] = {}


class Results(BaseModel):
    """`results.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1, 2] = 1
    dataset: str
    settings: RecordedSettings
    checks: Checks = Checks()
    references: dict[str, list[str]] = {}
    categories: dict[str, ClassResults]
    mean: dict[str, Number | None] = {}
    left_out_of_mean: dict[str, list[str]] = {}
    ci95: dict[str, dict[str, Interval]] = {}
    """By class, and under "mean" of their mean; then by metric."""
    questions: QuestionResults | None = None
    coverage: Share
    parse_failures: int = 0
    review_rate: Share = 0.0
    failures: list[FailedItem] = []
    usage: Usage
    wall_s: Number
    worst: list[ShownItem] = []
    rule_test: PromptTests | None = None

    def interval(self, name: str, metric: str) -> Interval | None:
        """Return the interval of a metric of a class, or of "mean"."""
        return self.ci95.get(name, {}).get(metric)

    def dump(self) -> dict[str, Any]:
        """Return it as `results.json` has it: what was never set is absent."""
        return self.model_dump(mode="json", exclude_unset=True)


def as_results(document: Mapping[str, Any]) -> Results:
    """Return a document that was just made as what is written; a key or type that no reader knows is a fault."""
    return Results.model_validate({"version": VERSION, **document})
