"""How close `bench` comes to what a slow server allows: 64 items, 0.5 s an answer, 16 at once.

Run from the repository root: python -m benchmarks.bench_concurrency

Ideal is 64 / 16 x 0.5 s = 2.0 s; the aim is 2.6 s from the first request to the end of the command. What comes before,
libraries and data set, is loading.
"""

import contextlib
import io
import tempfile
import time
from pathlib import Path

from tests.backends.openai_server import Body, OpenAIServer, Response
from tests.evaluation.coloured_parts import Model, coloured_parts
from vlm_inspect import cli

ITEMS, ANSWER_S, AT_ONCE = 64, 0.5, 16
RUNS = 3


class Timed(Model):
    """Notes when requests come in and go out."""

    def __init__(self) -> None:
        super().__init__(delay_s=ANSWER_S)
        self.first_s: float | None = None

    def __call__(self, body: Body) -> Response:
        """Answer as the model does."""
        self.first_s = self.first_s or time.perf_counter()
        return super().__call__(body)


def measure(folder: Path, run: int) -> tuple[float, float]:
    """Return seconds from the first request to the end of the command, and from its start to the first request."""
    model = Timed()
    with OpenAIServer([model]) as server:
        named = ["--model", "openai:tiny", "--base-url", server.base_url, "--localizer", "none", "--shots", "0"]
        out = ["--out", str(folder / f"out{run}"), "--concurrency", str(AT_ONCE), "--cache", "off", "--quiet"]
        began = time.perf_counter()
        with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
            cli.main(["bench", str(folder / "parts"), *out, *named])
        ended = time.perf_counter()
    assert model.first_s is not None
    assert sum(model.asked.values()) == ITEMS
    return ended - model.first_s, model.first_s - began


def main() -> None:
    """Print one line a run."""
    ideal = -(-ITEMS // AT_ONCE) * ANSWER_S
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        coloured_parts(folder / "parts", ITEMS)
        for run in range(RUNS):
            asking_s, loading_s = measure(folder, run)
            print(f"{ITEMS} items: {asking_s:.2f} s beyond {loading_s:.2f} s of loading; ideal {ideal:.2f} s")


if __name__ == "__main__":
    main()
