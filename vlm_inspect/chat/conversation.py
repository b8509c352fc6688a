"""Talking with a model: messages and tools in, words as they come and calls of tools out.

Messages are those of the OpenAI protocol, as plain dicts. An OpenAI-compatible server is asked with streaming and
tools; whatever it refuses is left out from then on. A LangChain model answers whole, with tools. Every other backend
answers whole, without tools, through `Backend.generate`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from vlm_inspect.backends.backend import Backend, Request
from vlm_inspect.backends.model_turn import ModelTurn
from vlm_inspect.backends.server_conversation import Message, OnApart, OnText, ServerConversation

if TYPE_CHECKING:
    from vlm_inspect.store.case import Case

__all__ = ["Conversation", "Message", "OnApart", "OnText", "WholeAnswers", "open_conversation"]

ANSWER_SCHEMA = {"type": "object", "required": ["answer"], "properties": {"answer": {"type": "string"}}}
"""The form of an answer of a backend that is held to one."""


class Conversation(Protocol):
    """One model that can be talked with."""

    @property
    def name(self) -> str:
        """PROVIDER:NAME."""
        ...

    @property
    def takes_tools(self) -> bool:
        """Whether it is believed to call tools."""
        ...

    @property
    def speaks_plainly(self) -> bool:
        """Whether it is known that its words hold no thinking, so that the first answer can be shown as it comes."""
        ...

    def keep_manner(self, *, speaks_plainly: bool) -> None:
        """Keep whether its words hold no thinking."""
        ...

    def converse(
        self,
        messages: Sequence[Message],
        tools: Sequence[Message],
        on_text: OnText,
        *,
        may_call: bool = True,
        on_apart: OnApart | None = None,
    ) -> ModelTurn:
        """Return what the model says next.

        Args:
            messages: the conversation so far.
            tools: functions on offer.
            on_text: is given the words as they come.
            may_call: False: it shall answer now.
            on_apart: is told when thinking comes apart from the words, which then hold none.

        Raises:
            ToolsRefusedError: it takes no tools.
            BackendError: it cannot be reached after bounded retries, or rejects the request.
        """
        ...


def open_conversation(backend: Backend, case: "Case", *, timeout_s: float | None = None) -> Conversation:
    """Return the way to talk with a backend about a case.

    Args:
        backend: the model.
        case: what is talked about.
        timeout_s: longest silence of a server in seconds; None: that of the backend's own connection.
    """
    from vlm_inspect.backends.langchain_chat import LangChainModel
    from vlm_inspect.backends.openai_compatible import OpenAICompatible
    from vlm_inspect.backends.two_models import TwoModels

    if isinstance(backend, TwoModels):  # who judged is who talks about it
        return open_conversation(backend.judge, case, timeout_s=timeout_s)
    if isinstance(backend, OpenAICompatible):
        settings = backend.connection if timeout_s is None else replace(backend.connection, timeout_s=timeout_s)
        return ServerConversation(backend.model, settings)
    if isinstance(backend, LangChainModel):
        return backend
    return WholeAnswers(backend, case)


@dataclass(eq=False)
class WholeAnswers:
    """Any other backend: one answer at a time, whole, without tools."""

    backend: Backend
    case: "Case"
    takes_tools: bool = False
    speaks_plainly: bool = False
    """It answers whole, so that nothing is shown before all of it is known."""

    @property
    def name(self) -> str:
        """PROVIDER:NAME."""
        return self.backend.name

    def keep_manner(self, *, speaks_plainly: bool) -> None:
        """Keep nothing: the answer is known before it is shown."""

    def converse(
        self,
        messages: Sequence[Message],
        tools: Sequence[Message],
        on_text: OnText,
        *,
        may_call: bool = True,
        on_apart: OnApart | None = None,
    ) -> ModelTurn:
        """Return what the model says next; see `Conversation`."""
        from langchain_core.messages import convert_to_messages

        from vlm_inspect.backends.messages import digest_messages

        converted = tuple(convert_to_messages([dict(message) for message in messages]))
        request = Request(
            messages=converted,
            answer_schema=ANSWER_SCHEMA,
            views=self.case.views,
            rules=self.case.rules,
            evidence=self.case.evidence,
            question=None,
            prompt_sha256=digest_messages(converted),
        )
        reply = self.backend.generate(request)[0]
        text = _plain_answer(reply.text)
        on_text(text)
        return ModelTurn(text, finish_reason=reply.finish_reason, usage=reply.usage)


def _plain_answer(text: str) -> str:
    """Return the answer of a reply in the asked form; another form is an answer as it stands."""
    try:
        told = json.loads(text)
    except ValueError:
        return text
    answer = told.get("answer") if isinstance(told, dict) else None
    return answer if isinstance(answer, str) else text
