"""`Metrics`: what a service counts, for Prometheus."""

from collections.abc import Callable


class Metrics:
    """Counters and gauges in a registry of their own, so that two services in one process do not mix."""

    def __init__(self) -> None:
        """Begin at zero."""
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self._registry = CollectorRegistry()
        seconds = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300)
        self.inspections = Counter(
            "vlm_inspect_inspections", "Parts judged.", ["rules", "outcome"], registry=self._registry
        )
        self.failures = Counter(
            "vlm_inspect_failures", "Parts that could not be judged.", ["rules"], registry=self._registry
        )
        self.refused = Counter("vlm_inspect_refused", "Requests refused.", ["why"], registry=self._registry)
        self.judging = Histogram(
            "vlm_inspect_judging_seconds", "Time to judge a part.", ["rules"], buckets=seconds, registry=self._registry
        )
        self._waiting = Gauge("vlm_inspect_waiting", "Accepted parts that wait.", registry=self._registry)
        self._failed = Gauge("vlm_inspect_failed_parts", "Failed parts that are kept.", registry=self._registry)

    def watch_messages(self, waiting: Callable[[], int]) -> None:
        """Count the messages that have not arrived whenever the figures are asked for."""
        from prometheus_client import Gauge

        gauge = Gauge("vlm_inspect_messages_waiting", "Messages that have not arrived.", registry=self._registry)
        gauge.set_function(lambda: float(waiting()))

    def watch_queue(self, waiting: Callable[[], int], failed: Callable[[], int]) -> None:
        """Read the queue's length whenever the figures are asked for."""
        self._waiting.set_function(lambda: float(waiting()))
        self._failed.set_function(lambda: float(failed()))

    def render(self) -> tuple[bytes, str]:
        """Return the figures in the text format of Prometheus, and its media type."""
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return generate_latest(self._registry), CONTENT_TYPE_LATEST
