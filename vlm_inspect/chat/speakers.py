"""Who answers where a language model does: one that calls tools, or any other on a fixed plan."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from vlm_inspect.backends.model_turn import ModelTurn, ToolCall
from vlm_inspect.chat.answer import Answer, Listener
from vlm_inspect.chat.context import (
    MOST_CALLS,
    Message,
    load_chat_prompt,
    open_messages,
    recall_turns,
    with_pictures,
)
from vlm_inspect.chat.conversation import Conversation
from vlm_inspect.chat.own_pictures import PlainWords
from vlm_inspect.chat.places import number_places
from vlm_inspect.chat.written_calls import ShownWords
from vlm_inspect.citation import permille
from vlm_inspect.errors import ToolsRefusedError
from vlm_inspect.store.case import Case, Turn
from vlm_inspect.tools.result import ToolResult
from vlm_inspect.tools.toolbox import Toolbox

LOOKED_AT = 3
"""Most places that the fixed plan looks at closer, the hottest first."""


_FINISHED = frozenset({"stop", "tool_calls", "function_call", "content_filter", "cut"})


class Speaker(Protocol):
    """Answers questions about a case."""

    def answer(self, question: str, turns: Sequence[Turn], listener: Listener) -> Answer:
        """Answer one question after the turns so far.

        Raises:
            InspectError: the model cannot be reached, or the case cannot be read.
        """
        ...


class ModelSpeaker:
    """A language model: with tools where it takes them, else on the fixed plan (look, zoom, answer)."""

    def __init__(self, case: Case, conversation: Conversation, toolbox: Toolbox, language: str | None = None) -> None:
        """Talk about a case through a conversation, in one language; None: in that of each question."""
        self._language = language
        self._case = case
        self._conversation = conversation
        self._toolbox = toolbox
        self._is_plain = conversation.speaks_plainly
        """Whether its last answer was for the person from its first word on, so that the next is shown as it comes."""

    def answer(self, question: str, turns: Sequence[Turn], listener: Listener) -> Answer:
        """Answer one question; see `Speaker`."""
        answer = Answer()
        if self._conversation.takes_tools:
            try:
                self._with_tools(question, turns, listener, answer)
            except ToolsRefusedError:
                answer.notes.append(f"{self._conversation.name} takes no tools; it answers on the fixed plan")
                self._on_plan(question, turns, listener, answer)
        else:
            self._on_plan(question, turns, listener, answer)
        return answer

    def _with_tools(self, question: str, turns: Sequence[Turn], listener: Listener, answer: Answer) -> None:
        messages = [*open_messages(self._case, tools=True, language=self._language), *recall_turns(turns, tools=True)]
        messages.append({"role": "user", "content": question})
        made: set[tuple[str, str]] = set()
        schemas = self._toolbox.schemas()
        for _ in range(MOST_CALLS + 1):
            turn = self._say(messages, schemas, listener, answer, may_call=len(answer.calls) < MOST_CALLS)
            if not turn.calls or turn.cut:
                return
            messages.append(_called(turn))
            pictures: list[Message] = []
            for call in turn.calls:
                result = self._run(call, made, answer)
                listener.called(call.name, call.arguments, result)
                messages.append({"role": "tool", "tool_call_id": call.id, "content": result.text})
                if result.pictures:
                    told = load_chat_prompt().say("tool_pictures", name=call.name)
                    pictures.append(with_pictures(told, result.pictures))
            messages += pictures
        if not answer.text:
            answer.notes.append(f"the model went on calling tools after {MOST_CALLS} calls and gave no answer")

    def _run(self, call: ToolCall, made: set[tuple[str, str]], answer: Answer) -> ToolResult:
        prompt = load_chat_prompt()
        key = (call.name, _canonical(call.arguments))
        if len(answer.calls) >= MOST_CALLS:
            result = ToolResult(prompt.say("too_many", most_calls=MOST_CALLS), failed=True)
        elif key in made:
            result = ToolResult(prompt.say("repeated"), failed=True)
        else:
            result = self._toolbox.call(call.name, call.arguments)
        made.add(key)
        answer.record(call.name, call.arguments, result)
        return result

    def _on_plan(self, question: str, turns: Sequence[Turn], listener: Listener, answer: Answer) -> None:
        """Look at the whole, then at the hottest places, then answer."""
        prompt = load_chat_prompt()
        messages = [*open_messages(self._case, tools=False, language=self._language), *recall_turns(turns, tools=False)]
        hottest = number_places(self._case)[:LOOKED_AT]
        if not hottest:
            messages.append({"role": "user", "content": question})
            self._say(messages, (), listener, answer)
            return
        messages.append({"role": "user", "content": prompt.say("look", question=question)})
        first = self._conversation.converse(messages, (), lambda text: None)
        messages.append({"role": "assistant", "content": first.text or "…"})
        looks: list[Message] = []
        compared = False
        for place in hottest:
            arguments = json.dumps({"view": place.view, "box": list(permille(place.box_xyxyn))})
            for name in ("zoom", "compare_with_references"):
                result = self._toolbox.call(name, arguments)
                if result.failed:
                    continue
                compared = compared or name != "zoom"
                answer.record(name, arguments, result)
                listener.called(name, arguments, result)
                looks += with_pictures(result.text, result.pictures)["content"]
        content = [
            {"type": "text", "text": prompt.say("closer", compared=compared)},
            *looks,
            {"type": "text", "text": prompt.say("answer", question=question)},
        ]
        messages.append({"role": "user", "content": content})
        self._say(messages, (), listener, answer)

    def _say(
        self,
        messages: Sequence[Message],
        schemas: Sequence[Message],
        listener: Listener,
        answer: Answer,
        *,
        may_call: bool = True,
    ) -> ModelTurn:
        """Let the model speak once; its words go to the listener, and into the answer."""
        words = PlainWords(listener.words)
        offered = {schema["function"]["name"] for schema in schemas} if may_call else set[str]()
        shown = ShownWords(words.add, offered, held=not self._is_plain)
        turn = self._conversation.converse(messages, schemas, shown.add, may_call=may_call, on_apart=shown.show_at_once)
        written = shown.finish()
        if written.text or written.notes:
            self._is_plain = not written.notes and not written.calls
            self._conversation.keep_manner(speaks_plainly=self._is_plain)
        turn = replace(turn, text=written.text, calls=(*turn.calls, *written.calls))
        said = words.finish()
        answer.notes += [note for note in written.notes if note not in answer.notes]
        answer.text = f"{answer.text}\n{said}".strip() if said else answer.text
        answer.notes += words.notes
        if turn.cut:
            answer.notes.append(f"the answer broke off: {turn.cut}")
        elif turn.finish_reason in {"length", "max_tokens"}:
            answer.notes.append("the answer is cut short: it reached the longest length that was asked for")
        elif turn.finish_reason not in _FINISHED:
            answer.notes.append(f"the answer was cut off, or failed: the server says {turn.finish_reason[:60]}")
        elif not said and not turn.calls:
            answer.notes.append("the model gave no answer; ask again, or in other words")
        return turn


def _called(turn: ModelTurn) -> Message:
    """Return the model's own message; arguments that are no JSON object go back as an empty one, which servers take."""
    calls: list[dict[str, Any]] = [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": _canonical(call.arguments) or "{}"},
        }
        for call in turn.calls
    ]
    return {"role": "assistant", "content": turn.text or None, "tool_calls": calls}


def _canonical(arguments: str) -> str:
    """Return arguments in one form, so that equal calls are equal text; "" where they are no JSON object."""
    try:
        given = json.loads(arguments or "{}")
    except ValueError:
        return ""
    return json.dumps(given, sort_keys=True) if isinstance(given, dict) else ""
