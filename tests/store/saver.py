"""A process of its own that saves.

python -m tests.store.saver save STORE PROCESSES    makes a store, saves and talks, by several processes at once
python -m tests.store.saver killed STORE ROUNDS     has a process save without end, and kills it, again and again

The last line of stdout is JSON.
"""

import dataclasses
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from typing import NoReturn

from tests.store.parts import evidence_over, examine, image_view, noise
from vlm_inspect.examination import Examination
from vlm_inspect.store import CaseStore


def other_part(examination: Examination, seed: int) -> Examination:
    """The same examination over a view that no case has yet."""
    (view,) = examination.views
    return dataclasses.replace(examination, views=(dataclasses.replace(view, image=noise(seed, 200, 300), mask=None),))


def at_once(task: Callable[[int], object], processes: int) -> list[str]:
    """Run a task in several processes at once; returns the lines that they told."""
    reader, writer = os.pipe()
    children = []
    for _ in range(processes):
        child = os.fork()
        if child == 0:
            task(writer)
            os._exit(0)
        children.append(child)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        lines = pipe.read().split()
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * processes
    return lines


def save_at_once(store_name: str, processes: int) -> None:
    """Make a store, save, and talk over its first case, all by several processes at once."""
    examination = examine([image_view()], evidence=evidence_over())

    def save(told: int) -> None:
        with CaseStore(store_name) as store:
            for number in range(6):
                os.write(told, f"{store.save(examination, f'{number}.png')}\n".encode())

    def talk(told: int) -> None:
        with CaseStore(store_name) as store:
            for number in range(8):
                store.add_turn(ids[0], "user", f"{os.getpid()} {number}")
                store.save(examination, "later.png")

    ids = at_once(save, processes)
    at_once(talk, processes)
    sys.stdout.write(f"{json.dumps(ids)}\n")


def save_without_end(store_name: str, examination: Examination, told: int) -> NoReturn:
    """Save for ever, and tell every id once its case is kept."""
    with CaseStore(store_name) as store:
        while True:
            seed = random.SystemRandom().randrange(2**32)
            case_id = store.save(other_part(examination, seed), "a.png")
            store.add_turn(case_id, "user", "kept")
            os.write(told, f"{case_id}\n".encode())


def kill_savers(store_name: str, rounds: int) -> None:
    """Kill a saver at another moment each time; prints the ids that it had told."""
    examination = examine([image_view()], evidence=evidence_over())
    chance = random.Random(0)
    known: list[str] = []
    with CaseStore(store_name) as store:
        store.save(other_part(examination, 0), "a.png")  # what is imported on the way is imported once
    for _ in range(rounds):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            save_without_end(store_name, examination, writer)
        os.close(writer)
        first = os.read(reader, 21)
        assert first, "the saver failed before it was killed"
        time.sleep(chance.uniform(0.0, 0.12))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with os.fdopen(reader, "rb") as pipe:
            known += (first + pipe.read()).decode().split()
    sys.stdout.write(f"{json.dumps(known)}\n")


if __name__ == "__main__":
    task, name, number = sys.argv[1:]
    if task == "save":
        save_at_once(name, int(number))
    else:
        kill_savers(name, int(number))
