"""Two scripted models over the puzzle set of `vlm-inspect demo --logic`, which bracket what an agent's loop can gain.

    langchain:benchmarks.scripted_agents:perfect    never mistaken about a field that it was shown closer; what it was
                                                    not shown, it takes as met
    langchain:benchmarks.scripted_agents:blind      makes the same steps, and sees nothing in them

They know a tray by its pixels, from the folder that LOGIC_DEMO names. Where hypotheses are asked for, they try one a
rule; where they are not, they look at one field and judge, the least that is allowed.
"""

import base64
import io
import json
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from numpy.typing import NDArray
from PIL import Image

from vlm_inspect.demo import DemoTruth
from vlm_inspect.demo.kit_tray import FIELDS

FOLDER = "LOGIC_DEMO"
_SIDE = 48
_PERMILLE = 1000


class ScriptedAgent(BaseChatModel):
    """Works in steps by a plan; `sees` says whether its eyes are perfect or blind."""

    sees: bool

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **more: Any
    ) -> ChatResult:
        told = json.dumps(self._say(messages))
        tokens = {"input_tokens": _tokens_of(messages), "output_tokens": len(told) // 4}
        usage = {**tokens, "total_tokens": sum(tokens.values())}
        answer = AIMessage(content=told, usage_metadata=usage, response_metadata={"finish_reason": "stop"})
        return ChatResult(generations=[ChatGeneration(message=answer)])

    def _say(self, messages: Sequence[BaseMessage]) -> dict[str, Any]:
        words = "\n".join(_text_of(message) for message in messages if message.type == "human")
        broken = _broken_rule(_picture_of_view(messages)) if self.sees else ""
        looked = [rule for rule in FIELDS if f'"{rule}"' in _own_calls(messages)]
        if "Do not give the verdict yet" not in words or "final verdict" in _text_of(messages[-1]):
            return _verdict(broken if broken in looked else "", looked)
        return _step(broken, looked, refutes="3. refute:" in words)


def perfect() -> ScriptedAgent:
    """Return the model whose eyes are perfect."""
    return ScriptedAgent(sees=True)


def blind() -> ScriptedAgent:
    """Return the model that sees nothing."""
    return ScriptedAgent(sees=False)


def _step(broken: str, looked: Sequence[str], *, refutes: bool) -> dict[str, Any]:
    waiting = [rule for rule in FIELDS if rule not in looked]
    last = looked[-1] if looked else ""
    settled = [_hypothesis(last, "kept" if last == broken else "dropped", "as the closer look shows")] if last else []
    if not waiting or (looked and not refutes):
        done = {"phase": "judge", "said": "I have looked.", "rules": [], "tool": "none", "arguments": "{}"}
        return {**done, "hypotheses": settled, "tests": []} if refutes else done
    rule = waiting[0]
    box = [round(side * _PERMILLE) for side in FIELDS[rule]]
    called = {"tool": "zoom", "arguments": json.dumps({"view": 0, "box": box}), "rules": [rule]}
    if not refutes:
        return {"phase": "observe", "said": f"I look at the field of {rule}.", **called}
    proposed = [*settled, _hypothesis(rule, "open", "")]
    said = f"The field of {rule} may be wrong."
    return {"phase": "propose", "said": said, **called, "hypotheses": proposed, "tests": [f"h-{rule}"]}


def _hypothesis(rule: str, status: str, reason: str) -> dict[str, Any]:
    box = [round(side * _PERMILLE) for side in FIELDS[rule]]
    told = {"id": f"h-{rule}", "claim": f"{rule} is not met", "rule": rule, "view": 0, "box": box}
    return {**told, "expected": "its field differs from what the rule says", "status": status, "reason": reason}


def _verdict(broken: str, looked: Sequence[str]) -> dict[str, Any]:
    rules = [
        {"id": rule, "status": "fail" if rule == broken else "pass", "reason": "seen closer" if rule in looked else ""}
        for rule in FIELDS
    ]
    box = [round(side * _PERMILLE) for side in FIELDS[broken]] if broken else []
    defects = [{"type": f"{broken} not met", "view": 0, "box": box, "severity": "critical"}] if broken else []
    return {
        "reasoning": f"{broken} is not met." if broken else "Nothing is wrong as far as I looked.",
        "anomalous": bool(broken),
        "probability": 0.97 if broken else 0.03,
        "answer": "",
        "rules": rules,
        "defects": defects,
    }


def _own_calls(messages: Sequence[BaseMessage]) -> str:
    """Return the rules of its own calls so far, as JSON."""
    turns = [json.loads(_text_of(message)) for message in messages if message.type == "ai"]
    return json.dumps([turn["rules"] for turn in turns if turn.get("tool", "none") != "none"])


def _picture_of_view(messages: Sequence[BaseMessage]) -> NDArray[np.float32]:
    """Return the part as it was sent: the picture after the words "View 0"."""
    is_next = False
    for message in messages:
        for block in message.content if isinstance(message.content, list) else ():
            if not isinstance(block, dict):
                continue
            if block.get("type") == "text":
                is_next = str(block["text"]).startswith("View 0,")
            elif is_next:
                data = block.get("base64") or str(block["image_url"]["url"]).partition(",")[2]
                return _small(Image.open(io.BytesIO(base64.b64decode(data))))
    raise ValueError("the request shows no view")


def _broken_rule(picture: NDArray[np.float32]) -> str:
    """Return the rule that the tray in a picture breaks; "": none."""
    return min(_trays(), key=lambda rule_and_tray: float(np.abs(rule_and_tray[1] - picture).mean()))[0]


@cache
def _trays() -> tuple[tuple[str, NDArray[np.float32]], ...]:
    folder = Path(os.environ[FOLDER])
    truth = DemoTruth.model_validate_json((folder / "truth.json").read_bytes())
    rule_of = {box: rule for rule, box in FIELDS.items()}
    found = []
    for case in truth.root:
        box = case.defects[0].box_xyxyn if case.defects else None
        found.append((rule_of[box] if box else "", _small(Image.open(folder / case.source))))
    return tuple(found)


def _small(picture: Image.Image) -> NDArray[np.float32]:
    return np.asarray(picture.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BOX), np.float32)


def _text_of(message: BaseMessage) -> str:
    if isinstance(message.content, str):
        return message.content
    return "\n".join(str(block.get("text", "")) for block in message.content if isinstance(block, dict))


def _tokens_of(messages: Sequence[BaseMessage]) -> int:
    """Estimate the tokens of a prompt: a quarter of its letters, and 255 a picture (one tile of the GPT-4 class)."""
    blocks = [block for message in messages if isinstance(message.content, list) for block in message.content]
    pictures = sum(isinstance(block, dict) and block.get("type") != "text" for block in blocks)
    return sum(len(_text_of(message)) for message in messages) // 4 + 255 * pictures
