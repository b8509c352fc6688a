"""A run that is killed at random moments and resumed ends as one that was not, and asks nothing twice in vain."""

import json
import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from evaluation.engine.journal import Journal
from tests.backends.openai_server import OpenAIServer
from tests.evaluation.coloured_parts import Model, coloured_parts
from tests.waiting import LONGEST_S
from vlm_inspect import cli

PARTS = 40
CONCURRENCY = 4
KILLS = 20
LIBRARIES = [
    "vlm_inspect.cli",
    "evaluation.bench.run",
    "openai",
    "langchain_core.messages",
    "PIL.Image",
    "cv2",
    "jinja2",
]


@pytest.mark.slow(10)
def test_killed_runs_lose_what_was_in_flight_and_nothing_else(tmp_path: Path) -> None:
    parts = coloured_parts(tmp_path / "parts", PARTS)
    dice = random.Random(7)
    plain, killed = Model(delay_s=0.03), Model(delay_s=0.03)
    with OpenAIServer([plain]) as server:
        assert _run(_arguments(parts, tmp_path / "plain", server)) == 0
    kills = 0
    with OpenAIServer([killed]) as server:
        arguments = [*_arguments(parts, tmp_path / "killed", server), "--resume"]
        for _ in range(KILLS):
            before, done = Counter(killed.asked), _done(tmp_path / "killed")
            code = _run(arguments, kill_after=dice.randint(0, 3), wait_s=dice.uniform(0.0, 0.05), model=killed)
            kills += code == -signal.SIGKILL
            asked_now = {number for number in killed.asked if killed.asked[number] > before[number]}
            assert not asked_now & done, "an item of the journal was asked again"
        assert _run(arguments) == 0
    assert kills >= KILLS // 2
    assert set(killed.asked) == set(range(PARTS))
    assert sum(killed.asked.values()) <= PARTS + kills * CONCURRENCY
    assert _items(tmp_path / "killed") == _items(tmp_path / "plain")
    results = [json.loads((tmp_path / name / "results.json").read_text()) for name in ("plain", "killed")]
    for key in ("categories", "mean", "ci95", "coverage", "parse_failures", "review_rate", "failures", "worst"):
        assert results[0][key] == results[1][key]
    for folder in ("plain", "killed"):
        assert sorted(p.name for p in (tmp_path / folder / "previews").iterdir()) == _previews(results[0])
    assert results[1]["usage"]["prompt_tokens"] == 1000 * PARTS


def test_an_interrupted_run_keeps_what_was_in_flight(tmp_path: Path) -> None:
    parts, out = coloured_parts(tmp_path / "parts", PARTS), tmp_path / "out"
    model = Model(delay_s=0.2)
    with OpenAIServer([model]) as server:
        arguments = _arguments(parts, out, server)
        assert _run(arguments, kill_after=6, model=model, by=signal.SIGINT) == 130
        asked = set(model.asked)
        assert len(asked) < PARTS
        assert _done(out) == asked, "what was paid for is kept"
        assert _run([*arguments, "--resume"]) == 0
    assert set(model.asked.values()) == {1}


def _arguments(parts: Path, out: Path, server: OpenAIServer) -> list[str]:
    named = ["--model", "openai:tiny", "--base-url", server.base_url, "--localizer", "none", "--shots", "0"]
    return [
        "bench",
        str(parts),
        "--out",
        str(out),
        *named,
        "--concurrency",
        str(CONCURRENCY),
        "--cache",
        "off",
        "--quiet",
    ]


def _run(
    arguments: list[str],
    *,
    kill_after: int | None = None,
    wait_s: float = 0.0,
    model: Model | None = None,
    by: signal.Signals = signal.SIGKILL,
) -> int:
    """Run the command in a process; with `kill_after` it gets the signal once so many more requests came in."""
    context = multiprocessing.get_context("forkserver")  # imports once, and its children are free of our threads
    context.set_forkserver_preload(LIBRARIES)
    process = context.Process(target=_heed_interrupts_and_run, args=(arguments,))
    start = sum(model.asked.values()) if model is not None else 0
    process.start()
    if kill_after is not None and model is not None:
        while process.is_alive() and sum(model.asked.values()) < start + kill_after:
            time.sleep(0.002)
        time.sleep(wait_s)
        if process.is_alive() and process.pid is not None:
            os.kill(process.pid, by)
    process.join(LONGEST_S)
    assert process.exitcode is not None
    return process.exitcode


def _heed_interrupts_and_run(arguments: list[str]) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background of a shell ignores them
    cli.main(arguments)


def _done(out: Path) -> set[int]:
    if not (out / "journal.sqlite").exists():
        return set()
    with Journal(out / "journal.sqlite") as journal:
        return {int(name[-7:-4]) for name in journal.records()}


def _items(out: Path) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in (out / "items.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "latency_s"} for line in lines]


def _previews(results: dict[str, list[dict[str, str]]]) -> list[str]:
    return sorted(one["preview"].removeprefix("previews/") for one in results["worst"])
