"""The seam to a model: `Request` in, `Reply` out, `Backend` between."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from vlm_inspect.backends.box_conventions import BoxFrame, usual_convention
from vlm_inspect.backends.model_turn import ToolCall
from vlm_inspect.inspection import Usage
from vlm_inspect.verdict import Verdict

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

    from converters.view import View
    from vlm_inspect.decision.thresholds import Thresholds
    from vlm_inspect.enlargement import Enlargement
    from vlm_inspect.evidence import Evidence
    from vlm_inspect.rules import RuleBook


def _usual_boxes() -> BoxFrame:
    return BoxFrame(usual_convention())


@dataclass(frozen=True, eq=False)
class Request:
    """All that a backend may use: the messages for a language model, and what they were made from."""

    messages: "tuple[BaseMessage, ...]"
    """Text and images (data URLs) in the order that the model reads them."""
    answer_schema: Mapping[str, Any]
    """JSON schema of the answer."""
    views: "tuple[View, ...]"
    rules: "RuleBook"
    evidence: "Evidence"
    question: str | None
    prompt_sha256: str
    """Digest of the messages, images included; equal digests are equal prompts."""
    boxes: BoxFrame = field(default_factory=_usual_boxes)
    """How boxes are written in the messages, and asked for."""
    language: str | None = None
    """What the answer is written in, as its asker named it; None: in the language of the question."""
    enlargements: "tuple[Enlargement, ...]" = ()
    """What a second look shows closer."""
    tools: tuple[Mapping[str, Any], ...] = ()
    """Functions on offer, in the form of the OpenAI protocol; a backend that offers none asks for `answer_schema`."""
    may_call: bool = True
    """False: they stay as they were, but it shall answer now."""
    asks_opinion: bool = True
    """False: a step on the way to the verdict, asked once however often the verdict is."""
    thresholds: "Thresholds | None" = None
    """Those that will decide, for a backend that words what was measured; None: not known."""
    of_refuter: bool = False
    """Whether it goes to the second model, where there is one."""


@dataclass(frozen=True)
class TokenProbability:
    """One token of a reply with its log-probability and the alternatives of its position."""

    token: str
    logprob: float
    alternatives: Mapping[str, float] = field(default_factory=dict)
    """Token -> log-probability, the chosen token included."""


@dataclass(frozen=True)
class Reply:
    """What came back, as it came."""

    text: str
    finish_reason: str = "stop"
    """"stop" (finished), "length" (cut short), "refusal", "content_filter"; any other word, the server's own, is a
    cut or a failure."""
    tokens: tuple[TokenProbability, ...] = ()
    """Empty where the server gives no log-probabilities."""
    usage: Usage = field(default_factory=Usage)
    model: str = ""
    """The model's name as the server reports it."""
    reasoning: str = ""
    """What the server hands over as thinking, apart from the answer."""
    first_text: str = ""
    """What the model said before it was asked once more for the form; "": it was not."""
    notes: tuple[str, ...] = ()
    """What an engineer should know of how it came about: pictures left out, a failure in the middle."""
    sent_side: int | None = None
    """Longest side of the pictures in pixels, where the server made them smaller than the request has them."""
    calls: tuple[ToolCall, ...] = ()
    """Functions that it calls."""
    verdict: Verdict | None = None
    """What the text says, of a backend that judges measurements and reads no prompt; None: the text is to be read."""


class Backend(Protocol):
    """One model, however it is reached."""

    @property
    def name(self) -> str:
        """PROVIDER:NAME, for the record."""
        ...

    def generate(self, request: Request, *, samples: int = 1) -> Sequence[Reply]:
        """Answer the request `samples` times.

        Raises:
            BackendError: the model cannot be reached after bounded retries, or rejects the request.
        """
        ...
