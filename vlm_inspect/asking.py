"""`ask_model`: ask a model, and once more where it answers in words instead of the asked form.

Every caller that wants a verdict asks through here, so that `ask`, `bench` and the chat treat an answer alike.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from pydantic import BaseModel, ConfigDict

from vlm_inspect.backends.backend import Backend, Reply, Request
from vlm_inspect.backends.box_conventions import BoxConvention, find_convention
from vlm_inspect.backends.messages import digest_messages
from vlm_inspect.errors import BackendError
from vlm_inspect.inspection import Usage
from vlm_inspect.parsing import needs_form
from vlm_inspect.parsing.answer_json import NEGATIVE_KEYS, POSITIVE_KEYS
from vlm_inspect.prompt_files import fill_text, prompt_folder, read_prompt_file
from vlm_inspect.prompting.assembly import PromptLimits
from vlm_inspect.prompting.template import Template

_VERDICT_KEYS = frozenset({*POSITIVE_KEYS, *NEGATIVE_KEYS})
_MOST_WORDS = 8000
"""Longest own words in characters that are handed back to a model."""


class FormWords(BaseModel):
    """The texts of the further turn."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    about: str
    form: str


@cache
def load_form_words() -> FormWords:
    """Return the texts.

    Raises:
        PromptError: their file is missing or wrong.
    """
    return read_prompt_file(FormWords, prompt_folder() / "follow_up" / "form.yaml")


def ask_model(backend: Backend, request: Request, *, samples: int = 1) -> tuple[Reply, ...]:
    """Return `samples` answers to a request, each in the asked form as far as the model gets there; one to a mere step.

    Raises:
        BackendError: the model cannot be reached after bounded retries, or rejects the request.
    """
    times = samples if request.asks_opinion else 1
    return ask_for_form(backend, request, backend.generate(request, samples=times))


def limits_for(backend: Backend, limits: PromptLimits, template: Template, *, calibrated: bool = False) -> PromptLimits:
    """Return the limits of a prompt as a model takes it: boxes in its own habit, pictures within the limits it has met.

    Args:
        backend: the model that will be asked.
        limits: what was asked for; boxes that they name stay.
        template: a template that says itself how boxes are written is left alone.
        calibrated: whether a calibration file says what the scores of normal parts reach.
    """
    known = [most for most in (limits.pictures, getattr(backend, "most_pictures", None)) if most is not None]
    boxes = limits.boxes
    if boxes is None and template.states_boxes:
        own = getattr(backend, "boxes", None)
        boxes = own if isinstance(own, BoxConvention) else find_convention(backend.name)
    side = min(limits.max_side, getattr(backend, "longest_side", None) or limits.max_side)
    return replace(
        limits,
        max_side=side,
        pictures=min(known, default=None),
        boxes=boxes,
        calibrated=calibrated or limits.calibrated,
    )


def ask_for_form(backend: Backend, request: Request, replies: Sequence[Reply]) -> tuple[Reply, ...]:
    """Return replies of which each one without a readable answer object was asked for it once, in one further turn."""
    if not _VERDICT_KEYS & set(request.answer_schema.get("properties", ())):
        return tuple(replies)  # a question of another kind: its answer is read elsewhere
    return tuple(_in_form(backend, request, reply) if needs_form(reply) else reply for reply in replies)


def _in_form(backend: Backend, request: Request, reply: Reply) -> Reply:
    try:
        (again,) = backend.generate(form_request(request, reply.text))
    except BackendError as error:
        note = f"the model answered without the asked form, and asking once more failed: {error}"
        return replace(reply, notes=(*reply.notes, note))
    usage = _together(reply.usage, again.usage)
    return replace(again, usage=usage, first_text=reply.text, notes=(*reply.notes, *again.notes))


def form_request(request: Request, words: str) -> Request:
    """Return the request for the form: the first one, the model's own words, and the demand."""
    from langchain_core.messages import AIMessage, HumanMessage

    schema = request.answer_schema
    values = {"keys": list(schema.get("properties", {})), "required": list(schema.get("required", ()))}
    demand = fill_text(load_form_words().form, values, "form.yaml")
    messages = (*request.messages, AIMessage(content=words[:_MOST_WORDS]), HumanMessage(content=demand))
    return replace(request, messages=messages, prompt_sha256=digest_messages(messages))


def _together(first: Usage, again: Usage) -> Usage:
    costs = [one.cost_usd for one in (first, again) if one.calls]
    known = [cost for cost in costs if cost is not None]
    return Usage(
        prompt_tokens=first.prompt_tokens + again.prompt_tokens,
        completion_tokens=first.completion_tokens + again.completion_tokens,
        latency_s=first.latency_s + again.latency_s,
        calls=first.calls + again.calls,
        cost_usd=sum(known) if known and len(known) == len(costs) else None,
    )
