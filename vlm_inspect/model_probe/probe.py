"""READ FIRST: `probe_model`, the steps in order.

sum          is anybody there, is the answer JSON, do several answers come in one call
disc, twice  does it see pictures: colour and cell of a disc, 1 in 72 by chance, 1 in 5184 twice
box          in what unit and order it writes a box; kept for the prompts to come
colours      how many pictures of one request it tells apart
the pair     does it call the normal plate normal and the other one anomalous; token probabilities, latency
tool         does it call a function that is on offer
"""

import random as chance
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from vlm_inspect.backends.backend import Backend, Reply, Request
from vlm_inspect.backends.learned import BoxHabit
from vlm_inspect.errors import BackendError, ParseError
from vlm_inspect.inspection import Usage
from vlm_inspect.model_probe import questions
from vlm_inspect.model_probe.box_habit import draw_rectangle, find_habit
from vlm_inspect.model_probe.pictures import COLOURS, draw_colour, draw_disc
from vlm_inspect.parsing import parse_verdict
from vlm_inspect.parsing.token_odds import token_probability

PICTURE_COUNTS = (8, 4, 2)
"""How many pictures one request is tried with, until all of them are told."""
_DISCS = 2

Said = Literal["normal", "anomalous", "unreadable"]


@runtime_checkable
class OffersTools(Protocol):
    """A backend that can be asked with a function on offer."""

    def offer_tool(self, question: str, tool: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return the arguments that the model calls the function with, or None."""
        ...


@runtime_checkable
class KeepsBoxes(Protocol):
    """A backend that keeps how its model writes boxes."""

    def keep_boxes(self, habit: BoxHabit) -> None:
        """Keep it for the prompts to come."""
        ...


@dataclass(frozen=True)
class PairAnswer:
    """What it said of one of the known pair."""

    said: Said
    probability: float | None
    """P(anomalous) as it counts in an inspection: by tokens, else as stated."""
    why: str
    """Its reasoning, or why it could not be read."""


@dataclass(frozen=True)
class ModelReport:
    """What a model can do. Where None stands, it could not be found out."""

    model: str
    sees_pictures: bool
    discs_read: str
    """How many of the discs were told: "2 of 2"; with the server's refusal, where it was one."""
    pictures: int
    """Most pictures of one request that were told apart; 0 where none is seen."""
    json: bool
    """Whether every answer was the asked JSON object and nothing else."""
    form: str | None
    """How the server holds the answer to its form: "schema", "json", "text"."""
    token_probabilities: bool
    several_answers: bool
    """Whether several answers come in one call."""
    tools: bool | None
    boxes: BoxHabit | None
    """In what unit and order it writes boxes."""
    normal: PairAnswer | None
    anomalous: PairAnswer | None
    latency_s: float
    """Median over the calls, in seconds."""
    usage: Usage

    @property
    def makes_sense(self) -> bool:
        """Whether it tells the known pair apart."""
        pair = (self.normal, self.anomalous)
        return [one.said if one else None for one in pair] == ["normal", "anomalous"]

    @property
    def usable(self) -> bool:
        """Whether inspections may be left to it, as far as this goes."""
        return self.sees_pictures and self.makes_sense


def probe_model(backend: Backend, *, seed: int | None = None) -> ModelReport:
    """Ask a model a handful of tiny questions, and return what it can do.

    Args:
        backend: the model.
        seed: of the pictures; None: another one each time, so that no answer can be remembered.

    Raises:
        BackendError: the model cannot be reached, or rejects a request without a picture.
    """
    talk = _Talk(backend, chance.Random(seed))
    several = talk.try_sum()
    sees, told = talk.try_discs()
    normal = anomalous = boxes = None
    pictures = 0
    if sees:
        boxes = talk.try_box()
        pictures = talk.try_colours()
        normal, anomalous = talk.try_plate(anomalous=False), talk.try_plate(anomalous=True)
    return ModelReport(
        model=backend.name,
        sees_pictures=sees,
        discs_read=told,
        pictures=pictures,
        json=talk.all_json,
        form=_form_of(backend),
        token_probabilities=talk.token_probabilities,
        several_answers=several,
        tools=talk.try_tool(),
        boxes=boxes,
        normal=normal,
        anomalous=anomalous,
        latency_s=statistics.median(talk.latencies_s or [0.0]),
        usage=talk.usage,
    )


@dataclass
class _Talk:
    """The questions to one model, and what is learnt on the way."""

    backend: Backend
    random: chance.Random
    all_json: bool = True
    token_probabilities: bool = False
    usages: list[Usage] = field(default_factory=list)

    def try_sum(self) -> bool:
        a, b = self.random.randint(11, 49), self.random.randint(11, 49)
        replies = self._ask(questions.ask_sum(a, b), samples=2)
        for reply in replies:
            self._read(reply)
        return len(replies) > 1 and sum(reply.usage.calls for reply in replies) == 1

    def try_discs(self) -> tuple[bool, str]:
        read = 0
        for _ in range(_DISCS):
            colour, row, column = (
                self.random.choice(list(COLOURS)),
                self.random.randint(1, 3),
                self.random.randint(1, 3),
            )
            try:
                (reply,) = self._ask(questions.ask_disc(draw_disc(colour, row, column)))
            except BackendError as error:
                return False, f"none: {error}"
            found = self._read(reply) or {}
            places = questions.same_number(found.get("row"), row) and questions.same_number(found.get("column"), column)
            read += places and questions.same_word(found.get("colour"), colour)
        return read == _DISCS, f"{read} of {_DISCS}"

    def try_box(self) -> BoxHabit | None:
        """Find out how it writes boxes, and let the backend keep it, where it keeps anything."""
        colour = self.random.choice([name for name in COLOURS if name not in ("white", "black")])
        picture, known = draw_rectangle(self.random, colour)
        try:
            (reply,) = self._ask(questions.ask_box(picture, colour))
        except BackendError:
            return None
        habit = find_habit((self._read(reply) or {}).get("box"), known)
        if habit is not None and isinstance(self.backend, KeepsBoxes):
            self.backend.keep_boxes(habit)
        return habit

    def try_colours(self) -> int:
        for count in PICTURE_COUNTS:
            wanted = self.random.choices(list(COLOURS), k=count)
            try:
                (reply,) = self._ask(questions.ask_colours([draw_colour(colour) for colour in wanted]))
            except BackendError:
                continue  # too many pictures for this server
            found = (self._read(reply) or {}).get("colours")
            if isinstance(found, list) and [str(said).strip().lower() for said in found] == wanted:
                return count
        return 1

    def try_plate(self, *, anomalous: bool) -> PairAnswer:
        request = questions.ask_about_plate(self.random, anomalous=anomalous)
        try:
            replies = self._ask(request)
            verdict = parse_verdict(replies, request.rules, request.views, boxes=request.boxes)
        except BackendError as error:
            return PairAnswer("unreadable", None, str(error))
        except ParseError as error:
            self.all_json = False
            return PairAnswer("unreadable", None, str(error))
        self._read(replies[0])
        by_tokens = token_probability(replies[0].tokens, anomalous=verdict.anomalous)
        self.token_probabilities |= by_tokens is not None
        return PairAnswer("anomalous" if verdict.anomalous else "normal", verdict.probability, verdict.reasoning)

    def try_tool(self) -> bool | None:
        if not isinstance(self.backend, OffersTools):
            return None
        number = self.random.randint(100, 999)
        try:
            called = self.backend.offer_tool(questions.tool_question(number), questions.tool_on_offer())
        except BackendError:
            return None
        return called is not None and questions.same_number(called.get("number"), number)

    @property
    def latencies_s(self) -> list[float]:
        return [usage.latency_s for usage in self.usages]

    @property
    def usage(self) -> Usage:
        costs = [usage.cost_usd for usage in self.usages if usage.cost_usd is not None]
        return Usage(
            prompt_tokens=sum(usage.prompt_tokens for usage in self.usages),
            completion_tokens=sum(usage.completion_tokens for usage in self.usages),
            latency_s=sum(self.latencies_s),
            calls=len(self.usages),
            cost_usd=sum(costs) if costs and len(costs) == len(self.usages) else None,
        )

    def _ask(self, request: Request, samples: int = 1) -> Sequence[Reply]:
        replies = self.backend.generate(request, samples=samples)
        self.usages += [reply.usage for reply in replies if reply.usage.calls]
        return replies

    def _read(self, reply: Reply) -> Mapping[str, Any] | None:
        found, alone = questions.read_object(reply)
        self.all_json &= alone
        return found


def _form_of(backend: Backend) -> str | None:
    """Return how the server holds an answer to its form, where that was found out on the way."""
    form = getattr(backend, "structure", None)
    return form if isinstance(form, str) else None
