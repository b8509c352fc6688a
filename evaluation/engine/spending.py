"""What a run has spent, and what the next request will."""

from collections.abc import Iterable, Sequence

from evaluation.runs.plan import Task
from evaluation.runs.record import ItemRecord, Spent
from evaluation.runs.settings import Limits, Price
from vlm_inspect.backends.backend import Reply, Request

_CHARACTERS_A_TOKEN = 4
_TOKENS_A_PICTURE = 1000
"""Before any reply has told; pictures cost 85 to 1500 tokens, by model and size."""
_TOKENS_OF_ANSWER = 300


class Spending:
    """Counts tokens and dollars of this run's own requests."""

    def __init__(self, limits: Limits, known: Iterable[ItemRecord] = ()) -> None:
        """Start with what earlier sessions spent."""
        self._limits = limits
        self._in_flight = 0
        self._requests = 0
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.usd = 0.0
        self.priced = limits.price is not None
        """False where no price is known; `usd` then says nothing."""
        for record in known:
            self.add(record)

    @property
    def in_flight(self) -> int:
        """Requests that were sent and have not come back."""
        return self._in_flight

    def exceeds(self, tokens: int = 0, requests: int = 1) -> bool:
        """Return whether more requests could exceed the budget, those in flight costing what the mean one did.

        Args:
            tokens: what each of them is expected to take, as long as none has told.
            requests: how many they are.
        """
        budget = self._limits.budget_usd
        if budget is None:
            return False
        return self.usd >= budget or self.usd + (self._in_flight + requests) * self.usd_of_next(tokens) > budget

    def usd_of_next(self, tokens: int = 0) -> float:
        """Return what a request costs: the mean so far, or as long as none has told, what so many tokens cost."""
        price = self._limits.price
        if self._requests:
            return self.usd / self._requests
        return 0.0 if price is None else price.of(tokens, 0)

    def add(self, record: ItemRecord) -> None:
        """Count what a finished item cost."""
        self.add_spent(record.usage)

    def add_spent(self, spent: Spent) -> None:
        """Count what requests cost."""
        if spent.calls:
            self.count(spent.prompt_tokens, spent.completion_tokens, spent.cost_usd)

    def count(self, prompt_tokens: int, completion_tokens: int, usd: float | None) -> None:
        """Count what one request cost, as soon as its reply is there; None: its price is not known."""
        self._requests += 1
        self.prompt_tokens += prompt_tokens
        self.completion_tokens += completion_tokens
        if usd is not None:
            self.usd += usd
            self.priced = True

    def begin(self, requests: int) -> None:
        """Note requests that are sent."""
        self._in_flight += requests

    def end(self, requests: int) -> None:
        """Note requests that came back."""
        self._in_flight -= requests

    def tokens_of_next(self, estimate: int) -> int:
        """Return the mean tokens of a request so far; the estimate where none has told, as some servers never do."""
        total = self.prompt_tokens + self.completion_tokens
        return total // self._requests if total else estimate


def cost_of(replies: Sequence[Reply], own_price: Price | None) -> float | None:
    """Return what replies cost in US dollars, by the user's own price or else by what the model's usage says."""
    usages = [reply.usage for reply in replies]
    if own_price is not None:
        return own_price.of(sum(u.prompt_tokens for u in usages), sum(u.completion_tokens for u in usages))
    costs = [usage.cost_usd for usage in usages if usage.calls]
    known = [cost for cost in costs if cost is not None]
    return sum(known) if known and len(known) == len(costs) else None


def estimate_tokens(request: Request) -> int:
    """Return about how many tokens a request and its answer take."""
    total = _TOKENS_OF_ANSWER
    for message in request.messages:
        blocks = [message.content] if isinstance(message.content, str) else message.content
        for block in blocks:
            text = block if isinstance(block, str) else str(block.get("text", ""))
            is_picture = not isinstance(block, str) and block.get("type") == "image_url"
            total += _TOKENS_A_PICTURE if is_picture else len(text) // _CHARACTERS_A_TOKEN
    return total


def estimate_tokens_of_task(task: Task) -> int:
    """Return about how many tokens a task takes that another process asks about: a picture each for it and a reference.

    Views and words that the prompt adds are not known here; the first reply tells.
    """
    return _TOKENS_OF_ANSWER + _TOKENS_A_PICTURE * (1 + len(task.references))
