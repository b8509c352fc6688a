"""Several answers to one request -> one verdict: the majority, its share, and what they disagree on."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from vlm_inspect.errors import ParseError
from vlm_inspect.verdict import RuleResult, RuleStatus, Verdict

SHARE_FROM = 3
"""Fewest answers whose share says more than the probabilities that they state."""


def combine(verdicts: Sequence[Verdict], failures: Sequence[ParseError] = (), odds: Sequence[float] = ()) -> Verdict:
    """Return one verdict for all the answers; at least one must have been read.

    An answer that could not be read is doubt: it counts half for either side, and as a reason to review. A tie counts
    as anomalous. Rules are decided by the majority of the answers that could be read, else they are cannot_tell.
    `odds` are the probabilities by tokens; where every answer has them, their mean beats the share.
    """
    total = len(verdicts) + len(failures)
    if total == 1:
        return verdicts[0]
    anomalous = [verdict for verdict in verdicts if verdict.anomalous]
    share = (len(anomalous) + 0.5 * len(failures)) / total
    side = anomalous if len(anomalous) * 2 >= len(verdicts) else [v for v in verdicts if not v.anomalous]
    first = side[0]
    return replace(
        first,
        probability=sum(odds) / len(odds) if len(odds) == total else _probability(verdicts, share, total),
        rules=_majority_rules(verdicts, first),
        warnings=tuple(dict.fromkeys([*(w for verdict in verdicts for w in verdict.warnings), *_sameness(verdicts)])),
        doubts=_doubts(verdicts, failures, len(side), total),
        samples=total,
    )


def _sameness(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Say where the answers are one answer, repeated: their agreement is then no evidence."""
    if len(verdicts) > 1 and all(one == verdicts[0] for one in verdicts):
        yield (
            f"the model's {len(verdicts)} answers are the same word for word: it seems to answer without chance, so "
            "their agreement says nothing"
        )


def _probability(verdicts: Sequence[Verdict], share: float, total: int) -> float | None:
    """Return the share of anomalous answers; the mean of the stated probabilities where the answers are too few."""
    if total >= SHARE_FROM:
        return share
    stated = [verdict.probability for verdict in verdicts if verdict.probability is not None]
    return sum(stated) / len(stated) if stated else share


def _majority_rules(verdicts: Sequence[Verdict], first: Verdict) -> tuple[RuleResult, ...]:
    """Return one result per rule that any answer mentions; the reason comes from the first answer of that status."""
    ids = dict.fromkeys(rule.id for verdict in (first, *verdicts) for rule in verdict.rules)
    return tuple(_majority_rule(rule_id, verdicts) for rule_id in ids)


def _majority_rule(rule_id: str, verdicts: Sequence[Verdict]) -> RuleResult:
    given = [rule for verdict in verdicts for rule in verdict.rules if rule.id == rule_id]
    votes: Counter[RuleStatus] = Counter(rule.status for rule in given)
    status, count = votes.most_common(1)[0]
    if count * 2 > len(verdicts):
        return next(rule for rule in given if rule.status == status)
    return RuleResult(rule_id, "cannot_tell", f"No status has the majority of the {len(verdicts)} answers.")


def _doubts(verdicts: Sequence[Verdict], failures: Sequence[ParseError], agree: int, total: int) -> tuple[str, ...]:
    doubts = []
    against = len(verdicts) - agree
    if against:
        doubts.append(f"{against} of the model's {total} answers disagree with the verdict of the others")
    if failures:
        causes = ", ".join(sorted({failure.cause for failure in failures}))
        doubts.append(f"{len(failures)} of the model's {total} answers could not be read ({causes})")
    return tuple(doubts)
