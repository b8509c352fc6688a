"""`BatchedJudge`: pictures that several threads want judged go through the network together.

While one batch is at work, the others pile up, and the next batch takes them all, up to a number of pictures; nobody
waits for a batch to fill. So the size of batches follows the load, and a single part is judged as fast as before.
"""

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.dual_encoder.encoder import Rgb
from vlm_inspect.localization.picture_judge import FittedJudge, PictureScores


@dataclass(eq=False)
class _Order:
    """What one caller wants, and what became of it."""

    pictures: Sequence[Rgb]
    answers: list[PictureScores] | None = None
    error: LocalizerError | None = None
    done: threading.Event = field(default_factory=threading.Event)


class BatchedJudge:
    """A `FittedJudge` that joins the pictures of callers who come at the same time."""

    def __init__(self, judge: FittedJudge, most: int, turn: "threading.Lock | None" = None) -> None:
        """Wrap a judge.

        Args:
            judge: called by one thread at a time.
            most: pictures of one batch; one caller's are never taken apart, and may be more.
            turn: held while the judge works; judges that share a network share it. None: one of its own.
        """
        self._judge, self._most = judge, most
        self._turn = turn or threading.Lock()
        self._gate = threading.Lock()
        self._waiting: deque[_Order] = deque()

    def judge(self, pictures: Sequence[Rgb]) -> list[PictureScores]:
        """See `FittedJudge.judge`; a picture that cannot be judged fails its own caller alone."""
        own = _Order(pictures)
        with self._gate:
            self._waiting.append(own)
        with self._turn:
            while not own.done.is_set():
                self._work(self._take())
        if own.error is not None:
            raise own.error
        assert own.answers is not None
        return own.answers

    def _take(self) -> list[_Order]:
        """Return the orders of the next batch, those that wait longest first."""
        taken: list[_Order] = []
        count = 0
        with self._gate:
            while self._waiting and (not taken or count + len(self._waiting[0].pictures) <= self._most):
                taken.append(self._waiting.popleft())
                count += len(taken[-1].pictures)
        return taken

    def _work(self, orders: Sequence[_Order]) -> None:
        try:
            answers = self._judge.judge([picture for order in orders for picture in order.pictures])
        except BaseException as error:
            if len(orders) > 1 and isinstance(error, LocalizerError):
                for order in orders:
                    self._work([order])
                return
            for order in orders:
                order.error = error if isinstance(error, LocalizerError) else LocalizerError(f"{error!r}")
                order.done.set()
            if not isinstance(error, LocalizerError):
                raise
            return
        at = 0
        for order in orders:
            order.answers = answers[at : at + len(order.pictures)]
            at += len(order.pictures)
            order.done.set()
