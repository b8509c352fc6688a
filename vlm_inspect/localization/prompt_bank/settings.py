"""Who describes a class in words, and how much a language model is asked."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Bank = Literal["auto", "written", "model"]
"""The model of the inspection where it has a language, else the bank that ships; always the bank that ships; or always
the model."""


class LanguageSettings(BaseModel):
    """The ALFA paper says neither, and ends at 16 to 144 sentences a label."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    per_reply: Annotated[int, Field(ge=1, le=1000)] = 30
    """Most sentences taken from one reply."""
    samples: Annotated[int, Field(ge=1, le=100)] = 2
    """Answers to each question; backends make them differ where there are several."""
