"""`AgentSettings`: whether a part is worked on in steps, how, and how many."""

from pydantic import BaseModel, ConfigDict, Field


class AgentSettings(BaseModel):
    """How an agent works, and its limits; one that is reached ends in REVIEW."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    enabled: bool = False
    """Whether the model works in steps before it judges."""
    refutation: bool = True
    """Whether it has to say what may be wrong, and to try each of that by a look that could show it wrong."""
    max_steps: int = Field(default=12, ge=2, le=100)
    """Most steps, the verdict included."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Tokens after which it has to judge; None: no limit."""
    max_usd: float | None = Field(default=None, gt=0.0)
    """US dollars after which it has to judge; None: no limit. Without a known price it judges at once."""
