"""How fast and how dear: the options that every command shares that asks a model many times."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from vlm_inspect.command_options.general import GivenPath

if TYPE_CHECKING:
    from evaluation.engine.reply_cache import ReplyCache
    from evaluation.runs.settings import Limits, Price
    from vlm_inspect.backends.backend import Backend

Command = TypeVar("Command", bound=Callable[..., Any])
_AT_ONCE = 8
"""Requests in flight over a network, where nobody says otherwise."""


def _price(context: click.Context, parameter: click.Parameter, value: str | None) -> "Price | None":
    """Return the two prices, or say what is wrong."""
    from evaluation.runs.settings import Price

    if value is None:
        return None
    try:
        prompt, completion = (float(part) for part in value.split("/"))
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not IN/OUT in USD per million tokens, such as 2.50/10.") from error
    if not (0 <= prompt < 1e6 and 0 <= completion < 1e6):
        raise click.BadParameter(f"{value!r}: a price lies between 0 and a million.")
    return Price(prompt, completion)


_OPTIONS = (
    click.option(
        "--concurrency",
        type=click.IntRange(1, 512),
        metavar="N",
        help="Requests at a time, or the batch size of an hf: model. Default: 8 over a network, otherwise 1.",
    ),
    click.option("--tokens-per-minute", type=click.IntRange(1), metavar="N", help="Limit of tokens per minute."),
    click.option(
        "--price",
        callback=_price,
        metavar="IN/OUT",
        help="Price in USD per million prompt and completion tokens. Default: from the price tables.",
    ),
    click.option(
        "--budget-usd",
        type=click.FloatRange(min=0.0, min_open=True),
        metavar="X",
        help="Stop before spending more than this; requires a known price.",
    ),
    click.option(
        "--cache",
        type=GivenPath(),
        metavar="DIR|off",
        help="Folder of replies kept for later runs. Default: the user's cache folder.",
    ),
)


@dataclass(frozen=True)
class AskingOptions:
    """How fast and how dear; None: the default, or no limit."""

    concurrency: int | None = None
    tokens_per_minute: int | None = None
    price: "Price | None" = None
    """The user's own."""
    budget_usd: float | None = None
    cache: str | None = None
    """Folder of kept replies, or "off"; None: the user's cache folder."""


def limit_options(command: Command) -> Command:
    """Add the options of concurrency, rate, price, budget and cache; the command gets them as `asking`."""
    command = with_asking(command)
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def with_asking(command: Command) -> Command:
    """Let a command take these options as one `asking`, an `AskingOptions`."""

    @functools.wraps(command)
    def run(*arguments: Any, **given: Any) -> Any:
        own = {one.name: given.pop(one.name) for one in fields(AskingOptions)}
        return command(*arguments, asking=AskingOptions(**own), **given)

    return cast("Command", run)


def limits_of(asking: AskingOptions, backend: "Backend") -> "Limits":
    """Return the limits that the options name.

    Args:
        asking: how fast and how dear.
        backend: the model, which may be in the price tables.

    Raises:
        RunError: a budget, and no price.
    """
    from evaluation.errors import RunError
    from evaluation.runs.settings import Limits
    from vlm_inspect.backends import is_local

    local = is_local(backend.name)
    price = asking.price or _known_price(backend)
    if asking.budget_usd is not None and price is None and not local:
        raise RunError(f"the price of {backend.name} is not known: --budget-usd needs --price IN/OUT beside it")
    return Limits(
        concurrency=asking.concurrency or (1 if local else _AT_ONCE),
        tokens_per_minute=asking.tokens_per_minute,
        budget_usd=asking.budget_usd,
        price=price,
    )


def _known_price(backend: "Backend") -> "Price | None":
    """Return what the price tables say of a model at a server."""
    from evaluation.runs.settings import Price
    from vlm_inspect.backends.prices import load_prices

    endpoint = getattr(backend, "endpoint", None)
    if endpoint is None:
        return None
    found = load_prices().find([backend.name.partition(":")[2]], endpoint.host)
    return None if found is None else Price(found.input, found.output)


def cache_of(asking: AskingOptions) -> "ReplyCache":
    """Return the cache of replies that the options name."""
    from evaluation.engine.reply_cache import ReplyCache
    from vlm_inspect.array_cache import cache_folder

    if asking.cache == "off":
        return ReplyCache(None)
    return ReplyCache(cache_folder("replies") if asking.cache is None else Path(asking.cache))
