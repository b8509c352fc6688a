"""`build_second_request`: the first request again, and after it enlargements and the demand for a final answer."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict

from converters.view import BoxXyxyn
from vlm_inspect.backends.backend import Request
from vlm_inspect.backends.messages import PICTURE_LABELS, PICTURE_ROLES, digest_messages
from vlm_inspect.enlargement import Enlargement
from vlm_inspect.prompt_files import fill_text, prompt_folder, read_prompt_file
from vlm_inspect.prompting.assembly import PromptLimits
from vlm_inspect.prompting.encoding import encode, form_of
from vlm_inspect.prompting.facts import Facts, view_facts
from vlm_inspect.prompting.marks import enlarge, place_side_by_side
from vlm_inspect.prompting.template import Captions, Words, load_words
from vlm_inspect.verdict import Verdict

PANEL_SIDE = 512
PANEL_SIDE_LOW = 240
"""Longest side in pixels of one half of an enlargement; "low" detail: both halves fit into one tile."""
_LONGEST_REASONING = 800


class Reasons(BaseModel):
    """Why a place is enlarged."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mark: str
    region: str
    named: str
    peak: str


class LookAgain(BaseModel):
    """The texts of a second look."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    about: str
    first_look: str
    enlargement: str
    reasons: Reasons
    captions: Captions
    final: str


@cache
def load_look_again() -> LookAgain:
    """Return the texts.

    Raises:
        PromptError: their file is missing or wrong.
    """
    return read_prompt_file(LookAgain, prompt_folder() / "follow_up" / "look_again.yaml")


def build_second_request(
    first: Request, opinion: Verdict | None, enlargements: Sequence[Enlargement], limits: PromptLimits
) -> Request:
    """Return the request for the final answer: it begins with the first one, block by block.

    A server that keeps what it has read need not read it again, and a model without a memory has everything in front of
    it.

    Args:
        first: the request of the first look.
        opinion: what was read from the answer to it; None: it could not be read.
        enlargements: what is shown closer.
        limits: sizes and detail of the pictures.

    Raises:
        PromptError: the texts of the second look are missing or wrong.
    """
    from langchain_core.messages import HumanMessage

    texts, words = load_look_again(), load_words()
    human = first.messages[-1]
    before = human.content if isinstance(human.content, list) else [{"type": "text", "text": human.content}]
    content = [*before, _text(texts.first_look, {"first": None if opinion is None else _first_facts(opinion, first)})]
    labels = list(human.additional_kwargs.get(PICTURE_LABELS, ()))
    roles = list(human.additional_kwargs.get(PICTURE_ROLES, ()))
    for number, one in enumerate(enlargements, start=1):
        content.append(_text(texts.enlargement, _enlargement_facts(number, one, first, texts, words)))
        content.append(_picture(number, one, first, texts, limits))
        labels.append(f"closer look {number}")
        roles.append("closer")
    content.append(_text(texts.final, {}))
    message = HumanMessage(content=content, additional_kwargs={PICTURE_LABELS: labels, PICTURE_ROLES: roles})
    messages = (*first.messages[:-1], message)
    digest = digest_messages(messages)
    return replace(first, messages=messages, prompt_sha256=digest, enlargements=tuple(enlargements))


def _text(text: str, values: Facts) -> dict[str, Any]:
    return {"type": "text", "text": fill_text(text, values, "look_again.yaml")}


def _first_facts(opinion: Verdict, first: Request) -> Facts:
    reasoning = opinion.reasoning
    return {
        "samples": opinion.samples,
        "anomalous": opinion.anomalous,
        "probability": None if opinion.probability is None else f"{opinion.probability:.2f}",
        "reasoning": reasoning if len(reasoning) <= _LONGEST_REASONING else reasoning[: _LONGEST_REASONING - 3] + "...",
        "defects": [
            {
                "type": defect.type,
                "severity": defect.severity,
                "view": defect.view,
                "box": _written(defect.view, defect.box_xyxyn, first),
                "description": defect.description,
            }
            for defect in opinion.defects
        ],
    }


def _enlargement_facts(number: int, one: Enlargement, first: Request, texts: LookAgain, words: Words) -> Facts:
    return {
        "number": number,
        "view": view_facts(words, first.views[one.view], one.view, first.views[one.view].label),
        "box": _written(one.view, one.box_xyxyn, first),
        "from_source": one.from_source,
        "reasons": [fill_text(getattr(texts.reasons, key), values, "look_again.yaml") for key, values in one.reasons],
        "reference": None if one.reference is None else one.reference + 1,
    }


def _written(view: int | None, box_xyxyn: BoxXyxyn | None, first: Request) -> list[float] | None:
    """Return a box as the first request writes boxes."""
    if box_xyxyn is None or view is None or view >= len(first.views):
        return None
    frame = first.boxes
    size_hw = first.views[view].size_hw
    return frame.convention.write(box_xyxyn, frame.size_of(view, size_hw))


def _picture(number: int, one: Enlargement, first: Request, texts: LookAgain, limits: PromptLimits) -> dict[str, Any]:
    side = PANEL_SIDE_LOW if limits.detail == "low" else PANEL_SIDE
    panels = [(enlarge(one.picture, side), fill_text(texts.captions.part, {"number": number}, "look_again.yaml"))]
    if one.twin is not None and one.reference is not None:
        caption = fill_text(texts.captions.reference, {"reference": one.reference + 1}, "look_again.yaml")
        panels.append((enlarge(one.twin, side), caption))
    drawn = encode(place_side_by_side(panels), form_of(first.views[one.view]))
    return {"type": "image_url", "image_url": {"url": drawn.data_url, "detail": limits.detail}}
