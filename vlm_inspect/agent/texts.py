"""The texts of the agent: what it is told, and what a person reads of it."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict

from vlm_inspect.prompt_files import fill_text, prompt_folder, read_prompt_file

NAME = "agent.yaml"


class AgentTexts(BaseModel):
    """The texts, by what they are for; each is filled by itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    about: str
    opening: str
    opening_second: str
    place: str
    fields: Mapping[str, str]
    result: str
    pictures: str
    shown_before: str
    look_first: str
    refute_first: str
    unreadable: str
    judge: str
    limit: str
    not_checked: str
    resting: str
    open_evidence: str
    open_hypothesis: str
    kept_hypothesis: str
    not_tried: str
    no_reason: str
    unrefuted: str
    nothing_kept: str

    def say(self, which: str, **values: Any) -> str:
        """Return one text, filled in.

        Raises:
            PromptError: a name of the text has no value.
        """
        return fill_text(getattr(self, which), values, NAME)


@cache
def load_texts() -> AgentTexts:
    """Return the texts.

    Raises:
        PromptError: their file is missing or wrong.
    """
    return read_prompt_file(AgentTexts, prompt_folder() / "follow_up" / NAME)
