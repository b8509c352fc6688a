"""Does the model listen? The same parts, asked again with one thing changed, and how often the answer moves.

    test = run_rule_test(inspector, parts, concurrency=8)
    test.as_document()

A model that reads its rules moves when one says the opposite; one that does not gives the same answer to anything.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.errors import RunError
from evaluation.listening.rule_changes import AS_IS, Change, changed_request, free_rules, list_changes
from vlm_inspect.backends.backend import Request
from vlm_inspect.calibration import overkill_interval
from vlm_inspect.errors import BackendError, ParseError
from vlm_inspect.inspector import Inspector
from vlm_inspect.parsing import parse_verdict
from vlm_inspect.prompting import load_template

MOVED = 0.05
"""Difference of P(anomalous) that counts as a move of the score."""
Watch = Callable[[int, int, Path], None]
"""(parts done, parts in all, the part at work)."""


@dataclass(frozen=True)
class Answer:
    """What the model said to one request; without a verdict `failure` says why."""

    anomalous: bool | None
    probability: float | None = None
    statuses: Mapping[str, str] | None = None
    failure: str = ""
    tokens: tuple[int, int] = (0, 0)


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
    parts: tuple[Path, ...]
    left_out: tuple[tuple[Path, str], ...]
    """Parts without a verdict to the unchanged request, and why."""
    moves: tuple[Moves, ...]
    requests: int
    tokens: tuple[int, int]

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
                f"The model may not listen to rule {rule}: neither leaving it out nor turning it into its opposite "
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

    def as_document(self) -> dict[str, Any]:
        """Return it as `rule_test.json`, which reports show."""
        silent = set(self.silent_rules)
        return {
            "model": self.model,
            "parts": [str(path) for path in self.parts],
            "left_out": [{"part": str(path), "reason": reason} for path, reason in self.left_out],
            "requests": self.requests,
            "prompt_tokens": self.tokens[0],
            "completion_tokens": self.tokens[1],
            "warnings": self.warnings(),
            "rows": [_row(one, self.rules, silent) for one in self.moves],
        }


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


def run_rule_test(
    inspector: Inspector, parts: Sequence[Path], *, concurrency: int = 8, watch: Watch = lambda done, of, part: None
) -> RuleTest:
    """Ask about every part as it is and with each change.

    Args:
        inspector: rules, references, model and template to test.
        parts: files of one class, best both normal and anomalous ones.
        concurrency: requests in flight.
        watch: told which part is at work.

    Raises:
        RunError: the model reads no prompt, the rule book has no rule for it, or no part got a verdict.
        ConversionError: a part cannot be read.
        InspectError: references, localizer or template cannot be used.
    """
    if inspector.backend.name == "evidence":
        raise RunError("the model evidence reads no rules, so that there is nothing to test; give a --model")
    rules = {rule.id: rule.text for rule in free_rules(inspector.rules)}
    if not rules:
        raise RunError("the rule book has no rule that the model judges (all carry a check, or there is none)")
    told: list[dict[Change, Answer]] = []
    left_out: list[tuple[Path, str]] = []
    requests, tokens = 0, (0, 0)
    with ThreadPoolExecutor(concurrency, "ask") as pool:
        for at, part in enumerate(parts):
            watch(at, len(parts), part)
            answers = _ask_all(inspector, part, pool)
            requests += len(answers)
            used = [one.tokens for one in answers.values()]
            tokens = (tokens[0] + sum(one[0] for one in used), tokens[1] + sum(one[1] for one in used))
            if answers[AS_IS].anomalous is None:
                left_out.append((part, answers[AS_IS].failure))
            else:
                told.append(answers)
    if not told:
        reason = left_out[0][1] if left_out else "there is no part"
        raise RunError(f"no part got a verdict, so that nothing can be told: {reason}")
    changes = list(dict.fromkeys(change for answers in told for change in answers if change != AS_IS))
    kept = tuple(part for part in parts if part not in {path for path, _ in left_out})
    moves = tuple(count_moves(change, told) for change in changes)
    return RuleTest(inspector.backend.name, rules, kept, tuple(left_out), moves, requests, tokens)


def count_moves(change: Change, told: Sequence[Mapping[Change, Answer]]) -> Moves:
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


def _ask_all(inspector: Inspector, part: Path, pool: ThreadPoolExecutor) -> dict[Change, Answer]:
    template = load_template(inspector.template)
    prepared = inspector.prepare(part)
    changes = list_changes(inspector, prepared, template)
    requests = [changed_request(change, inspector, prepared, template) for change in changes]
    return dict(zip(changes, pool.map(lambda request: _ask(inspector, request), requests), strict=True))


def _ask(inspector: Inspector, request: Request) -> Answer:
    try:
        replies = inspector.backend.generate(request, samples=inspector.samples)
    except BackendError as error:
        return Answer(None, failure=str(error))
    tokens = sum(one.usage.prompt_tokens for one in replies), sum(one.usage.completion_tokens for one in replies)
    try:
        verdict = parse_verdict(replies, request.rules, request.views, question=request.question)
    except ParseError as error:
        return Answer(None, failure=str(error), tokens=tokens)
    statuses = {one.id: one.status for one in verdict.rules}
    return Answer(verdict.anomalous, verdict.probability, statuses, tokens=tokens)


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
