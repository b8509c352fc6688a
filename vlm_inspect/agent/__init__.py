"""The agent: bounded steps with tools before the verdict. `next_agent_step` is what the inspector asks."""

from vlm_inspect.agent.loop import next_agent_step, open_agent, read_judgement
from vlm_inspect.agent.settings import AgentSettings
from vlm_inspect.agent.steps import looks_as_steps

__all__ = ["AgentSettings", "looks_as_steps", "next_agent_step", "open_agent", "read_judgement"]
