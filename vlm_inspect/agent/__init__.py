"""The agent: bounded steps with tools before the verdict. `next_agent_step` is what the inspector asks."""

from vlm_inspect.agent.hypotheses import Tried, try_hypotheses
from vlm_inspect.agent.judgement import open_reason, read_judgement
from vlm_inspect.agent.loop import next_agent_step
from vlm_inspect.agent.requests import open_agent
from vlm_inspect.agent.settings import AgentSettings
from vlm_inspect.agent.steps import look_as_step, looks_as_steps, tried_as_records

__all__ = [
    "AgentSettings",
    "Tried",
    "look_as_step",
    "looks_as_steps",
    "next_agent_step",
    "open_agent",
    "open_reason",
    "read_judgement",
    "tried_as_records",
    "try_hypotheses",
]
