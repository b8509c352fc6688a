"""The options of a model that works in steps, and what does not go with them."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from vlm_inspect.config import InspectorConfig

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--agent",
        is_flag=True,
        help="Let the model work in steps with tools before it judges. A critical or major rule that no step looked "
        "at, and a hypothesis that no step dropped, keep the part from OK.",
    ),
    click.option(
        "--max-steps",
        type=click.IntRange(2, 100),
        default=12,
        show_default=True,
        metavar="N",
        help="Limit of steps for --agent, including the verdict. A part that needs more ends in REVIEW.",
    ),
    click.option(
        "--agent-tokens",
        "step_tokens",
        type=click.IntRange(min=1),
        metavar="N",
        help="Limit of tokens for --agent. A part that needs more ends in REVIEW.",
    ),
    click.option(
        "--agent-usd",
        "step_usd",
        type=click.FloatRange(min=0.0, min_open=True),
        metavar="USD",
        help="Limit of cost for --agent. A part that costs more ends in REVIEW.",
    ),
    click.option(
        "--refuter",
        metavar="PROVIDER:NAME",
        help="A second model for --agent, which tries to refute the hypotheses of --model. At a server, it is asked "
        "at that of --model.",
    ),
)


def agent_options(command: Command) -> Command:
    """Add the options; they stand below those that read the configuration, which takes them in."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def check_agent(config: "InspectorConfig") -> None:
    """Refuse limits of steps without steps, and two ways to look again.

    Raises:
        click.UsageError: the settings do not go together.
    """
    agent = config.agent
    if not agent.enabled and agent != type(agent)():
        raise click.UsageError("--max-steps, --agent-tokens and --agent-usd require --agent; add it")
    if config.refuter is not None and not (agent.enabled and agent.refutation):
        raise click.UsageError("--refuter requires --agent, whose hypotheses it tries; add it")
    if agent.enabled and config.look_again:
        raise click.UsageError("--agent looks as often as it needs to; leave --look-again out")
