"""What waits for a person: parts in REVIEW, and a sample of the others, that this person has not judged."""

import hashlib
from collections.abc import Sequence

from vlm_inspect.store import CaseLine, CaseStore, Filters

MOST_WAITING = 200
_LOOKED_AT = 1000
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


def is_sampled(case_id: str, share: float = SAMPLED) -> bool:
    """Return whether an OK part is one that people judge: by the digest of its id, so for everybody the same."""
    return int.from_bytes(hashlib.sha256(case_id.encode()).digest()[:4], "big") < share * 2**32


def next_after(waiting: Sequence[CaseLine], passed: Sequence[str]) -> CaseLine | None:
    """Return the first case that was not passed over; None: nothing waits."""
    return next((line for line in waiting if line.id not in set(passed)), None)
