"""The requests that a model is tested with, and what its answers are worth."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from random import Random
from typing import Any

from pydantic import BaseModel, ConfigDict

from converters.image import ImageOrigin
from converters.view import View
from vlm_inspect.backends.backend import Reply, Request
from vlm_inspect.backends.messages import PICTURE_LABELS, digest_messages
from vlm_inspect.errors import ParseError
from vlm_inspect.evidence import Evidence
from vlm_inspect.model_probe.pictures import COLOURS, Picture, draw_plate
from vlm_inspect.parsing.reply_text import final_text
from vlm_inspect.prompt_files import fill_text, prompt_folder, read_prompt_file
from vlm_inspect.prompting import build_request, load_template
from vlm_inspect.prompting.encoding import encode
from vlm_inspect.rules import Rule, RuleBook


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ToolWords(_Strict):
    """A function on offer, and the question that it answers."""

    name: str
    description: str
    parameter: str
    question: str


class PartWords(_Strict):
    """The known pair in words."""

    class_name: str
    description: str
    rule_id: str
    rule: str
    label: str


class ProbeWords(_Strict):
    """The texts of the probe."""

    about: str
    sum: str
    disc: str
    box: str
    colours: str
    picture: str
    colours_end: str
    tool: ToolWords
    part: PartWords


@cache
def load_words() -> ProbeWords:
    """Return the texts.

    Raises:
        PromptError: their file is missing or wrong.
    """
    return read_prompt_file(ProbeWords, prompt_folder() / "probe" / "model.yaml")


def ask_sum(a: int, b: int) -> Request:
    """Return a question without a picture."""
    text = fill_text(load_words().sum, {"a": a, "b": b}, "model.yaml")
    return _request([text], _schema({"sum": {"type": "integer"}}))


def ask_disc(picture: Picture) -> Request:
    """Return the question for colour and cell of the disc in a picture."""
    text = fill_text(load_words().disc, {"colours": list(COLOURS)}, "model.yaml")
    place = {"type": "integer", "enum": [1, 2, 3]}
    colour = {"type": "string", "enum": list(COLOURS)}
    return _request([text, picture], _schema({"colour": colour, "row": place, "column": place}))


def ask_box(picture: Picture, colour: str) -> Request:
    """Return the question for the box of a rectangle, in whatever unit and order the model writes it."""
    text = fill_text(load_words().box, {"colour": colour}, "model.yaml")
    numbers = {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4}
    return _request([picture, text], _schema({"box": numbers}))


def ask_colours(pictures: Sequence[Picture]) -> Request:
    """Return the question for the colours of several pictures, in their order."""
    words, count = load_words(), len(pictures)
    values = {"count": count, "colours": list(COLOURS)}
    content: list[str | Picture] = [fill_text(words.colours, values, "model.yaml")]
    for number, picture in enumerate(pictures, start=1):
        content += [fill_text(words.picture, {"number": number}, "model.yaml"), picture]
    content.append(fill_text(words.colours_end, values, "model.yaml"))
    items = {"type": "string", "enum": list(COLOURS)}
    return _request(content, _schema({"colours": {"type": "array", "items": items}}))


def ask_about_plate(random: Random, *, anomalous: bool) -> Request:
    """Return what `ask` would send of one of the known pair: rules, a reference, the picture; nothing measured."""
    words = load_words().part
    rule = Rule(id=words.rule_id, text=words.rule, severity="critical")
    book = RuleBook(class_name=words.class_name, description=words.description, rules=(rule,))
    part, reference = (_view(draw_plate(random, anomalous=one), words.label) for one in (anomalous, False))
    return build_request(load_template("inspect"), [part], book, [[reference]], Evidence(reference_count=1), None)


def tool_on_offer() -> dict[str, Any]:
    """Return the function that a model is offered, in the form of the chat completions protocol."""
    words = load_words().tool
    number = {"type": "integer", "description": words.parameter}
    parameters = {"type": "object", "properties": {"number": number}, "required": ["number"]}
    return {"name": words.name, "description": words.description, "parameters": parameters}


def tool_question(number: int) -> str:
    """Return the question that the function answers."""
    return fill_text(load_words().tool.question, {"number": number}, "model.yaml")


def read_object(reply: Reply) -> tuple[Mapping[str, Any] | None, bool]:
    """Return the JSON object of an answer, or None, and whether the answer was that object and nothing else."""
    try:
        text = final_text(reply)
    except ParseError:
        return None, False
    try:
        found = json.loads(reply.text)
        return (found, True) if isinstance(found, dict) else (None, False)
    except ValueError:
        pass
    start, end = text.find("{"), text.rfind("}")
    try:
        found = json.loads(text[start : end + 1])
    except ValueError:
        return None, False
    return (found, False) if isinstance(found, dict) else (None, False)


def same_word(value: object, word: str) -> bool:
    """Whether an answer is that word, however it is written."""
    return isinstance(value, str) and value.strip().strip(".").lower() == word


def same_number(value: object, number: int) -> bool:
    """Whether an answer is that number, as a number or spelt in digits."""
    return not isinstance(value, bool) and str(value).strip().removesuffix(".0") == str(number)


def _request(content: Sequence["str | Picture"], schema: Mapping[str, Any]) -> Request:
    from langchain_core.messages import HumanMessage

    blocks: list[str | dict[Any, Any]] = []
    for part in content:
        if isinstance(part, str):
            blocks.append({"type": "text", "text": part})
        else:
            url = encode(part, "image/png").data_url
            blocks.append({"type": "image_url", "image_url": {"url": url, "detail": "low"}})
    labels = [f"picture {i}" for i in range(1, 1 + sum(not isinstance(part, str) for part in content))]
    messages = (HumanMessage(content=blocks, additional_kwargs={PICTURE_LABELS: labels}),)
    nothing = RuleBook(class_name="test picture")
    return Request(messages, schema, (), nothing, Evidence(), None, digest_messages(messages))


def _schema(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def _view(picture: Picture, label: str) -> View:
    height, width = picture.shape[:2]
    return View(picture, "image", label, ImageOrigin((0, 0, width, height)), "image")
