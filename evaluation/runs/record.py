"""`ItemRecord`: one line of `items.jsonl`, and one row of the journal."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from vlm_inspect.inspection import Outcome

FailureKind = Literal["unreadable", "backend", "parse"]
"""unreadable: the file cannot be inspected. backend: the model gave no reply. parse: its reply carries no verdict."""


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Failure(_Line):
    """Why an item has no verdict of the model; such an item counts as wrong in every metric of images."""

    kind: FailureKind
    message: str


class Spent(_Line):
    """What replies cost."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    calls: int = 0
    cost_usd: float | None = None
    """None where the price is not known."""

    def __add__(self, other: "Spent") -> "Spent":
        """Return both together; the cost is not known where that of a call is not."""
        costs = [one.cost_usd for one in (self, other) if one.calls]
        known = [cost for cost in costs if cost is not None]
        return Spent(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            calls=self.calls + other.calls,
            cost_usd=sum(known) if known and len(known) == len(costs) else None,
        )


class Choice(_Line):
    """What was chosen among a question's options."""

    dataset: str
    subtask: str
    answer: str
    """The right letter."""
    chosen: str | None
    """None where no letter could be read."""


class ModelBox(_Line):
    """A place that the model names on an image."""

    box_xyxyn: tuple[float, float, float, float]
    """On the whole image."""
    p: float
    """The model's probability of it."""


class ItemRecord(_Line):
    """What became of one item."""

    version: Literal[1] = 1
    """Of the line; those without one are of version 1."""
    id: str
    category: str
    label: Literal["normal", "anomalous"]
    score: float | None = None
    """P(anomalous) of the inspection; None where there is none."""
    outcome: Outcome | None = None
    heatmap_score: float | None = None
    """Of the hottest view: in limits of its tolerance where it has one, else raw."""
    sensitivity: dict[str, Any] | None = None
    """Which planted defects the references of its class would have held up; None where they cannot tell."""
    defect_types: tuple[str, ...] = ()
    """As the data set names them."""
    defects: tuple[str, ...] = ()
    """As the inspection words them."""
    defect_scores: dict[str, float] = {}
    """The highest score by word."""
    boxes: tuple[ModelBox, ...] | None = None
    """Where on the image a model says that the defects are; None: none judged, or it is no image."""
    rules: dict[str, str] = {}
    """Status by rule id."""
    reasons: tuple[str, ...] = ()
    """Why it is REVIEW."""
    reasoning: str = ""
    latency_s: float = 0.0
    """From the file to the result."""
    usage: Spent = Spent()
    """What this run spent on it."""
    spared: Spent = Spent()
    """What the replies would have cost that came from the cache of another run."""
    reply_sha256: str | None = None
    """Digest of the raw replies, which the journal keeps."""
    prompt_sha256: str | None = None
    input_sha256: str | None = None
    failure: Failure | None = None
    question: Choice | None = None
    preview: str | None = None
    """Digest in the name of the item's files in `previews` and `maps`."""

    @property
    def anomalous(self) -> bool:
        """The label as a flag."""
        return self.label == "anomalous"

    @property
    def counted_score(self) -> float | None:
        """The score as metrics take it: None for a failed item."""
        return None if self.failure is not None else self.score
