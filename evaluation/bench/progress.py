"""How a run is doing, on stderr: a table on a terminal, a line now and then elsewhere, nothing when quiet."""

import sys
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from evaluation.engine.spending import Spending
from evaluation.metrics import image_auroc, mean_of_classes
from evaluation.runs.plan import RunPlan
from evaluation.runs.record import ItemRecord
from evaluation.scoring.outcomes import counted_scores
from vlm_inspect.step_lines import Ticker, duration_words, line_every_s

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

_LINE_EVERY_S = 15.0
_TABLE_EVERY_S = 0.5
_TICK_S = 1.0


class RunProgress:
    """Shows what is done; use it as a context."""

    def __init__(
        self,
        plan: RunPlan,
        spending: Spending,
        *,
        quiet: bool = False,
        write: Callable[[str], Any] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start with nothing done.

        Args:
            plan: what is to be done.
            spending: told every record; knows the cost.
            quiet: show nothing.
            write: takes plain lines in place of stderr, for tests.
            clock: seconds, for tests.
        """
        self._plan, self._spending, self._clock = plan, spending, clock
        self._shown, self._write = not quiet, write or _to_stderr
        self._by_class: dict[str, list[ItemRecord]] = {category.name: [] for category in plan.categories}
        self._began = self._said = clock()
        self._before = 0
        self._live: Live | None = None
        self._ticker: Ticker | None = None

    def recall(self, records: Iterable[ItemRecord]) -> None:
        """Take in what earlier sessions did; it does not count for the speed."""
        for record in records:
            self._by_class[record.category].append(record)
            self._before += 1

    def add(self, record: ItemRecord) -> None:
        """Take in a finished item, and show it when it is time."""
        self._by_class[record.category].append(record)
        self._spending.add(record)
        self.tell(now=self._done == len(self._plan.tasks))

    def tell(self, *, now: bool = False) -> None:
        """Show how it goes, where the last time is long enough ago or `now`."""
        time_s = self._clock()
        if time_s - self._said < (_TABLE_EVERY_S if self._live is not None else _LINE_EVERY_S) and not now:
            return
        self._said = time_s
        if self._live is not None:
            self._live.update(self._table(), refresh=True)
        elif self._shown:
            self._write(self.line())

    def line(self) -> str:
        """Return all of it in one line."""
        return ", ".join(f"{name} {value}" for name, value in self._facts().items())

    def __enter__(self) -> Self:
        self._began = self._said = self._clock()
        if self._shown and sys.stderr.isatty() and self._write is _to_stderr:
            from rich.console import Console
            from rich.live import Live

            self._live = Live(self._table(), console=Console(stderr=True), auto_refresh=False)
            self._live.__enter__()
        if self._shown and self._write is _to_stderr:  # the first item may take minutes: references are learned with it
            self._ticker = Ticker(self.tell, line_every_s() if self._live is None else _TICK_S)
            self._ticker.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ticker is not None:
            self._ticker.__exit__(kind, error, trace)
        if self._live is not None:
            self._live.update(self._table(), refresh=True)
            self._live.__exit__(kind, error, trace)

    @property
    def _done(self) -> int:
        return sum(len(group) for group in self._by_class.values())

    def _facts(self) -> dict[str, str]:
        every = [one for group in self._by_class.values() for one in group]
        failed = sum(one.failure is not None for one in every)
        facts = {"done": f"{len(every)} of {len(self._plan.tasks)}", "failed": str(failed)}
        if self._plan.asks_questions:
            answered = [one.question for one in every if one.question is not None]
            right = sum(one.chosen == one.answer for one in answered)
            facts["right"] = f"{right / len(answered):.1%}" if answered else "n/a"
        else:
            auroc = mean_of_classes({name: _auroc(group) for name, group in self._by_class.items()})
            facts["AUROC so far"] = "n/a" if auroc.value is None else f"{auroc.value:.4f}"
            facts["REVIEW"] = f"{sum(one.outcome == 'REVIEW' for one in every) / len(every):.1%}" if every else "n/a"
        facts["tokens"] = f"{self._spending.prompt_tokens + self._spending.completion_tokens}"
        facts["cost"] = f"{self._spending.usd:.4f} USD" if self._spending.priced else "n/a"
        return facts | {"time": duration_words(self._clock() - self._began), "eta": self._eta()}

    def _eta(self) -> str:
        own = self._done - self._before
        if not own:
            return "n/a"
        left_s = (len(self._plan.tasks) - self._done) * (self._clock() - self._began) / own
        minutes, seconds = divmod(round(left_s), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02}:{seconds:02}"

    def _table(self) -> "Table":
        from rich.table import Table
        from rich.text import Text

        facts = self._facts()
        table = Table(title=Text(self._plan.dataset.name), title_justify="left")
        for name in facts:
            table.add_column(name, justify="right")
        table.add_row(*facts.values())
        return table


def _auroc(records: list[ItemRecord]) -> float | None:
    return image_auroc([one.anomalous for one in records], counted_scores(records)) if records else None


def _to_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
