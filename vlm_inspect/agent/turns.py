"""`Turn`: what a model says in one step, and the form that it is asked for: one JSON object, or one call of a function.

The arguments of a function hold the words of the step beside those of the tool, so that both forms say the same.
"""

import copy
import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from vlm_inspect.backends.backend import Reply
from vlm_inspect.errors import ParseError
from vlm_inspect.parsing.answer_json import NEGATIVE_KEYS, POSITIVE_KEYS, find_object
from vlm_inspect.parsing.reply_text import final_text

NO_TOOL = "none"
PHASES = ("observe", "propose", "refute", "judge")
_WRITTEN = re.compile(r"<(?:tool_call|function_call|\|python_tag\|)>|\[TOOL_CALLS?\]")
"""What models write before a call, in text."""
_VERDICT_KEYS = frozenset({*POSITIVE_KEYS, *NEGATIVE_KEYS})


def _whole_box(value: object) -> object:
    """Return a box of four numbers; anything else is no place, and no reason to lose the step."""
    numbers = isinstance(value, list | tuple) and all(isinstance(one, int | float) for one in value)
    return tuple(value) if numbers and isinstance(value, list | tuple) and len(value) == 4 else None


def _view_number(value: object) -> object:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


class Hypothesis(BaseModel):
    """Something that may be wrong with the part, as a step says it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str = ""
    claim: str = ""
    rule: str = ""
    """Id of the rule that it would break; "": of none."""
    view: Annotated[int | None, BeforeValidator(_view_number)] = None
    box: Annotated[tuple[float, float, float, float] | None, BeforeValidator(_whole_box)] = None
    """Per mille of the view."""
    expected: str = ""
    """What would be seen if it were so."""
    status: Literal["kept", "dropped", "open"] = "open"
    reason: str = ""

    @property
    def key(self) -> str:
        """What later steps call it by."""
        return (self.id or self.claim).strip()

    @property
    def words(self) -> str:
        """What was said of it."""
        name = f"{self.id} " if self.id else ""
        return f"{name}{self.status}: {self.claim}{f' ({self.reason})' if self.reason else ''}"


class Turn(BaseModel):
    """One step in the model's words."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    phase: Literal["observe", "propose", "refute", "judge"]
    said: str = ""
    hypotheses: tuple[Hypothesis, ...] = ()
    tests: tuple[str, ...] = ()
    """Ids of the hypotheses that the call could show wrong."""
    tool: str = NO_TOOL
    arguments: str = "{}"
    """A JSON object as text."""
    rules: tuple[str, ...] = ()
    """Ids of the rules that the call looks at."""

    @property
    def calls(self) -> bool:
        """Whether a tool is called."""
        return self.tool != NO_TOOL and self.phase != "judge"

    @property
    def words(self) -> str:
        """What was said, and what was said of each hypothesis."""
        told = "; ".join(hypothesis.words for hypothesis in self.hypotheses)
        return " ".join(one for one in (self.said, told) if one)


def turn_schema(tools: Sequence[str], fields: Mapping[str, str], *, refutation: bool) -> dict[str, Any]:
    """Return the JSON schema of a step.

    Args:
        tools: names of the tools.
        fields: what models are told of each field.
        refutation: whether it holds hypotheses.
    """
    own = _fields(fields, refutation=refutation)
    properties = {
        "phase": {**own.pop("phase"), "enum": list(PHASES)},
        **own,
        "tool": {"type": "string", "enum": [NO_TOOL, *tools], "description": fields["tool"]},
        "arguments": {"type": "string", "description": fields["arguments"]},
    }
    return {"type": "object", "required": list(properties), "properties": properties}


def as_functions(
    schemas: Sequence[Mapping[str, Any]], fields: Mapping[str, str], *, refutation: bool
) -> tuple[dict[str, Any], ...]:
    """Return tools as functions of the OpenAI protocol whose arguments hold the words of the step, too.

    Args:
        schemas: the tools alone, in that form.
        fields: what models are told of each field of a step.
        refutation: whether a step holds hypotheses.
    """
    own = _fields(fields, refutation=refutation)
    own["phase"] = {**own["phase"], "enum": list(PHASES[:-1])}
    functions = []
    for schema in schemas:
        whole = copy.deepcopy(dict(schema))
        parameters = whole["function"]["parameters"]
        parameters["properties"] = {**own, **parameters.get("properties", {})}
        parameters["required"] = ["phase", "said", "rules", *parameters.get("required", [])]
        functions.append(whole)
    return tuple(functions)


def read_turn(replies: Sequence[Reply]) -> Turn:
    """Return the step that a reply says; of several calls the first.

    A verdict in place of a step says that the model is ready to judge.

    Raises:
        ParseError: there is none in it.
    """
    reply = replies[0] if replies else Reply("")
    data: Any = None
    try:
        if reply.calls:
            given = json.loads(reply.calls[0].arguments or "{}")
            data = _of_call(reply.calls[0].name, given if isinstance(given, dict) else {}, reply.text)
        else:
            data = _written_call(reply.text) or find_object(final_text(reply), {"phase", *_VERDICT_KEYS})
            if data is None:
                raise ParseError("it holds no JSON object of a step", reply_text=reply.text, cause="unreadable")
            if "phase" not in data:
                return Turn(phase="judge", said=str(data.get("reasoning", "")))
        return Turn.model_validate(_mended(data))
    except (ValueError, RecursionError) as error:
        if isinstance(error, ValidationError):
            first = error.errors(include_url=False)[0]
            reason = f"{'.'.join(str(part) for part in first['loc']) or 'object'}: {first['msg']}"
        else:
            reason = f"the arguments of {reply.calls[0].name} are no JSON object" if reply.calls else str(error)
        raise ParseError(reason, reply_text=reply.text, cause="unreadable") from error


def _written_call(text: str) -> dict[str, Any] | None:
    """Return the step of a call that stands in the text, where a server did not take it out; None: there is none."""
    mark = _WRITTEN.search(text)
    if mark is None:
        return None
    found = find_object(text[mark.end() :], {"name"})
    given = None if found is None else found.get("arguments", found.get("parameters"))
    if found is None or not isinstance(given, dict):
        return None
    return _of_call(str(found["name"]), given, text[: mark.start()].strip())


def _fields(told: Mapping[str, str], *, refutation: bool) -> dict[str, dict[str, Any]]:
    """Return the fields of a step but those that say which tool is called."""
    texts = {"type": "array", "items": {"type": "string"}}
    kinds: dict[str, dict[str, Any]] = {"phase": {"type": "string"}, "said": {"type": "string"}, "rules": texts}
    if refutation:
        kinds |= {"tests": texts, "hypotheses": {"type": "array", "items": _hypothesis(told)}}
    return {name: {**kind, "description": told[name]} for name, kind in kinds.items()}


def _hypothesis(told: Mapping[str, str]) -> dict[str, Any]:
    text = {"type": "string"}
    numbers = {"type": "array", "items": {"type": "integer"}}
    properties: dict[str, dict[str, Any]] = {
        "id": text,
        "claim": text,
        "rule": {**text, "description": told["rule"]},
        "view": {"type": "integer"},
        "box": {**numbers, "description": told["box"]},
        "expected": {**text, "description": told["expected"]},
        "status": {"type": "string", "enum": ["kept", "dropped", "open"]},
        "reason": text,
    }
    return {"type": "object", "required": list(properties), "properties": properties}


def _of_call(name: str, given: Mapping[str, Any], text: str) -> dict[str, Any]:
    """Return the step that a call of a function says."""
    own = {key: value for key, value in given.items() if key in Turn.model_fields}
    arguments = {key: value for key, value in given.items() if key not in Turn.model_fields}
    phase = own.get("phase") if own.get("phase") in PHASES[:-1] else "observe"
    return {**own, "phase": phase, "said": own.get("said") or text, "tool": name, "arguments": arguments}


def _mended(data: Any) -> Any:
    """Return a step whose fields have the form that models often miss: an object for its text, one for a list."""
    if not isinstance(data, dict):
        return data
    told = dict(data)
    if isinstance(told.get("arguments"), dict):
        told["arguments"] = json.dumps(told["arguments"])
    for name in ("rules", "tests"):
        if isinstance(told.get(name), str):
            told[name] = [told[name]] if told[name] else []
        elif told.get(name) is None:
            told.pop(name, None)
    return told
