"""`Turn`: what a model says in one step, and the form that it is asked for."""

import json
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from vlm_inspect.backends.backend import Reply
from vlm_inspect.errors import ParseError

NO_TOOL = "none"


class Hypothesis(BaseModel):
    """Something that may be wrong with the part."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    claim: str
    status: Literal["kept", "dropped", "open"] = "open"
    reason: str = ""


class Turn(BaseModel):
    """One step in the model's words."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    phase: Literal["observe", "propose", "refute", "judge"]
    said: str = ""
    hypotheses: tuple[Hypothesis, ...] = ()
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
        """What was said, and what became of each hypothesis."""
        told = (f"{one.status}: {one.claim}{f' ({one.reason})' if one.reason else ''}" for one in self.hypotheses)
        return "; ".join(one for one in (self.said, *told) if one)


def turn_schema(tools: Sequence[str]) -> dict[str, Any]:
    """Return the JSON schema of a step."""
    text = {"type": "string"}
    hypothesis = {
        "type": "object",
        "required": ["claim", "status", "reason"],
        "properties": {
            "claim": text,
            "status": {"type": "string", "enum": ["kept", "dropped", "open"]},
            "reason": text,
        },
    }
    properties = {
        "phase": {"type": "string", "enum": ["observe", "propose", "refute", "judge"]},
        "said": text,
        "hypotheses": {"type": "array", "items": hypothesis},
        "tool": {"type": "string", "enum": [NO_TOOL, *tools]},
        "arguments": text,
        "rules": {"type": "array", "items": text},
    }
    return {"type": "object", "required": list(properties), "properties": properties}


def read_turn(replies: Sequence[Reply]) -> Turn:
    """Return the step that a reply says.

    Raises:
        ParseError: there is none in it.
    """
    text = replies[0].text if replies else ""
    found = text[text.find("{") : text.rfind("}") + 1]
    try:
        data = json.loads(found)
        if isinstance(data, dict) and isinstance(data.get("arguments"), dict):
            data["arguments"] = json.dumps(data["arguments"])
        return Turn.model_validate(data)
    except (ValueError, RecursionError) as error:
        if isinstance(error, ValidationError):
            first = error.errors(include_url=False)[0]
            reason = f"{'.'.join(str(part) for part in first['loc']) or 'object'}: {first['msg']}"
        else:
            reason = "it holds no JSON object"
        raise ParseError(reason, reply_text=text, cause="unreadable") from error
