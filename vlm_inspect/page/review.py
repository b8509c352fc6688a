"""What waits for a person: parts in REVIEW, and a sample of the others, that this person has not judged."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from vlm_inspect.store import CaseLine, CaseStore, Filters, Judgement

MOST_WAITING = 200
_LOOKED_AT = 1000
_MOST_DISPUTED = 50
SAMPLED = 0.1
"""Share of OK parts that are judged by people, so that what is missed can be known."""


def waiting_for(store: CaseStore, person: str, *, class_name: str | None = None) -> list[CaseLine]:
    """Return the cases that a person has not judged and should: REVIEW first, then sampled OK parts, the newest first.

    Args:
        store: where the cases are.
        person: who judges.
        class_name: of the parts; None: any.

    Raises:
        StoreError: the store cannot be read.
    """
    lines = store.list(Filters(class_name=class_name, limit=_LOOKED_AT))
    judged = {
        one.line.id
        for one in store.judged_cases(Filters(class_name=class_name, limit=_LOOKED_AT))
        if any(judgement.by == person for judgement in one.judgements)
    }
    mine = [line for line in lines if line.id not in judged]
    doubted = [line for line in mine if line.outcome == "REVIEW"]
    sampled = [line for line in mine if line.outcome == "OK" and is_sampled(line.id)]
    return [*doubted, *sampled][:MOST_WAITING]


@dataclass(frozen=True)
class Disputed:
    """A case of which people say different things."""

    line: CaseLine
    said: tuple[Judgement, ...]
    """What each said last, in the order of their names."""


def disputed_cases(store: CaseStore, person: str | None) -> list[Disputed]:
    """Return the cases that people judged differently, the newest first.

    Args:
        store: where the cases are.
        person: who looks, and sees only what they judged themselves: nobody shall judge by what others said. None:
            all.

    Raises:
        StoreError: the store cannot be read.
    """
    found = []
    for one in store.judged_cases(Filters(limit=_LOOKED_AT)):
        last = {judgement.by: judgement for judgement in one.judgements}
        if len({judgement.outcome for judgement in last.values()}) > 1 and (person is None or person in last):
            found.append(Disputed(one.line, tuple(last[name] for name in sorted(last))))
    return found[:_MOST_DISPUTED]


def is_sampled(case_id: str, share: float = SAMPLED) -> bool:
    """Return whether an OK part is one that people judge: by the digest of its id, so for everybody the same."""
    return int.from_bytes(hashlib.sha256(case_id.encode()).digest()[:4], "big") < share * 2**32


def next_after(waiting: Sequence[CaseLine], passed: Sequence[str]) -> CaseLine | None:
    """Return the first case that was not passed over; None: nothing waits."""
    return next((line for line in waiting if line.id not in set(passed)), None)
