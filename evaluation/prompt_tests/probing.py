"""The same thing put to the model in several ways, within the limits of a run; a kill costs what was in flight.

prober = Prober(asker, kept)
answers = await put(prober, parts, probes_of)      # one list of answers a part, one answer a probe
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError

from evaluation.engine.asking import Answered, Asker, NotAskedError
from evaluation.errors import RunError, RunStoppedError
from evaluation.runs.record import Spent
from vlm_inspect.backends.backend import Reply, Request
from vlm_inspect.errors import BackendError

_S = TypeVar("_S")
Watch = Callable[[int, int], None]
"""(subjects done, subjects in all)."""


@dataclass(frozen=True)
class ProbeResult:
    """What the model said to one request; where nothing could be read `failure` says why."""

    anomalous: bool | None = None
    probability: float | None = None
    statuses: Mapping[str, str] | None = None
    """Of the rules, by id."""
    choice: str | None = None
    """The letter that was chosen, where options were given."""
    failure: str = ""
    usage: Spent = field(default_factory=Spent)
    """What it cost now."""
    spared: Spent = field(default_factory=Spent)
    """What it cost an earlier run."""


_ANSWER = TypeAdapter(ProbeResult)


@dataclass(frozen=True, eq=False)
class Probe:
    """One way of asking."""

    key: str
    """Names it within its test."""
    request: Request
    read: Callable[[Sequence[Reply]], ProbeResult]
    """Turns the replies into the answer; never raises for what they say."""
    salt: str = ""
    """Makes equal requests different questions, so that the second is not answered from the cache."""


class KeptAnswers(Protocol):
    """Where answers survive a kill."""

    def probe(self, key: str) -> str | None:
        """Return what is kept under a key."""
        ...

    def probes(self) -> Sequence[str]:
        """Return all that is kept."""
        ...

    def add_probe(self, key: str, answer: str) -> None:
        """Keep an answer, at once or not at all."""
        ...


@dataclass
class NothingKept:
    """Keeps no answer: the cache of replies does, where it is on."""

    def probe(self, key: str) -> str | None:
        """Return None."""
        return None

    def probes(self) -> Sequence[str]:
        """Return none."""
        return ()

    def add_probe(self, key: str, answer: str) -> None:
        """Do nothing."""


@dataclass
class Prober:
    """Puts probes to a model.

    Attributes:
        asker: the model, and the limits.
        kept: answers of earlier sessions.
        failures: requests without a reply so far.
    """

    asker: Asker
    kept: KeptAnswers = field(default_factory=NothingKept)
    failures: int = field(default=0, init=False)

    async def answer(self, probes: Sequence[Probe]) -> list[ProbeResult]:
        """Return one answer a probe; those of earlier sessions are not asked for again.

        Raises:
            NotAskedError: a limit forbids it; what was asked by then is kept.
        """
        known = {probe.key: told for probe in probes if (told := self.kept.probe(probe.key)) is not None}
        found = {key: _kept_answer(told) for key, told in known.items()}
        missing = [probe for probe in probes if probe.key not in found]
        size = self.asker.batch
        groups = [missing[at : at + size] for at in range(0, len(missing), size)]
        ended = await asyncio.gather(*(self._ask(group) for group in groups), return_exceptions=True)
        for one in ended:
            if isinstance(one, BaseException):
                raise one
            found |= one
        return [found[probe.key] for probe in probes]

    async def _ask(self, group: Sequence[Probe]) -> dict[str, ProbeResult]:
        asked = await self.asker.ask([one.request for one in group], salts=[one.salt for one in group])
        found = {}
        for probe, answered in zip(group, asked, strict=True):
            found[probe.key] = answer = self._read(probe, answered)
            if isinstance(answered, Answered):  # what the server would not answer is asked again another time
                self.kept.add_probe(probe.key, _ANSWER.dump_json(answer).decode())
        return found

    def _read(self, probe: Probe, answered: Answered | BackendError) -> ProbeResult:
        if isinstance(answered, BackendError):
            self.failures += 1
            most = self.asker.limits.max_failures
            if most is not None and self.failures >= most:
                self.asker.stop(f"stopped after {self.failures} requests without a reply; the last: {answered}")
            return ProbeResult(failure=str(answered))
        spent = answered.spent(self.asker.price)
        answer = probe.read(answered.replies)
        return replace(answer, spared=spent) if answered.cached else replace(answer, usage=spent)


async def put(
    prober: Prober,
    subjects: Sequence[_S],
    probes_of: Callable[[_S], Sequence[Probe]],
    watch: Watch = lambda done, of: None,
) -> list[list[ProbeResult]]:
    """Return the answers to the probes of every subject, a few subjects at work at a time.

    Args:
        prober: asks.
        subjects: parts, or questions.
        probes_of: makes the probes of one; called in a thread.
        watch: told after each subject.

    Raises:
        RunStoppedError: a limit was reached.
        InspectError, ConversionError: what `probes_of` raises; what was asked by then is kept.
    """
    room = asyncio.Semaphore(max(2, prober.asker.at_once // 4))
    done = 0

    async def one(subject: _S) -> list[ProbeResult]:
        nonlocal done
        async with room:
            try:
                if not prober.asker.may_go_on():
                    raise NotAskedError
                answers = await prober.answer(await asyncio.to_thread(probes_of, subject))
            except Exception as error:
                prober.asker.stop(str(error))
                raise
        done += 1
        watch(done, len(subjects))
        return answers

    ended = await asyncio.gather(*(one(subject) for subject in subjects), return_exceptions=True)
    failures = [one for one in ended if isinstance(one, BaseException)]
    for failure in sorted(failures, key=lambda one: isinstance(one, NotAskedError)):
        if isinstance(failure, NotAskedError):
            raise RunStoppedError(prober.asker.stopped or "stopped") from failure
        raise failure
    return [one for one in ended if not isinstance(one, BaseException)]


def kept_answers(kept: KeptAnswers) -> list[ProbeResult]:
    """Return the answers of earlier sessions."""
    return [_kept_answer(told) for told in kept.probes()]


def _kept_answer(text: str) -> ProbeResult:
    try:
        return _ANSWER.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise RunError(
            f"the journal of the run is damaged: a probe's answer: {first['msg']}; give another --out"
        ) from error


def total_spent(answers: Sequence[ProbeResult]) -> Spent:
    """Return what the answers cost, whoever paid for them."""
    total = Spent()
    for one in answers:
        total += one.usage + one.spared
    return total
