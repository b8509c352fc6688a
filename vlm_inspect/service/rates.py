"""`Rates`: how many requests somebody may make; a bucket that fills steadily and holds a quarter of a minute's."""

import threading
import time
from collections import OrderedDict

_MOST_NAMES = 10_000


class Rates:
    """Counts requests by name."""

    def __init__(self, per_minute: int) -> None:
        """Allow `per_minute` requests a minute to every name, >= 1; a quarter of them, at least 5, at once."""
        self._per_s = per_minute / 60.0
        self._most = max(5.0, per_minute / 4.0)
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, name: str, cost: float = 1.0) -> float:
        """Count a request at a cost of at most 1; returns 0.0 where it is allowed, else after how many seconds."""
        now = time.monotonic()
        with self._lock:
            left, then = self._buckets.pop(name, (self._most, now))
            left = min(self._most, left + (now - then) * self._per_s)
            allowed = left >= 1.0
            self._buckets[name] = (left - cost if allowed else left, now)
            while len(self._buckets) > _MOST_NAMES:
                self._buckets.popitem(last=False)
        return 0.0 if allowed else (1.0 - left) / self._per_s
