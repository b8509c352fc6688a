"""What moved: the answers to a part as it is, held against those with one thing changed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evaluation.prompt_tests.probing import ProbeResult
from evaluation.prompt_tests.rule_changes import AS_IS, Change
from evaluation.runs.record import Spent
from evaluation.runs.results import RuleTestDocument
from vlm_inspect.calibration.intervals import overkill_interval

MOVED = 0.05
"""Difference of P(anomalous) that counts as a move of the score."""


@dataclass(frozen=True)
class Moves:
    """How often one change moved something, over the parts that were answered both as is and with the change."""

    change: Change
    parts: int
    answer_moved: int
    scored: int
    """Parts with a probability both times."""
    score_moved: int
    """By more than `MOVED`."""
    mean_change: float | None
    """Mean absolute difference of P(anomalous)."""
    judged: int
    """Parts where the rule itself was judged both times."""
    status_moved: int
    unread: int
    """Parts with no verdict to the changed request."""

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the share of answers that move (Clopper and Pearson, 1934); None without a part."""
        return overkill_interval(self.answer_moved, self.parts) if self.parts else None


@dataclass(frozen=True, eq=False)
class RuleTest:
    """What came of it."""

    model: str
    rules: Mapping[str, str]
    """Text by id, of those that the model judges."""
    parts: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]
    """Parts without a verdict to the unchanged request, and why."""
    moves: tuple[Moves, ...]
    requests: int
    spent: Spent
    """By whoever paid for it."""

    @property
    def silent_rules(self) -> list[str]:
        """Rules whose removal and whose opposite never moved the answer."""
        moved = Counter(dict.fromkeys(self.rules, 0))
        asked = Counter(dict.fromkeys(self.rules, 0))
        for one in self.moves:
            if one.change.rule is not None:
                moved[one.change.rule] += one.answer_moved
                asked[one.change.rule] += one.parts
        return [rule for rule in self.rules if asked[rule] and not moved[rule]]

    def warnings(self) -> list[str]:
        """Return what a reader must know, one sentence each."""
        found = []
        for rule in self.silent_rules:
            turned = next(one for one in self.moves if one.change == Change("negated", rule))
            most = turned.interval[1] if turned.interval else 1.0
            found.append(
                f"The model may ignore rule {rule}: neither leaving it out nor turning it into its opposite "
                f"ever moved the answer ({turned.parts} parts; the 95 % interval of the opposite ends at {most:.0%})."
            )
        again = next((one for one in self.moves if one.change.kind == "again"), None)
        if again is not None and again.answer_moved:
            found.append(
                f"The model contradicts itself on {again.answer_moved} of {again.parts} parts when asked the very same "
                "again: moves no more frequent than that tell nothing."
            )
        for kind, words in _ORDERS.items():
            one = next((moves for moves in self.moves if moves.change.kind == kind), None)
            if one is not None and one.answer_moved > (again.answer_moved if again else 0):
                found.append(
                    f"{words} moved the answer on {one.answer_moved} of {one.parts} parts, though it should not."
                )
        return found

    def as_document(self) -> RuleTestDocument:
        """Return it as `rule_test.json`, which reports show."""
        silent = set(self.silent_rules)
        document = {
            "model": self.model,
            "parts": list(self.parts),
            "left_out": [{"part": part, "reason": reason} for part, reason in self.left_out],
            "requests": self.requests,
            "prompt_tokens": self.spent.prompt_tokens,
            "completion_tokens": self.spent.completion_tokens,
            "cost_usd": self.spent.cost_usd,
            "warnings": self.warnings(),
            "rows": [_row(one, self.rules, silent) for one in self.moves],
        }
        return RuleTestDocument.model_validate(document)


_ORDERS = {
    "references": "The order of the references",
    "part first": "Showing the part before the references",
}
_WORDS: dict[str, str] = {
    "again": "the very same again",
    "removed": "rule left out: {rule}",
    "negated": "rule turned into its opposite: {rule}",
    "class": "another class name, no description",
    "references": "references in reverse order",
    "part first": "the part before the references",
}


def count_moves(change: Change, told: Sequence[Mapping[Change, ProbeResult]]) -> Moves:
    """Count what one change moved, over the answers of every part by change."""
    pairs = [(one[AS_IS], one[change]) for one in told if change in one]
    read = [pair for pair in pairs if pair[0].anomalous is not None and pair[1].anomalous is not None]
    gaps = [
        abs(a.probability - b.probability) for a, b in read if a.probability is not None and b.probability is not None
    ]
    statuses = [
        (a.statuses[change.rule], b.statuses[change.rule])
        for a, b in read
        if change.rule and a.statuses and b.statuses and change.rule in a.statuses and change.rule in b.statuses
    ]
    return Moves(
        change=change,
        parts=len(read),
        answer_moved=sum(a.anomalous != b.anomalous for a, b in read),
        scored=len(gaps),
        score_moved=sum(gap > MOVED for gap in gaps),
        mean_change=sum(gaps) / len(gaps) if gaps else None,
        judged=len(statuses),
        status_moved=sum(before != after for before, after in statuses),
        unread=len(pairs) - len(read),
    )


def _row(one: Moves, rules: Mapping[str, str], silent: set[str]) -> dict[str, Any]:
    rule = one.change.rule
    return {
        "change": one.change.kind,
        "rule": rule,
        "words": _WORDS[one.change.kind].format(rule=rule),
        "text": rules.get(rule, "") if rule else "",
        "silent": rule in silent,
        "interval": one.interval,
        **{name: getattr(one, name) for name in _COUNTS},
    }


_COUNTS = ("parts", "answer_moved", "scored", "score_moved", "mean_change", "judged", "status_moved", "unread")
